/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine's firmware says in ACPI tables (ACPI 6.0 chapter 5), as far as the clock asks: no AML, nothing else.
 * Firmware's word is not trusted: what is not whole, or lies where no tables are, is not there.
 */
#pragma once

#include "host/types.h"

/* Physical memory at [base, base+size), to read; NULL where no ACPI tables are. */
typedef const void *acpi_memory(hpa_t base, u64 size);

/* The counters that tables name. */
struct acpi_timers {
    hpa_t hpet;  /* its registers; 0: none */
    u16 pm_port; /* of the PM timer; 0: none */
};

/* By the tables that the RSDP leads to; rsdp 0: there are none. Any CPU. */
struct acpi_timers acpi_timers_find(acpi_memory *memory, hpa_t rsdp);

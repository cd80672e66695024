/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few ACPI tables (ACPI 6.0 chapter 5) that the clock needs: the timers that the firmware names. No AML is read.
 * The firmware is not trusted: a table that is not whole, or lies outside the memory for tables, counts as missing.
 */
#pragma once

#include "host/types.h"

/* Returns physical memory at [base, base+size) for reading, or NULL if no ACPI tables can lie there. */
typedef const void *acpi_memory(hpa_t base, u64 size);

/* The counters that the tables name. */
struct acpi_timers {
    hpa_t hpet;  /* address of the HPET's registers; 0: none */
    u16 pm_port; /* I/O port of the PM timer; 0: none */
};

/* Find the timers in the tables that the RSDP leads to; rsdp 0: the machine has no tables. Any CPU. */
struct acpi_timers acpi_timers_find(acpi_memory *memory, hpa_t rsdp);

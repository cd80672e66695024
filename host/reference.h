/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters of a PC by which the clock is set: HPET, ACPI PM timer, 8254; and what CPUID says. */
#pragma once

#include "host/acpi.h"
#include "host/calibrate.h"

/*
 * Those that this machine has by its tables, in the order of their worth, the 8254 last, which every PC has. Returns
 * how many of `references` (CALIBRATE_REFERENCES) it has filled. Boot processor.
 */
unsigned reference_find(const struct acpi_timers *timers, struct reference *references);

/* The TSC's frequency in Hz that CPUID claims (SDM 2A "CPUID", leaves 15h and 16h); 0: none. */
u64 reference_claimed_hz(void);

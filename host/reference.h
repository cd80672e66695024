/* SPDX-License-Identifier: BSD-2-Clause */
/* The sources by which the clock is calibrated: a PC's HPET, ACPI PM timer and 8254, and CPUID. */
#pragma once

#include "host/acpi_timers.h"
#include "host/calibrate.h"

/*
 * Fill `references` (room for CALIBRATE_REFERENCES) with the counters that this machine has, the best first: those that
 * its ACPI tables name, and last the 8254, which every PC has. Returns how many there are. Boot processor.
 */
unsigned reference_find(const struct acpi_timers *timers, struct reference *references);

/* The TSC's frequency in Hz that CPUID states (SDM 2A "CPUID", leaves 15h and 16h); 0: CPUID states none. */
u64 reference_stated_hz(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Time by the time stamp counter. */
#pragma once

#include "host/types.h"

/* Learn the frequencies: from the hypervisor, else by calibration with the PIT. Called once, by kit_main. */
void clock_init(void);

/* Frequencies in kHz, never 0: time stamp counter, and LAPIC timer with divide configuration 1. */
u64 clock_tsc_khz(void);
u64 clock_lapic_khz(void);

/* Ticks of the time stamp counter in us microseconds, and the reverse. */
u64 clock_ticks(u64 us);
u64 clock_us(u64 ticks);

/* How long to wait for what must come: no machine is that slow, though guests, processors and emulators share one. */
#define LONG_US 60000000

/* Busy for that long. */
void clock_spin(u64 us);

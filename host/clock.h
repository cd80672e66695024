/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, calibrated by what else counts in this machine (calibrate.h). Assumes an invariant TSC synchronous
 * over CPUs, as emulators and current processors give; smp_start warns when it sees another.
 */
#pragma once

#include "host/types.h"

struct boot_info;

/*
 * Calibrate TSC and LAPIC timer: 60 ms, more if disturbed. Panics if nothing counts. Boot processor, after apic_init,
 * on our own page tables.
 */
void clock_init(const struct boot_info *boot_info);

/* TSC ticks a millisecond = frequency in kHz. */
u64 clock_tsc_khz(void);

/* Nanoseconds since clock_init (0 before); monotonic. */
u64 clock_ns(void);

/* Conversions between TSC ticks and nanoseconds; exact to 2^-32, no overflow within 100 years. */
u64 clock_ns_to_ticks(u64 ns);
u64 clock_ticks_to_ns(u64 ticks);

/* Busy-wait; for hardware hand-shakes only. */
void clock_delay_us(u32 us);

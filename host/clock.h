/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time is read from the TSC, which is calibrated by the other counters of this machine (calibrate.h). We assume that
 * the TSC is invariant and synchronous over CPUs, as in emulators and current processors; smp_start warns if it isn't.
 */
#pragma once

#include "host/types.h"

struct boot_info;

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/*
 * Calibrate the TSC and the LAPIC timer; takes 60 ms, or longer if disturbed. Panics if no counter counts. Boot
 * processor, after apic_init, on our own page tables.
 */
void clock_init(const struct boot_info *boot_info);

/* The TSC's ticks in a millisecond, which is its frequency in kHz. */
u64 clock_tsc_khz(void);

/* Nanoseconds since clock_init (0 before); monotonic. */
u64 clock_ns(void);

/* Convert between TSC ticks and nanoseconds; exact to 2^-32, without overflow for 100 years. */
u64 clock_ns_to_ticks(u64 ns);
u64 clock_ticks_to_ns(u64 ticks);

/* Busy-wait; for hardware hand-shakes only. */
void clock_delay_us(u32 us);

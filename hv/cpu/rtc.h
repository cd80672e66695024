/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's wall clock: its CMOS clock, read once, and counted on with the TSC. */
#pragma once

#include "hv/lib/types.h"

/* Read the CMOS clock, taken as UTC. Once, on the boot processor, after clock_init. */
void rtc_init(void);

/* Nanoseconds since the start of 1970; as exact as the CMOS clock shows seconds. */
u64 rtc_now_ns(void);

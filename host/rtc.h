/* SPDX-License-Identifier: BSD-2-Clause */
/* The wall clock: the machine's CMOS clock is read once, and the TSC counts on from there. */
#pragma once

#include "host/types.h"

/* Read the CMOS clock, taken as UTC. Once, on the boot processor, after clock_init. */
void rtc_init(void);

/* Nanoseconds since the start of 1970; only as exact as the CMOS clock, which shows whole seconds. */
u64 rtc_now_ns(void);

#define RTC_TEXT 40

/* The time at which clock_ns was `ns`, in the form of RFC 3339: "2026-11-28T20:33:18.123456Z". Any CPU, after rtc_init.
 */
void rtc_text(u64 ns, char text[RTC_TEXT]);

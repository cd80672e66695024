/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's wall clock: its CMOS clock, read once, and counted on with the TSC. */
#pragma once

#include "host/types.h"

/* Read the CMOS clock, taken as UTC. Once, on the boot processor, after clock_init. */
void rtc_init(void);

/* Nanoseconds since the start of 1970; as exact as the CMOS clock shows seconds. */
u64 rtc_now_ns(void);

#define RTC_TEXT 40

/* When clock_ns was `ns`, as RFC 3339 writes it: "2026-11-28T20:33:18.123456Z". Any CPU, after rtc_init. */
void rtc_text(u64 ns, char text[RTC_TEXT]);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The Gregorian calendar, in UTC, from 1970 to 9999. */
#pragma once

#include "host/types.h"

#define SECONDS_PER_DAY 86400ULL

struct date {
    u32 year;      /* 1970 ... */
    u8 month, day; /* from 1 */
    u8 hour, minute, second;
    u8 weekday; /* 1: Sunday; ignored by calendar_seconds */
};

/* Seconds since the start of 1970. A field beyond its range carries over into the next larger one; but a month beyond
 * its range is taken as January. */
u64 calendar_seconds(const struct date *date);

/* The date that is `seconds` after the start of 1970. */
struct date calendar_date(u64 seconds);

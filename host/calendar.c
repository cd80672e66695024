/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Days are counted in years that begin in March, so that the leap day is a year's last: month m of such a year begins
 * on its day (153 m + 2) / 5.
 */
#include "host/calendar.h"

#define DAYS_PER_400_YEARS 146097
#define MARCH_0000 719468 /* days from March 1st of year 0 to 1970 */
#define THURSDAY 4        /* the first day of 1970, from Sunday = 0 */

u64 calendar_seconds(const struct date *date)
{
    u32 month = date->month >= 1 && date->month <= 12 ? date->month : 1;
    u32 year = (date->year < 1970 ? 1970 : date->year) - (month <= 2);
    u32 day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + date->day - 1;
    u64 days = 365ULL * year + year / 4 - year / 100 + year / 400 + day_of_year - MARCH_0000;

    return days * SECONDS_PER_DAY + date->hour * 3600U + date->minute * 60U + date->second;
}

struct date calendar_date(u64 seconds)
{
    u64 days = seconds / SECONDS_PER_DAY, from_march = days + MARCH_0000;
    u32 rest = (u32)(seconds % SECONDS_PER_DAY);
    u32 era = (u32)(from_march / DAYS_PER_400_YEARS), day = (u32)(from_march % DAYS_PER_400_YEARS);
    u32 year = (day - day / 1460 + day / 36524 - day / (DAYS_PER_400_YEARS - 1)) / 365;
    u32 day_of_year = day - (365 * year + year / 4 - year / 100);
    u32 month = (5 * day_of_year + 2) / 153;

    return (struct date){
        .year = era * 400 + year + (month >= 10),
        .month = (u8)(month < 10 ? month + 3 : month - 9),
        .day = (u8)(day_of_year - (153 * month + 2) / 5 + 1),
        .hour = (u8)(rest / 3600),
        .minute = (u8)(rest / 60 % 60),
        .second = (u8)(rest % 60),
        .weekday = (u8)((days + THURSDAY) % 7 + 1),
    };
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 of the host (data sheet "Update Cycle"). While it updates itself, a matter of 2 ms in a second, its
 * registers mean nothing; so we read them until two readings agree that were both taken outside of an update.
 */
#include "host/rtc.h"

#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#define LOG_PREFIX "rtc"
#include "host/clock.h"
#include "host/calendar.h"
#include "host/log.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_STATUS_A 0x0A
#define STATUS_A_UIP 0x80
#define CMOS_STATUS_B 0x0B
#define STATUS_B_24H 0x02
#define STATUS_B_BINARY 0x04
#define HOUR_PM 0x80

#define READINGS_MAX 100
#define UPDATE_POLLS_MAX 100000 /* of all readings: many times what an update can take */

static const u8 time_registers[] = { 0x00, 0x02, 0x04, 0x07, 0x08, 0x09 }; /* second ... year */

enum { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, NR_FIELDS };

static u64 boot_ns; /* when clock_ns was 0 */

static u8 cmos_read(u8 index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

/* Waits for the end of an update, for as long as there are polls left. */
static void fields_read(u8 *field, unsigned *polls)
{
    for (; *polls && cmos_read(CMOS_STATUS_A) & STATUS_A_UIP; --*polls)
        cpu_relax();
    for (unsigned i = 0; i < NR_FIELDS; i++)
        field[i] = cmos_read(time_registers[i]);
}

static u8 decode(u8 value, u8 status_b)
{
    return status_b & STATUS_B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static u8 decode_hour(u8 value, u8 status_b)
{
    u8 hour = decode(value & ~HOUR_PM, status_b);

    if (status_b & STATUS_B_24H)
        return decode(value, status_b);
    return hour % 12 + (value & HOUR_PM ? 12 : 0);
}

static bool is_date(const struct date *date)
{
    return date->month >= 1 && date->month <= 12 && date->day >= 1 && date->day <= 31 && date->hour < 24 &&
           date->minute < 60 && date->second < 60;
}

void rtc_init(void)
{
    u8 field[NR_FIELDS], again[NR_FIELDS], b = cmos_read(CMOS_STATUS_B);
    unsigned readings = 0, polls = UPDATE_POLLS_MAX;

    do {
        fields_read(field, &polls);
        fields_read(again, &polls);
    } while (memcmp(field, again, sizeof(field)) && ++readings < READINGS_MAX);

    /* Two digits of the year: the century's register is not the same on all machines, and this is no machine of the
     * last one. */
    struct date date = {
        .year = 2000 + decode(field[YEAR], b),
        .month = decode(field[MONTH], b),
        .day = decode(field[DAY], b),
        .hour = decode_hour(field[HOUR], b),
        .minute = decode(field[MINUTE], b),
        .second = decode(field[SECOND], b),
    };

    if (readings == READINGS_MAX)
        pr_warn("the CMOS clock is never stable: the time is a guess");
    if (!is_date(&date)) {
        pr_warn("the CMOS clock holds no date: the time begins with 2000");
        date = (struct date){ .year = 2000, .month = 1, .day = 1 };
    }
    boot_ns = calendar_seconds(&date) * NS_PER_S - clock_ns();
}

u64 rtc_now_ns(void)
{
    return boot_ns + clock_ns();
}

void rtc_text(u64 ns, char text[RTC_TEXT])
{
    u64 us = (boot_ns + ns) / 1000;
    struct date date = calendar_date(us / 1000000);

    snprintf(text, RTC_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%06luZ", date.year, date.month, date.day, date.hour,
             date.minute, date.second, us % 1000000);
}

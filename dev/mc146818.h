/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CMOS clock as a chip (Motorola MC146818A data sheet): time, alarm, three interrupts, and the PC's battery-backed
 * memory around them.
 *
 * Pure: every call is told the time, `now`, in nanoseconds since the VM's start. The date is computed when asked for;
 * interrupt flags are brought up to date by mc146818_update, which reads call themselves.
 */
#pragma once

#include "host/calendar.h"
#include "host/types.h"

struct codec;

#define MC146818_NEVER (~0ULL)
#define CMOS_SIZE 128

enum mc146818_register {
    RTC_SECOND = 0x00,
    RTC_SECOND_ALARM = 0x01,
    RTC_MINUTE = 0x02,
    RTC_MINUTE_ALARM = 0x03,
    RTC_HOUR = 0x04,
    RTC_HOUR_ALARM = 0x05,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0A,
    RTC_B = 0x0B,
    RTC_C = 0x0C,
    RTC_D = 0x0D,
};

#define RTC_A_UIP 0x80
#define RTC_A_DIVIDER 0x70
#define RTC_A_DIVIDER_ON 0x20    /* 32 kHz crystal */
#define RTC_A_DIVIDER_RESET 0x60 /* with 60h and 70h the clock stands still */
#define RTC_A_RATE 0x0F
#define RTC_B_SET 0x80
#define RTC_B_PIE 0x40
#define RTC_B_AIE 0x20
#define RTC_B_UIE 0x10
#define RTC_B_BINARY 0x04
#define RTC_B_24H 0x02
#define RTC_C_IRQF 0x80
#define RTC_C_PF 0x40 /* PF, AF, UF are the positions of PIE, AIE, UIE */
#define RTC_C_AF 0x20
#define RTC_C_UF 0x10
#define RTC_D_VALID 0x80
#define RTC_ALARM_ANY 0xC0 /* from this value on an alarm register matches always */

struct mc146818 {
    u8 index;            /* register that port 71h reaches */
    u8 cmos[CMOS_SIZE];  /* alarms, A, B, C's flags and the memory. The time is not here. */
    s64 base;            /* while the clock runs: nanoseconds since 1970 at the VM's start */
    struct date stopped; /* while it stands (RTC_B_SET, or divider reset): the date */
    u64 updated;         /* the time up to which the flags are up to date */
};

/* Power on with the date `wall_ns`, nanoseconds since 1970, at time `now`. */
void mc146818_init(struct mc146818 *rtc, u64 wall_ns, u64 now);

/* The reset pin: interrupts are disabled and cleared; time and memory stay. */
void mc146818_reset(struct mc146818 *rtc);

/* The registers behind ports 70h and 71h. */
u8 mc146818_read(struct mc146818 *rtc, u8 index, u64 now);
void mc146818_write(struct mc146818 *rtc, u8 index, u8 value, u64 now);

/* Raise the flags of the events up to `now`. */
void mc146818_update(struct mc146818 *rtc, u64 now);

/* Level of the interrupt line, as of the last update. */
bool mc146818_irq(const struct mc146818 *rtc);

/* The time at which an enabled interrupt comes, MC146818_NEVER if none does or one is already there. */
u64 mc146818_deadline(const struct mc146818 *rtc);

/* All state as one versioned section. A state that cannot be is refused, and the chip stays as it was. */
void mc146818_state(struct mc146818 *rtc, struct codec *c);

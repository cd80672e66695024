/* SPDX-License-Identifier: BSD-2-Clause */
/* The CMOS clock: date registers in all their formats, alarm and periodic interrupts. */
#include "dev/mc146818.h"

#include "dev/codec.h"
#include "dev/platform_map.h"
#include "host/bits.h"
#include "host/clock.h"

#define VERSION 1

#define CRYSTAL_HZ 32768ULL
#define UPDATE_NS 244000ULL /* UIP comes so long before the update */
#define HALF_SECOND (NS_PER_S / 2)
#define HOUR_PM 0x80
#define ENABLES (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE)
#define DEFAULT_RATE 6 /* 1024 Hz, as firmware leaves it */

static bool is_stopped(const struct mc146818 *rtc)
{
    return rtc->cmos[RTC_B] & RTC_B_SET || (rtc->cmos[RTC_A] & RTC_A_DIVIDER) >= RTC_A_DIVIDER_RESET;
}

/* Nanoseconds since 1970. */
static u64 wall(const struct mc146818 *rtc, u64 now)
{
    return now + (u64)rtc->base;
}

static u64 periodic_ns(const struct mc146818 *rtc)
{
    unsigned rate = rtc->cmos[RTC_A] & RTC_A_RATE;

    if (rate == 0)
        return 0;
    /* The two fastest rates do not exist with this crystal. */
    return (NS_PER_S << ((rate <= 2 ? rate + 7 : rate) - 1)) / CRYSTAL_HZ;
}

/* --- Formats --- */

static u8 encode(const struct mc146818 *rtc, u8 value)
{
    return rtc->cmos[RTC_B] & RTC_B_BINARY ? value : (u8)(value / 10 << 4 | value % 10);
}

static u8 decode(const struct mc146818 *rtc, u8 value)
{
    return rtc->cmos[RTC_B] & RTC_B_BINARY ? value : (u8)((value >> 4) * 10 + (value & 15));
}

static u8 encode_hour(const struct mc146818 *rtc, u8 hour)
{
    if (rtc->cmos[RTC_B] & RTC_B_24H)
        return encode(rtc, hour);
    return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static u8 decode_hour(const struct mc146818 *rtc, u8 value)
{
    if (rtc->cmos[RTC_B] & RTC_B_24H)
        return decode(rtc, value);
    return decode(rtc, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* --- The date --- */

static struct date date_now(const struct mc146818 *rtc, u64 now)
{
    return is_stopped(rtc) ? rtc->stopped : calendar_date(wall(rtc, now) / NS_PER_S);
}

static bool is_date(u8 index)
{
    return index == CMOS_CENTURY || index == RTC_SECOND || index == RTC_MINUTE || index == RTC_HOUR ||
           (index >= RTC_WEEKDAY && index <= RTC_YEAR);
}

static u8 read_date(const struct mc146818 *rtc, u8 index, u64 now)
{
    struct date date = date_now(rtc, now);

    switch (index) {
    case RTC_SECOND: return encode(rtc, date.second);
    case RTC_MINUTE: return encode(rtc, date.minute);
    case RTC_HOUR: return encode_hour(rtc, date.hour);
    case RTC_WEEKDAY: return encode(rtc, date.weekday);
    case RTC_DAY: return encode(rtc, date.day);
    case RTC_MONTH: return encode(rtc, date.month);
    case RTC_YEAR: return encode(rtc, date.year % 100);
    default: return encode(rtc, date.year / 100 % 100);
    }
}

static void change_date(const struct mc146818 *rtc, struct date *date, u8 index, u8 value)
{
    u8 number = decode(rtc, value);

    switch (index) {
    case RTC_SECOND: date->second = number; break;
    case RTC_MINUTE: date->minute = number; break;
    case RTC_HOUR: date->hour = decode_hour(rtc, value); break;
    case RTC_WEEKDAY: date->weekday = number; break;
    case RTC_DAY: date->day = number; break;
    case RTC_MONTH: date->month = number; break;
    case RTC_YEAR: date->year = date->year / 100 * 100 + number; break;
    default: date->year = date->year % 100 + number * 100U; break;
    }
}

/* Let the clock run from `date` on, whose second began `ns` ago. */
static void start(struct mc146818 *rtc, const struct date *date, u64 ns, u64 now)
{
    rtc->base = (s64)(calendar_seconds(date) * NS_PER_S + ns - now);
    rtc->updated = now;
}

static void write_date(struct mc146818 *rtc, u8 index, u8 value, u64 now)
{
    struct date date = date_now(rtc, now);

    change_date(rtc, &date, index, value);
    if (is_stopped(rtc))
        rtc->stopped = date;
    else
        start(rtc, &date, wall(rtc, now) % NS_PER_S, now);
}

/* Registers A and B, either of which may stop the clock or let it go. */
static void write_control(struct mc146818 *rtc, u8 index, u8 value, u64 now)
{
    bool was_stopped = is_stopped(rtc);
    bool was_reset = (rtc->cmos[RTC_A] & RTC_A_DIVIDER) >= RTC_A_DIVIDER_RESET;
    struct date date = date_now(rtc, now);
    u64 ns = wall(rtc, now) % NS_PER_S;

    mc146818_update(rtc, now);
    rtc->cmos[index] = index == RTC_A ? value & ~RTC_A_UIP : value;
    if (index == RTC_B && value & RTC_B_SET)
        rtc->cmos[RTC_B] &= ~RTC_B_UIE;
    if (!was_stopped && is_stopped(rtc))
        rtc->stopped = date;
    /* SET stops only the copying of the date, not the beat of the seconds. The divider's reset stops the beat, too: the
     * next second then comes half a second after its end. */
    if (was_stopped && !is_stopped(rtc))
        start(rtc, &date, was_reset ? HALF_SECOND : ns, now);
}

/* --- Interrupts --- */

static bool alarm_matches(u8 alarm, u8 value, u8 decoded)
{
    return alarm >= RTC_ALARM_ANY || decoded == value;
}

/* The first second after `second` at which the alarm goes off; ~0 if never. At most a day away. */
static u64 next_alarm(const struct mc146818 *rtc, u64 second)
{
    const u8 *cmos = rtc->cmos;
    u8 h = decode_hour(rtc, cmos[RTC_HOUR_ALARM]), m = decode(rtc, cmos[RTC_MINUTE_ALARM]);
    u8 s = decode(rtc, cmos[RTC_SECOND_ALARM]);
    u64 end = second + SECONDS_PER_DAY;

    if ((h > 23 && cmos[RTC_HOUR_ALARM] < RTC_ALARM_ANY) || (m > 59 && cmos[RTC_MINUTE_ALARM] < RTC_ALARM_ANY) ||
        (s > 59 && cmos[RTC_SECOND_ALARM] < RTC_ALARM_ANY))
        return ~0ULL;
    for (u64 at = second + 1; at <= end;) {
        if (!alarm_matches(cmos[RTC_HOUR_ALARM], at / 3600 % 24, h))
            at = (at / 3600 + 1) * 3600;
        else if (!alarm_matches(cmos[RTC_MINUTE_ALARM], at / 60 % 60, m))
            at = (at / 60 + 1) * 60;
        else if (!alarm_matches(cmos[RTC_SECOND_ALARM], at % 60, s))
            at++;
        else
            return at;
    }
    return ~0ULL;
}

void mc146818_update(struct mc146818 *rtc, u64 now)
{
    u64 period = periodic_ns(rtc), from = wall(rtc, rtc->updated), to = wall(rtc, now);
    u8 flags = rtc->cmos[RTC_C];

    if (now <= rtc->updated)
        return;
    rtc->updated = now;
    if ((rtc->cmos[RTC_A] & RTC_A_DIVIDER) >= RTC_A_DIVIDER_RESET)
        return;
    if (period && from / period != to / period)
        flags |= RTC_C_PF;
    if (!(rtc->cmos[RTC_B] & RTC_B_SET) && from / NS_PER_S != to / NS_PER_S) {
        flags |= RTC_C_UF;
        if (next_alarm(rtc, from / NS_PER_S) <= to / NS_PER_S)
            flags |= RTC_C_AF;
    }
    rtc->cmos[RTC_C] = flags;
}

bool mc146818_irq(const struct mc146818 *rtc)
{
    return rtc->cmos[RTC_C] & rtc->cmos[RTC_B] & ENABLES;
}

u64 mc146818_deadline(const struct mc146818 *rtc)
{
    u8 enabled = rtc->cmos[RTC_B];
    u64 period = periodic_ns(rtc), from = wall(rtc, rtc->updated), next = ~0ULL;

    if (mc146818_irq(rtc) || (rtc->cmos[RTC_A] & RTC_A_DIVIDER) >= RTC_A_DIVIDER_RESET)
        return MC146818_NEVER;
    if (enabled & RTC_B_PIE && period)
        next = (from / period + 1) * period;
    if (enabled & RTC_B_UIE && !is_stopped(rtc))
        next = MIN(next, (from / NS_PER_S + 1) * NS_PER_S);
    if (enabled & RTC_B_AIE && !is_stopped(rtc)) {
        u64 second = next_alarm(rtc, from / NS_PER_S);

        if (second != ~0ULL)
            next = MIN(next, second * NS_PER_S);
    }
    return next == ~0ULL ? MC146818_NEVER : next - (u64)rtc->base;
}

/* --- Registers --- */

u8 mc146818_read(struct mc146818 *rtc, u8 index, u64 now)
{
    u8 value;

    mc146818_update(rtc, now);
    if (is_date(index))
        return read_date(rtc, index, now);
    switch (index) {
    case RTC_A:
        value = rtc->cmos[RTC_A];
        return !is_stopped(rtc) && wall(rtc, now) % NS_PER_S >= NS_PER_S - UPDATE_NS ? value | RTC_A_UIP : value;
    case RTC_C:
        value = rtc->cmos[RTC_C] | (mc146818_irq(rtc) ? RTC_C_IRQF : 0);
        rtc->cmos[RTC_C] = 0;
        return value;
    case RTC_D: return RTC_D_VALID;
    default: return rtc->cmos[index % CMOS_SIZE];
    }
}

void mc146818_write(struct mc146818 *rtc, u8 index, u8 value, u64 now)
{
    mc146818_update(rtc, now);
    if (is_date(index))
        write_date(rtc, index, value, now);
    else if (index == RTC_A || index == RTC_B)
        write_control(rtc, index, value, now);
    else if (index != RTC_C && index != RTC_D)
        rtc->cmos[index % CMOS_SIZE] = value;
}

void mc146818_init(struct mc146818 *rtc, u64 wall_ns, u64 now)
{
    *rtc = (struct mc146818){ .base = (s64)(wall_ns - now), .updated = now };
    rtc->cmos[RTC_A] = RTC_A_DIVIDER_ON | DEFAULT_RATE;
    rtc->cmos[RTC_B] = RTC_B_24H;
}

void mc146818_reset(struct mc146818 *rtc)
{
    rtc->index = 0;
    rtc->cmos[RTC_B] &= ~ENABLES;
    rtc->cmos[RTC_C] = 0;
}

void mc146818_state(struct mc146818 *rtc, struct codec *c)
{
    struct mc146818 state = *rtc;
    u64 base = (u64)rtc->base;

    codec_version(c, VERSION);
    codec_u8(c, &state.index);
    codec_bytes(c, state.cmos, sizeof(state.cmos));
    codec_u64(c, &base);
    codec_u32(c, &state.stopped.year);
    codec_u8(c, &state.stopped.month);
    codec_u8(c, &state.stopped.day);
    codec_u8(c, &state.stopped.hour);
    codec_u8(c, &state.stopped.minute);
    codec_u8(c, &state.stopped.second);
    codec_u8(c, &state.stopped.weekday);
    codec_u64(c, &state.updated);
    state.base = (s64)base;
    codec_judge(c, state.index < CMOS_SIZE, "the index is beyond its registers");
    codec_judge(c, !(state.cmos[RTC_A] & RTC_A_UIP), "register A has UIP");
    if (codec_judge(c, state.stopped.year <= 25600, "the year is above 25600"))
        *rtc = state;
}

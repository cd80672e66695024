/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/mc146818.c host/calendar.c dev/codec.c */
/* The CMOS clock under a clock that the test turns: the calendar against libc's, formats, setting, interrupts, saved
 * state. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "dev/mc146818.h"
#include "dev/platform_map.h"
#include "dev/codec.h"

#define S 1000000000ULL
#define MS 1000000ULL
#define START 1709251199ULL /* Thursday 2024-02-29 23:59:59 UTC */

static struct mc146818 rtc;
static u64 now;

static int setup(void **state)
{
    (void)state;
    now = 5 * S;
    mc146818_init(&rtc, START * S, now);
    return 0;
}

static u8 in(u8 index)
{
    return mc146818_read(&rtc, index, now);
}

static void out(u8 index, u8 value)
{
    mc146818_write(&rtc, index, value, now);
}

static void calendar_agrees_with_libc(void **state)
{
    (void)state;
    for (u64 t = 0; t < 16000000000ULL; t += 3456789) {
        time_t seconds = (time_t)t;
        struct tm tm;
        struct date date = calendar_date(t);

        gmtime_r(&seconds, &tm);
        assert_int_equal(date.year, tm.tm_year + 1900);
        assert_int_equal(date.month, tm.tm_mon + 1);
        assert_int_equal(date.day, tm.tm_mday);
        assert_int_equal(date.hour, tm.tm_hour);
        assert_int_equal(date.minute, tm.tm_min);
        assert_int_equal(date.second, tm.tm_sec);
        assert_int_equal(date.weekday, tm.tm_wday + 1);
        assert_int_equal(calendar_seconds(&date), t);
    }
}

static void shows_the_date_in_bcd(void **state)
{
    (void)state;
    assert_int_equal(in(RTC_SECOND), 0x59);
    assert_int_equal(in(RTC_MINUTE), 0x59);
    assert_int_equal(in(RTC_HOUR), 0x23);
    assert_int_equal(in(RTC_DAY), 0x29);
    assert_int_equal(in(RTC_MONTH), 0x02);
    assert_int_equal(in(RTC_YEAR), 0x24);
    assert_int_equal(in(CMOS_CENTURY), 0x20);
    assert_int_equal(in(RTC_WEEKDAY), 5);
    assert_int_equal(in(RTC_D), RTC_D_VALID);
    now += S;
    assert_int_equal(in(RTC_SECOND), 0);
    assert_int_equal(in(RTC_DAY), 0x01);
    assert_int_equal(in(RTC_MONTH), 0x03);
}

static void shows_it_in_binary_and_12_hours(void **state)
{
    (void)state;
    out(RTC_B, RTC_B_BINARY);
    assert_int_equal(in(RTC_MINUTE), 59);
    assert_int_equal(in(RTC_HOUR), 0x80 | 11);
    now += S;
    assert_int_equal(in(RTC_HOUR), 12);
}

static void update_in_progress_comes_before_the_second(void **state)
{
    (void)state;
    assert_false(in(RTC_A)&RTC_A_UIP);
    now += S - 200000;
    assert_true(in(RTC_A)&RTC_A_UIP);
    now += 200000;
    assert_false(in(RTC_A)&RTC_A_UIP);
}

/* As Linux does. */
static void can_be_set(void **state)
{
    (void)state;
    out(RTC_B, RTC_B_SET | RTC_B_24H);
    out(RTC_A, 0x70);
    now += 10 * S;
    assert_int_equal(in(RTC_SECOND), 0x59); /* stands still */
    out(RTC_YEAR, 0x99);
    out(CMOS_CENTURY, 0x19);
    out(RTC_MONTH, 0x12);
    out(RTC_DAY, 0x31);
    out(RTC_HOUR, 0x12);
    out(RTC_MINUTE, 0x34);
    out(RTC_SECOND, 0x56);
    out(RTC_B, RTC_B_24H);
    out(RTC_A, 0x26);
    assert_int_equal(in(RTC_SECOND), 0x56);
    now += S / 2 - 1;
    assert_int_equal(in(RTC_SECOND), 0x56);
    now += 1;
    assert_int_equal(in(RTC_SECOND), 0x57); /* half a second after the divider was let go */
    assert_int_equal(in(RTC_WEEKDAY), 6);
    now += 12 * 3600 * S;
    assert_int_equal(in(CMOS_CENTURY), 0x20);
    assert_int_equal(in(RTC_YEAR), 0x00);
}

static void periodic_interrupt(void **state)
{
    (void)state;
    assert_int_equal(mc146818_deadline(&rtc), MC146818_NEVER);
    out(RTC_A, 0x26); /* 1024 Hz */
    out(RTC_B, RTC_B_24H | RTC_B_PIE);
    in(RTC_C);
    u64 at = mc146818_deadline(&rtc);

    assert_true(at > now && at <= now + MS);
    now = at;
    mc146818_update(&rtc, now);
    assert_true(mc146818_irq(&rtc));
    assert_int_equal(mc146818_deadline(&rtc), MC146818_NEVER);
    assert_int_equal(in(RTC_C), RTC_C_IRQF | RTC_C_PF);
    assert_false(mc146818_irq(&rtc));
    assert_in_range(mc146818_deadline(&rtc), at + 976000, at + 977000);
}

static void update_interrupt(void **state)
{
    (void)state;
    out(RTC_B, RTC_B_24H | RTC_B_UIE);
    assert_int_equal(mc146818_deadline(&rtc), now + S);
    now += S;
    mc146818_update(&rtc, now);
    assert_true(mc146818_irq(&rtc));
    assert_true(in(RTC_C)&RTC_C_UF);
    out(RTC_B, RTC_B_24H | RTC_B_UIE | RTC_B_SET);
    assert_int_equal(in(RTC_B), RTC_B_24H | RTC_B_SET); /* setting turns it off */
}

static void alarm_interrupt(void **state)
{
    (void)state;
    out(RTC_HOUR_ALARM, 0x06);
    out(RTC_MINUTE_ALARM, 0x30);
    out(RTC_SECOND_ALARM, 0x15);
    out(RTC_B, RTC_B_24H | RTC_B_AIE);
    assert_int_equal(mc146818_deadline(&rtc), now + (1 + 6 * 3600 + 30 * 60 + 15) * S);
    now = mc146818_deadline(&rtc) - 1;
    mc146818_update(&rtc, now);
    assert_false(mc146818_irq(&rtc));
    now++;
    mc146818_update(&rtc, now);
    assert_true(mc146818_irq(&rtc));
    assert_true(in(RTC_C)&RTC_C_AF);
    out(RTC_HOUR_ALARM, 0xFF);
    out(RTC_MINUTE_ALARM, 0xC0);
    assert_int_equal(mc146818_deadline(&rtc), now + 60 * S);
    out(RTC_SECOND_ALARM, 0x77); /* never */
    assert_int_equal(mc146818_deadline(&rtc), MC146818_NEVER);
}

static void reset_keeps_time_and_memory(void **state)
{
    (void)state;
    out(0x40, 0xA5);
    out(RTC_B, RTC_B_24H | RTC_B_UIE);
    now += S;
    mc146818_reset(&rtc);
    assert_false(mc146818_irq(&rtc));
    assert_int_equal(mc146818_deadline(&rtc), MC146818_NEVER);
    assert_int_equal(in(0x40), 0xA5);
    assert_int_equal(in(RTC_SECOND), 0);
}

static void saved_state_goes_on(void **state)
{
    u8 buffer[512];
    struct codec w = codec_saver(buffer, sizeof(buffer));

    (void)state;
    out(RTC_B, RTC_B_24H | RTC_B_UIE);
    out(0x50, 0x77);
    mc146818_state(&rtc, &w);
    assert_int_equal(w.err, 0);
    mc146818_init(&rtc, 0, 0);
    struct codec r = codec_restorer(buffer, w.at);

    mc146818_state(&rtc, &r);
    assert_int_equal(r.err, 0);
    now += S;
    assert_int_equal(in(RTC_SECOND), 0);
    assert_int_equal(in(RTC_YEAR), 0x24);
    assert_int_equal(in(0x50), 0x77);
    assert_true(mc146818_irq(&rtc));
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(buffer, len);
        mc146818_state(&rtc, &r);
        assert_int_equal(r.err, -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_agrees_with_libc),
        cmocka_unit_test_setup(shows_the_date_in_bcd, setup),
        cmocka_unit_test_setup(shows_it_in_binary_and_12_hours, setup),
        cmocka_unit_test_setup(update_in_progress_comes_before_the_second, setup),
        cmocka_unit_test_setup(can_be_set, setup),
        cmocka_unit_test_setup(periodic_interrupt, setup),
        cmocka_unit_test_setup(update_interrupt, setup),
        cmocka_unit_test_setup(alarm_interrupt, setup),
        cmocka_unit_test_setup(reset_keeps_time_and_memory, setup),
        cmocka_unit_test_setup(saved_state_goes_on, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/rtc.c host/calendar.c tests/unit/processor.c tests/unit/stubs.c */
/* The machine's CMOS clock, right and broken. The boot must not wait for it for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "tests/unit/processor.h"
#include "tests/unit/stubs.h"

#define ACCESSES_MAX 1000000 /* a second at the speed of a port */
#define SECOND 0
#define STATUS_A 0x0A
#define UIP 0x80
#define STATUS_B 0x0B
#define HOURS_24 0x02
#define BINARY 0x04

static struct cpu cpu;
static struct {
    u8 reg[0x80];
    u8 index;
    unsigned accesses, updates; /* so many more readings of status A say that the clock updates itself */
    bool restless;              /* the seconds are others whenever they are read */
} cmos;

u64 clock_ns(void)
{
    return 0;
}

static u8 in(u16 port)
{
    assert_int_equal(port, 0x71);
    assert_true(++cmos.accesses < ACCESSES_MAX);
    if (cmos.index == STATUS_A && cmos.updates && --cmos.updates == 0)
        cmos.reg[STATUS_A] &= ~UIP;
    if (cmos.index == SECOND && cmos.restless)
        cmos.reg[SECOND] ^= 1;
    return cmos.reg[cmos.index];
}

static void out(u16 port, u8 value)
{
    assert_int_equal(port, 0x70);
    cmos.accesses++;
    cmos.index = value & 0x7F;
}

static int setup(void **state)
{
    static const u8 shown[] = { [0] = 0x56, [2] = 0x34, [4] = 0x12, [7] = 0x28, [8] = 0x11, [9] = 0x26 };

    (void)state;
    memset(&cmos, 0, sizeof(cmos));
    memcpy(cmos.reg, shown, sizeof(shown));
    cmos.reg[STATUS_B] = HOURS_24;
    processor.in = in;
    processor.out = out;
    return 0;
}

/* What rtc_init finds. */
static const char *date_found(void)
{
    static char text[RTC_TEXT];

    cmos.accesses = 0;
    stub_log_lines = 0;
    processor_run_as(&cpu);
    rtc_init();
    rtc_text(0, text);
    return text;
}

static void test_notations(void **state)
{
    static const struct {
        u8 status_b, hour, minute;
        const char *text;
    } row[] = {
        { HOURS_24, 0x12, 0x34, "2026-11-28T12:34:56.000000Z" },
        { 0, 0x12, 0x34, "2026-11-28T00:34:56.000000Z" },
        { 0, 0x92, 0x34, "2026-11-28T12:34:56.000000Z" },
        { 0, 0x91, 0x34, "2026-11-28T23:34:56.000000Z" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
        cmos.reg[STATUS_B] = row[i].status_b;
        cmos.reg[4] = row[i].hour;
        assert_string_equal(date_found(), row[i].text);
        assert_int_equal(stub_log_lines, 0);
    }
    cmos.reg[STATUS_B] = HOURS_24 | BINARY;
    cmos.reg[4] = 23;
    cmos.reg[7] = 28;
    cmos.reg[8] = 11;
    cmos.reg[9] = 26;
    cmos.reg[0] = cmos.reg[2] = 59;
    assert_string_equal(date_found(), "2026-11-28T23:59:59.000000Z");
}

/* An update takes a while: nothing is read meanwhile. */
static void test_an_update_is_waited_for(void **state)
{
    (void)state;
    cmos.reg[STATUS_A] = UIP;
    cmos.updates = 2000;
    assert_string_equal(date_found(), "2026-11-28T12:34:56.000000Z");
    assert_int_equal(cmos.updates, 0);
}

/* A clock that says for ever that it updates itself is taken at its word in the end. */
static void test_an_update_without_end(void **state)
{
    (void)state;
    cmos.reg[STATUS_A] = UIP;
    assert_string_equal(date_found(), "2026-11-28T12:34:56.000000Z");
}

/* One whose readings never agree is warned of; also if it updates itself for ever. */
static void test_never_stable(void **state)
{
    (void)state;
    cmos.restless = true;
    date_found();
    assert_int_equal(stub_log_lines, 1);
    cmos.reg[STATUS_A] = UIP;
    date_found();
    assert_int_equal(stub_log_lines, 1);
}

/* A machine without the clock reads ones. */
static void test_absent(void **state)
{
    (void)state;
    memset(cmos.reg, 0xFF, sizeof(cmos.reg));
    assert_string_equal(date_found(), "2000-01-01T00:00:00.000000Z");
    assert_int_equal(stub_log_lines, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_notations, setup),
        cmocka_unit_test_setup(test_an_update_is_waited_for, setup),
        cmocka_unit_test_setup(test_an_update_without_end, setup),
        cmocka_unit_test_setup(test_never_stable, setup),
        cmocka_unit_test_setup(test_absent, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

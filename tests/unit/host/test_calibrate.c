/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/calibrate.c tests/unit/stubs.c */
/*
 * Calibration by pretended counters, all driven by one time: right, dead, absent, slow, wrong and disturbed ones. The
 * time that a machine loses by each must have an end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/calibrate.h"
#include "host/bits.h"

#define TSC_HZ 2592000000ULL
#define NS 1000000000ULL
#define READING_NS 1000
#define PATIENCE_NS (60 * NS) /* that any number of broken counters may cost */

static struct {
    u64 ns;
    u64 stall_at, stall_ns; /* the machine stands once, for so long */
    u64 pit_start;
    unsigned readings;
} now;

static u64 tsc(void)
{
    return (u64)((unsigned __int128)now.ns * TSC_HZ / NS);
}

static void pass(u64 ns)
{
    now.ns += ns;
    if (now.stall_ns && now.ns >= now.stall_at) {
        now.ns += now.stall_ns;
        now.stall_ns = 0;
    }
}

/* A counter of `hz` is read in the middle of a reading; now and then that takes ten times as long. */
static u64 count_at(u64 hz, struct reading *reading)
{
    u64 half = READING_NS / 2 * (now.readings++ % 7 == 0 ? 10 : 1), count;

    reading->before = tsc();
    pass(half);
    count = (u64)((unsigned __int128)now.ns * hz / NS);
    pass(half);
    reading->after = tsc();
    return count;
}

#define HPET_HZ 14318180
#define PM_HZ 3579545
#define PIT_HZ 1193182

static bool hpet_read(struct reading *reading)
{
    reading->count = count_at(HPET_HZ, reading) & 0xFFFFFFFF;
    return true;
}

static bool pm_read(struct reading *reading)
{
    reading->count = count_at(PM_HZ, reading) & 0xFFFFFF;
    return true;
}

/* Once it is read a tick too low, which is nearly all that it can count: the round seems to be over as it begins. */
static bool slip_read(struct reading *reading)
{
    unsigned n = now.readings;

    if (n > 10)
        return pm_read(reading);
    count_at(0, reading);
    reading->count = 100 + (n > 5) - (n == 5);
    return true;
}

static bool pit_start(void)
{
    now.pit_start = (u64)((unsigned __int128)now.ns * PIT_HZ / NS);
    return true;
}

static bool pit_read(struct reading *reading)
{
    u64 count = count_at(PIT_HZ, reading) - now.pit_start;

    reading->count = count & 0xFFFF;
    return count <= 0xFFFF;
}

/* Counts 0.1 % too fast. */
static bool fast_read(struct reading *reading)
{
    reading->count = count_at(HPET_HZ + HPET_HZ / 1000, reading) & 0xFFFFFFFF;
    return true;
}

static bool absent_read(struct reading *reading)
{
    count_at(0, reading);
    reading->count = 0xFFFFFF;
    return true;
}

/* A tick in so long that a round would last for minutes. */
static bool slow_read(struct reading *reading)
{
    reading->count = count_at(100, reading) & 0xFFFFFF;
    return true;
}

static bool never_read(struct reading *reading)
{
    count_at(0, reading);
    return false;
}

static bool no_start(void)
{
    return false;
}

static const struct reference hpet = { "HPET", HPET_HZ, BITS(31, 0), NULL, hpet_read };
static const struct reference fast = { "fast", HPET_HZ, BITS(31, 0), NULL, fast_read };
static const struct reference pm = { "PM", PM_HZ, BITS(23, 0), NULL, pm_read };
static const struct reference pit = { "8254", PIT_HZ, BITS(15, 0), pit_start, pit_read };
static const struct reference broken[] = {
    { "absent", PM_HZ, BITS(23, 0), NULL, absent_read },
    { "slow", PM_HZ, BITS(23, 0), NULL, slow_read },
    { "always come round", PIT_HZ, BITS(15, 0), pit_start, never_read },
    { "not started", PIT_HZ, BITS(15, 0), no_start, pit_read },
};

static int setup(void **unused)
{
    (void)unused;
    /* The PM timer comes round during the first round. */
    memset(&now, 0, sizeof(now));
    now.ns = (BIT(24) - 1000) * NS / PM_HZ;
    return 0;
}

static void assert_right(const struct calibration *found, const char *source, const char *confirmed)
{
    assert_string_equal(found->source, source);
    if (confirmed)
        assert_string_equal(found->confirmed, confirmed);
    else
        assert_null(found->confirmed);
    assert_in_range(found->hz, TSC_HZ - TSC_HZ / 10000, TSC_HZ + TSC_HZ / 10000);
    assert_true(found->error <= found->hz / 10000);
    assert_in_range(TSC_HZ, found->hz - found->error, found->hz + found->error);
}

static void test_the_first_two_agree(void **unused)
{
    const struct reference all[] = { hpet, pm, pit };
    u64 start = now.ns;
    struct calibration found = calibrate(0, all, 3);

    (void)unused;
    assert_right(&found, "HPET", "PM");
    assert_true(now.ns - start < NS / 5); /* a round or two of each */
}

static void test_each_alone(void **unused)
{
    const struct reference *each[] = { &hpet, &pm, &pit };

    for (unsigned i = 0; i < ARRAY_SIZE(each); i++) {
        struct calibration found = calibrate(0, each[i], 1);

        (void)unused;
        assert_right(&found, each[i]->name, NULL);
    }
}

static void test_a_statement_is_believed_when_it_is_confirmed(void **unused)
{
    const struct reference all[] = { hpet, pm, pit };
    struct calibration found = calibrate(TSC_HZ, all, 3);

    (void)unused;
    assert_right(&found, "CPUID", "HPET");
    assert_int_equal(found.hz, TSC_HZ);
    assert_int_equal(found.error, 0);
}

/* Bochs: CPUID is that of a processor 70 times as fast, and there are no tables. */
static void test_a_false_statement(void **unused)
{
    struct calibration found = calibrate(3500000000, &pit, 1);

    (void)unused;
    assert_right(&found, "8254", NULL);

    const struct reference all[] = { hpet, pm, pit };

    found = calibrate(TSC_HZ + TSC_HZ / 1000, all, 3); /* as a base frequency that is rounded to 100 MHz may be off */
    assert_right(&found, "HPET", "PM");
}

static void test_two_outvote_a_wrong_one(void **unused)
{
    const struct reference all[] = { fast, pm, pit };
    struct calibration found = calibrate(0, all, 3);

    (void)unused;
    assert_right(&found, "PM", "8254");
}

static void test_broken_ones_are_passed_over(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(broken); i++) {
        const struct reference all[] = { broken[i], broken[(i + 1) % ARRAY_SIZE(broken)], pit };
        u64 start = now.ns;
        struct calibration found = calibrate(0, all, 3);

        assert_right(&found, "8254", NULL);
        assert_true(now.ns - start < PATIENCE_NS);
    }
}

static void test_nothing_counts(void **unused)
{
    struct calibration found = calibrate(0, broken, 3);

    (void)unused;
    assert_int_equal(found.hz, 0);
    assert_null(found.source);
    found = calibrate(TSC_HZ, broken, 3);
    assert_string_equal(found.source, "CPUID");
    assert_null(found.confirmed);
}

/* An emulator's thread stands at any moment of a round, for longer than the 8254 counts; others are disturbed by less.
 */
static void test_a_disturbed_round_is_repeated(void **unused)
{
    const struct reference *each[] = { &hpet, &pm, &pit };

    for (unsigned i = 0; i < ARRAY_SIZE(each); i++) {
        for (u64 stall = NS / 1000; stall <= NS / 10; stall *= 10) {
            for (u64 at = 0; at < NS / 20; at += NS / 3001) {
                struct calibration found;

                setup(unused);
                now.stall_at = now.ns + at;
                now.stall_ns = stall;
                found = calibrate(0, each[i], 1);
                assert_right(&found, each[i]->name, NULL);
            }
        }
    }
}

static void test_a_misread_count_ends_no_round(void **unused)
{
    const struct reference slip = { "PM", PM_HZ, BITS(23, 0), NULL, slip_read };
    struct calibration found = calibrate(0, &slip, 1);

    (void)unused;
    assert_right(&found, "PM", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_first_two_agree, setup),
        cmocka_unit_test_setup(test_each_alone, setup),
        cmocka_unit_test_setup(test_a_statement_is_believed_when_it_is_confirmed, setup),
        cmocka_unit_test_setup(test_a_false_statement, setup),
        cmocka_unit_test_setup(test_two_outvote_a_wrong_one, setup),
        cmocka_unit_test_setup(test_broken_ones_are_passed_over, setup),
        cmocka_unit_test_setup(test_nothing_counts, setup),
        cmocka_unit_test_setup(test_a_disturbed_round_is_repeated, setup),
        cmocka_unit_test_setup(test_a_misread_count_ends_no_round, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

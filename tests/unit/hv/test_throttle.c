/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/throttle.c */
/* When throttled VMs run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "hv/throttle.h"

#define OPEN 1000
#define BEGIN (OPEN * 123456789ULL + 17)

static void test_nobody_is_kept_out(void **state)
{
    u64 until;

    (void)state;
    for (u64 now = BEGIN; now < BEGIN + 10 * OPEN; now++) {
        assert_true(throttle_open(0, 3, OPEN, now, &until));
        assert_int_equal(until, ~0ULL);
    }
}

/* So long and no longer, and `until` is the very tick at which that changes. */
static void test_part_of_the_time(void **state)
{
    static const u32 percents[] = { 1, 20, 50, 75, 90, 99 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(percents); i++) {
        u64 period = OPEN * 100 / (100 - percents[i]), ran = 0, changes = 0, until;
        bool before = throttle_open(percents[i], 0, OPEN, BEGIN, &until);

        for (u64 now = BEGIN; now < BEGIN + 3 * period; now++) {
            u64 next;
            bool open = throttle_open(percents[i], 0, OPEN, now, &next);

            assert_true(open == (now < until ? before : !before));
            changes += now == until;
            before = open;
            until = next;
            ran += open;
        }
        assert_int_equal(ran, 3 * OPEN);
        assert_int_equal(changes, 6);
    }
}

/* Of four that are kept out for three quarters of the time, one runs at any moment: all do, in turn. */
static void test_one_after_the_other(void **state)
{
    bool ran[4] = { false };

    (void)state;
    for (u64 now = BEGIN; now < BEGIN + 4 * OPEN; now++) {
        unsigned open = 0;

        for (u32 turn = 7; turn < 7 + 4; turn++) {
            u64 until;

            if (!throttle_open(75, turn, OPEN, now, &until))
                continue;
            ran[turn - 7] = true;
            open++;
        }
        assert_int_equal(open, 1);
    }
    assert_true(ran[0] && ran[1] && ran[2] && ran[3]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_kept_out),
        cmocka_unit_test(test_part_of_the_time),
        cmocka_unit_test(test_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

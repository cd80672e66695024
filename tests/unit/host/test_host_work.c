/* SPDX-License-Identifier: BSD-2-Clause */
/* The host loop's work: its order, the earliest wish, and room for work that a command adds during a round. */
/* sources: host/host_work.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/host_work.h"

#define LATE 14 /* pieces of work that commands add; with the three below more than the hypervisor has */

static char done[64];
static u64 wish = 7;

static void note(const char *what)
{
    strcat(done, what);
}

static u64 late(void)
{
    note("l");
    return ~0ULL;
}

static u64 first(void)
{
    note("1");
    return ~0ULL;
}

static u64 command(void)
{
    static unsigned added;

    note("c");
    if (added++ < LATE)
        host_work_add(late);
    return wish;
}

static u64 last(void)
{
    note("3");
    return 9;
}

static void end(void)
{
    note("e");
}

static const char *one_round(u64 next)
{
    done[0] = 0;
    assert_int_equal(host_work_round(), next);
    return done;
}

static void test_rounds(void **state)
{
    (void)state;
    host_work_add(first);
    host_work_add(command);
    host_work_add(last);
    host_work_end_rounds_with(end);
    assert_string_equal(one_round(7), "1c3le");
    wish = 100;
    assert_string_equal(one_round(9), "1c3lle");
    for (unsigned i = 0; i < LATE; i++)
        one_round(9);
    assert_string_equal(one_round(9), "1c3lllllllllllllle");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rounds) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/attempts.c net/bucket.c */
#include "control/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"

static struct tcp_address ip4(u8 last)
{
    return (struct tcp_address){ .bytes = { 192, 0, 2, last }, .port = (u16)(1000 + last) };
}

static struct tcp_address ip6(u8 net, u8 host)
{
    return (struct tcp_address){ .ip6 = true, .bytes = { 0xfd, [7] = net, [15] = host } };
}

/* How many wrong tokens are looked at now? */
static unsigned tries(struct tcp_address from, u64 now)
{
    unsigned count = 0;

    for (; count < 1000 && attempts_may(&from, now); count++)
        attempts_count(&from, now);
    return count;
}

static void slowed_down(void **state)
{
    (void)state;
    assert_int_equal(tries(ip4(1), 5), 20);
    assert_int_equal(tries(ip4(1), 5 + NS_PER_S / 2), 0);
    assert_int_equal(tries(ip4(1), 5 + NS_PER_S), 1);
    assert_int_equal(tries(ip4(1), 5 + 4 * NS_PER_S), 3);
    assert_int_equal(tries(ip4(1), 1000 * NS_PER_S), 20);
}

/* Others are heard, but not from other ports or, of IPv6, from the same network. */
static void by_address(void **state)
{
    struct tcp_address same = ip4(2);

    (void)state;
    assert_int_equal(tries(ip4(2), 2000 * NS_PER_S), 20);
    assert_int_equal(tries(ip4(3), 2000 * NS_PER_S), 20);
    same.port = 7;
    assert_int_equal(tries(same, 2000 * NS_PER_S), 0);
    assert_int_equal(tries(ip6(1, 1), 2000 * NS_PER_S), 20);
    assert_int_equal(tries(ip6(1, 2), 2000 * NS_PER_S), 0);
    assert_int_equal(tries(ip6(2, 1), 2000 * NS_PER_S), 20);
}

/* Whoever has many addresses makes others be forgotten, the oldest first, and none that are at it. */
static void many_addresses(void **state)
{
    (void)state;
    assert_int_equal(tries(ip4(1), 3000 * NS_PER_S), 20);
    for (u8 i = 100; i < 163; i++)
        assert_int_equal(tries(ip4(i), 3000 * NS_PER_S + i), 20);
    assert_int_equal(tries(ip4(1), 3000 * NS_PER_S + 200), 0);
    assert_int_equal(tries(ip4(200), 3000 * NS_PER_S + 200), 20);
    assert_int_equal(tries(ip4(162), 3000 * NS_PER_S + 200), 0);
    assert_int_equal(tries(ip4(1), 3000 * NS_PER_S + 200), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slowed_down),
        cmocka_unit_test(by_address),
        cmocka_unit_test(many_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

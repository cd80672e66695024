/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/callers.c tests/unit/stubs.c */
#include "net/callers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/clock.h"

#define PLACES 16
#define EACH 8

static u64 now = 1000 * NS_PER_S;

static struct tcp_address address(u8 network, u8 host)
{
    return (struct tcp_address){ .bytes = { 10, 9, network, host }, .port = (u16)(1024 + host) };
}

static struct caller *enter(u8 network, u8 host)
{
    struct tcp_address from = address(network, host);

    now++;
    return caller_enter(&from, now);
}

static void leave(struct caller **caller, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        caller_leave(caller[i]);
}

/* One address has no more than its places, and pays for one more itself. */
static void test_one_address(void **state)
{
    struct caller *caller[EACH + 1];

    (void)state;
    for (unsigned i = 0; i < EACH; i++) {
        caller[i] = enter(0, 1);
        assert_null(caller_crowding(caller[i]));
    }
    caller[EACH] = enter(0, 1);
    assert_ptr_equal(caller_crowding(caller[EACH]), caller[0]);
    leave(caller, EACH + 1);
}

/* Whoever has most makes way for others, and not the other way round. */
static void test_most(void **state)
{
    struct caller *caller[PLACES + 2];

    (void)state;
    for (unsigned i = 0; i < PLACES; i++)
        caller[i] = enter(0, i < EACH ? 1 : i < EACH + 5 ? 2 : 3);
    caller[PLACES] = enter(0, 4);
    assert_ptr_equal(caller_crowding(caller[PLACES]), caller[0]);
    caller_leave(caller[0]);
    caller[PLACES + 1] = enter(0, 1); /* again */
    assert_ptr_equal(caller_crowding(caller[PLACES + 1]), caller[0]);
    leave(caller + 1, PLACES + 1);
}

/* Of many with one place each the one that came first makes way. */
static void test_many_addresses(void **state)
{
    struct caller *caller[PLACES + 1];

    (void)state;
    for (unsigned i = 0; i <= PLACES; i++)
        caller[i] = enter(0, (u8)(10 + i));
    assert_ptr_equal(caller_crowding(caller[PLACES]), caller[0]);
    leave(caller, PLACES + 1);
}

/* A known host has its place however many strangers come and have come, and does not make way. */
static void test_known(void **state)
{
    struct tcp_address named = address(7, 1), proved = address(7, 2);
    struct caller *caller[PLACES], *first, *second;

    (void)state;
    caller_know(&named, true, now);
    caller_know(&proved, false, now);
    first = enter(7, 2);
    for (unsigned network = 0; network < 3; network++)
        for (unsigned host = 0; host < 200; host++) {
            struct caller *passing = enter((u8)(100 + network), (u8)host);

            caller_leave(passing);
        }
    for (unsigned i = 0; i < PLACES; i++)
        caller[i] = enter(1, (u8)i);
    second = enter(7, 1);
    assert_null(caller_crowding(second));
    assert_null(caller_crowding(first));
    for (unsigned i = 0; i < PLACES; i++)
        assert_true(caller_is_before(second, caller[i]));
    caller_leave(first);
    caller_leave(second);
    leave(caller, PLACES);
}

/* However many hosts have proved their key: the configuration's stay known. */
static void test_named_stay(void **state)
{
    struct caller *caller[PLACES], *host;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        struct tcp_address proved = address(8, (u8)i);

        caller_know(&proved, false, ++now);
    }
    for (unsigned i = 0; i < PLACES; i++)
        caller[i] = enter(1, (u8)i);
    host = enter(7, 1);
    assert_null(caller_crowding(host));
    caller_leave(host);
    host = enter(8, 199);
    assert_null(caller_crowding(host));
    caller_leave(host);
    host = enter(8, 0); /* forgotten meanwhile */
    assert_non_null(caller_crowding(host));
    caller_leave(host);
    leave(caller, PLACES);
}

/* IPv6: all addresses of a network are one stranger, but not one known host. */
static void test_ip6(void **state)
{
    struct tcp_address one = { .ip6 = true, .bytes = { 0xfd, 9, [15] = 1 } }, two = one;
    struct caller *caller[2];

    (void)state;
    two.bytes[15] = 2;
    caller[0] = caller_enter(&one, now);
    caller[1] = caller_enter(&two, now);
    assert_ptr_equal(caller[0], caller[1]);
    leave(caller, 2);
    caller_know(&two, false, now);
    caller[0] = caller_enter(&one, now);
    caller[1] = caller_enter(&two, now);
    assert_ptr_not_equal(caller[0], caller[1]);
    assert_true(caller_is_before(caller[1], caller[0]));
    leave(caller, 2);
}

/* Work of 20 ms each, whenever it is allowed: so much time it takes in 100 s. */
static u64 work(struct caller *caller)
{
    u64 used = 0, until = now + 100 * NS_PER_S;

    while (now < until) {
        if (!caller_may_work(caller, now)) {
            now += NS_PER_S / 1000;
            continue;
        }
        now += NS_PER_S / 50;
        used += NS_PER_S / 50;
        caller_worked(caller, NS_PER_S / 50, now);
    }
    return used;
}

static void test_time(void **state)
{
    struct caller *stranger = enter(0, 1), *known = enter(7, 1);
    u64 used;

    (void)state;
    used = work(stranger);
    assert_in_range(used, 99 * NS_PER_S / 10, 108 * NS_PER_S / 10);
    assert_false(caller_may_work(stranger, now));
    assert_true(caller_may_work(known, now));
    used = work(known);
    assert_in_range(used, 49 * NS_PER_S, 54 * NS_PER_S);
    assert_true(caller_may_work(stranger, now));
    caller_leave(stranger);
    caller_leave(known);
}

/* The processor was away for long in the middle of a step: a stranger's handshake, which has three, is completed. */
static void test_processor_away(void **state)
{
    struct caller *stranger = enter(0, 1);

    (void)state;
    now += 10 * NS_PER_S;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(caller_may_work(stranger, now));
        now += 3 * NS_PER_S / 1000;
        caller_worked(stranger, 3 * NS_PER_S, now);
    }
    assert_false(caller_may_work(stranger, now));
    now += 5 * NS_PER_S / 2;
    assert_true(caller_may_work(stranger, now));
    caller_leave(stranger);
}

/* Addresses have turns, one after the other, however many places each has. */
static void test_turns(void **state)
{
    struct caller *one = enter(0, 1), *two = enter(0, 2), *again = enter(0, 1);

    (void)state;
    assert_ptr_equal(one, again);
    assert_true(caller_is_before(one, two));
    caller_worked(one, 1, now);
    assert_true(caller_is_before(two, one));
    caller_worked(two, 1, now);
    assert_true(caller_is_before(one, two));
    caller_leave(one);
    caller_leave(again);
    caller_leave(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address),    cmocka_unit_test(test_most),
        cmocka_unit_test(test_many_addresses), cmocka_unit_test(test_known),
        cmocka_unit_test(test_named_stay),     cmocka_unit_test(test_ip6),
        cmocka_unit_test(test_time),           cmocka_unit_test(test_processor_away),
        cmocka_unit_test(test_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The witness as its callers see it (owners/witness.h): a register, whose members fail. */
/* sources: owners/witness.c owners/etcd.c owners/base64.c net/http_exchange.c net/http_answer.c net/http_head.c */
/* sources: tests/unit/witness_rig.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "owners/base64.h"
#include "tests/unit/witness_rig.h"

static void a_register(void **state)
{
    struct witness_counters before = *witness_counters();

    (void)state;
    assert_int_equal(read_key(), WITNESS_READ);
    assert_false(outcome()->present);
    assert_int_equal(swap("1 owner a", "2 owner b"), WITNESS_DIFFERENT);
    assert_false(outcome()->present);
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    assert_int_equal(swap(NULL, "1 owner c"), WITNESS_DIFFERENT);
    assert_true(outcome()->present);
    assert_string_equal(outcome()->value, "1 owner a");
    assert_int_equal(swap("1 owner a", "2 owner b"), WITNESS_SWAPPED);
    assert_string_equal(rig.held, "2 owner b");
    assert_int_equal(read_key(), WITNESS_READ);
    assert_true(outcome()->present);
    assert_string_equal(outcome()->value, "2 owner b");
    assert_int_equal(witness_counters()->read - before.read, 2);
    assert_int_equal(witness_counters()->swapped - before.swapped, 2);
    assert_int_equal(witness_counters()->different - before.different, 2);
    /* To one member, all by the connection that was there. */
    assert_int_equal(rig.server[0].connections, 0);
    assert_int_equal(rig.server[0].requests, 6);
    assert_int_equal(rig.server[1].requests + rig.server[2].requests, 0);
    assert_true(witness_member(0)->answering);
    assert_int_equal(witness_member(0)->cluster, 14841639068965178418ULL);
}

/* A swap whose answer was lost, asked again. */
static void swapped_before(void **state)
{
    (void)state;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    assert_int_equal(swap("0 owner z", "1 owner a"), WITNESS_SWAPPED);
}

static void the_longest(void **state)
{
    char value[ETCD_VALUE], longer[ETCD_VALUE + 1];

    (void)state;
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(swap(NULL, value), WITNESS_SWAPPED);
    assert_int_equal(swap(value, value), WITNESS_SWAPPED);
    assert_int_equal(read_key(), WITNESS_READ);
    assert_string_equal(outcome()->value, value);
    memset(longer, 'v', sizeof(longer)); /* somebody else has put it */
    longer[sizeof(longer) - 1] = '\0';
    strcpy(rig.held, longer);
    assert_int_equal(read_key(), WITNESS_UNREACHABLE);
    assert_non_null(strstr(outcome()->reason, "a value that is none of ours"));
    strcpy(rig.held, "tab\tbell\a");
    assert_int_equal(read_key(), WITNESS_READ);
    assert_string_equal(outcome()->value, "tab?bell?");
    *rig.held = '\0';
    assert_int_equal(read_key(), WITNESS_READ);
    assert_true(outcome()->present);
    assert_string_equal(outcome()->value, "");
}

static void byte_by_byte(void **state)
{
    (void)state;
    rig.server[0].piece = 1;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    assert_int_equal(swap("x", "y"), WITNESS_DIFFERENT);
    assert_string_equal(outcome()->value, "1 owner a");
}

/* From one that is silent, refuses or can't be reached to the next one, which is asked first from then on. */
static void the_next_one(void **state)
{
    static const struct {
        enum conduct conduct;
        u64 ms;
        bool sent;
    } cases[] = { { SILENT, TIMEOUT, true }, { VANISHED, TIMEOUT, false }, { REFUSES, 0, false } };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        witness_setup(state);
        rig.server[0].conduct = cases[i].conduct;
        witness_swap(rig.request, KEY, NULL, "1 owner a");
        assert_int_equal(outcome()->sent, cases[i].sent);
        assert_int_equal(wait_ms(), cases[i].ms);
        assert_int_equal(outcome()->result, WITNESS_SWAPPED);
        assert_true(outcome()->sent);
        assert_false(witness_member(0)->answering);
        rig.server[0].conduct = ANSWERS;
        assert_int_equal(read_key(), WITNESS_READ);
        assert_int_equal(rig.server[1].requests, 2);
        witness_close(rig.request);
        rig.request = NULL;
    }
}

/* It has done the swap, and the second one that is asked says so. */
static void an_answer_is_lost(void **state)
{
    (void)state;
    rig.server[0].conduct = FORGETS;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    assert_string_equal(rig.held, "1 owner a");
    assert_string_equal(outcome()->reason, "");
    assert_int_equal(rig.server[0].requests, 2); /* by the connection that had waited, and by a new one */
    assert_int_equal(rig.server[1].requests, 1);
    assert_string_equal(witness_member(0)->fault, "closed the connection without an answer");
}

static void none_is_left(void **state)
{
    (void)state;
    rig.server[0].conduct = VANISHED;
    rig.server[1].conduct = REFUSES;
    rig.server[2].conduct = VANISHED;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_UNREACHABLE);
    assert_false(outcome()->sent);
    assert_int_equal(outcome()->ns, 2ULL * TIMEOUT * 1000000);
    assert_string_equal(outcome()->reason,
                        "none of 3 members; the last one, https://192.0.2.3:2379: no connection within 300 ms");
    rig.server[1].conduct = SILENT;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_UNREACHABLE);
    assert_true(outcome()->sent); /* in doubt */
    rig.server[1].conduct = ANSWERS;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
}

/* One that failed last time is asked after the others. */
static void the_dead_are_asked_last(void **state)
{
    (void)state;
    rig.server[1].conduct = VANISHED;
    witness_read_at(rig.request, 1, KEY);
    assert_int_equal(wait_ms(), TIMEOUT);
    assert_string_equal(outcome()->reason, "https://192.0.2.2:2379: no connection within 300 ms");
    rig.server[0].conduct = REFUSES;
    witness_read(rig.request, KEY);
    assert_int_equal(wait_ms(), 0);
    assert_int_equal(outcome()->result, WITNESS_READ);
    assert_int_equal(rig.server[2].requests, 1);
}

/* The power of a member's machine fails between two questions, so it does not close its connections, and resets them
 * when something comes: the next question is asked again by a new one. A swap is in doubt meanwhile. */
static void a_member_is_started_anew(void **state)
{
    (void)state;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    rig.server[0].starts++;
    witness_read(rig.request, KEY);
    assert_int_equal(wait_ms(), 0);
    assert_int_equal(outcome()->result, WITNESS_READ);
    assert_int_equal(rig.server[0].requests, 2);
    assert_int_equal(rig.server[0].connections, 1);
    assert_int_equal(rig.server[1].requests, 0);
    rig.server[0].starts++;
    witness_swap(rig.request, KEY, NULL, "1 owner b");
    assert_true(outcome()->sent);
    assert_int_equal(wait_ms(), 0);
    assert_int_equal(outcome()->result, WITNESS_DIFFERENT);
}

#define MANY (HTTP_KEPT + 2)

/* So many questions at a time to the first member, each by a connection of its own. */
static void ask_many(void)
{
    struct witness_request *many[MANY];

    rig.server[0].conduct = VANISHED;
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = witness_open();
        witness_read_at(many[i], 0, KEY);
    }
    assert_int_equal(rig.server[0].connections, MANY);
    rig.server[0].conduct = ANSWERS;
    rig.poll();
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(witness_outcome(many[i])->result, WITNESS_READ);
        witness_close(many[i]);
    }
}

/* Only as many connections wait as one server may have, and none that it closes. */
static void connections_wait(void **state)
{
    unsigned before = rig.streams; /* one of them is to this server, and vanishes */

    (void)state;
    ask_many();
    assert_int_equal(rig.streams, before - 1 + HTTP_KEPT);
    rig.server[0].conduct = PARTS;
    assert_int_equal(read_key(), WITNESS_READ);
    assert_int_equal(rig.streams, before - 2 + HTTP_KEPT);
    assert_int_equal(rig.server[0].connections, MANY);
}

/* What is between has forgotten the connections that wait, and does not say so: one question is late, not each. */
static void connections_are_lost(void **state)
{
    (void)state;
    ask_many();
    assert_int_equal(witness_member(0)->server.count, HTTP_KEPT);
    rig.server[0].starts++;
    rig.server[0].conduct = LOSES;
    assert_int_equal(read_at(0), WITNESS_UNREACHABLE);
    assert_non_null(strstr(outcome()->reason, "no answer within 300 ms"));
    assert_int_equal(witness_member(0)->server.count, 0);
    assert_int_equal(read_at(0), WITNESS_READ);
    assert_int_equal(rig.server[0].connections, MANY + 1);
}

/* What comes on a connection that waits answers no later question: the connection is given up. */
static void said_unasked(void **state)
{
    (void)state;
    rig.server[0].conduct = REFUSES; /* no connection waits */
    read_at(0);
    rig.server[1].conduct = rig.server[2].conduct = VANISHED;
    rig.server[0].connections = 0;
    rig.server[0].conduct = REPEATS;
    assert_int_equal(swap(NULL, "1 owner a"), WITNESS_SWAPPED);
    rig.server[0].conduct = ANSWERS;
    assert_int_equal(swap("0 owner z", "2 owner b"), WITNESS_DIFFERENT);
    assert_string_equal(outcome()->value, "1 owner a");
    assert_int_equal(rig.server[0].connections, 2);
}

/* A question waits for its time-out, no longer; but the handshake goes on for the next one. */
static void a_long_handshake(void **state)
{
    (void)state;
    rig.server[0].conduct = REFUSES; /* no connection waits */
    read_at(0);
    rig.server[0].conduct = SHAKES;
    rig.server[0].connections = 0;
    witness_read_at(rig.request, 0, KEY);
    assert_int_equal(wait_ms(), TIMEOUT);
    assert_non_null(strstr(outcome()->reason, "no connection within 300 ms"));
    assert_false(outcome()->sent);
    witness_read_at(rig.request, 0, KEY);
    assert_int_equal(wait_ms(), TIMEOUT);
    rig.server[0].conduct = ANSWERS;
    assert_int_equal(read_at(0), WITNESS_READ);
    assert_int_equal(rig.server[0].connections, 1);
}

/* What a handshake found out too late for its own question is said of the next one that is late in a handshake; not of
 * one that reaches nobody, and not any more when the member has answered. */
static void a_late_verdict(void **state)
{
    const enum conduct then[] = { JUDGES, VANISHED, JUDGES, ANSWERS, SHAKES };
    const char *const words[] = { "refuses our certificate", "no connection", "refuses our certificate", "",
                                  "no connection" };

    (void)state;
    rig.server[0].conduct = REFUSES; /* no connection waits */
    read_at(0);
    rig.server[0].conduct = SHAKES;
    read_at(0);
    assert_non_null(strstr(outcome()->reason, "no connection within 300 ms"));
    rig.server[0].starts++;
    for (unsigned i = 0; i < ARRAY_SIZE(then); i++) {
        rig.server[0].conduct = then[i];
        assert_int_equal(read_at(0), then[i] == ANSWERS ? WITNESS_READ : WITNESS_UNREACHABLE);
        assert_non_null(strstr(outcome()->reason, words[i]));
    }
}

static void another_question_instead(void **state)
{
    (void)state;
    rig.server[0].conduct = SILENT;
    witness_read(rig.request, KEY);
    rig.poll();
    rig.server[0].conduct = ANSWERS;
    witness_swap(rig.request, KEY, NULL, "1 owner a");
    wait_ms();
    assert_int_equal(outcome()->result, WITNESS_SWAPPED);
    assert_int_equal(rig.server[0].connections, 1); /* that of the first one is reset */
}

/* The host loop is told when the time is over. */
static void the_time_to_wake(void **state)
{
    u64 tick;

    (void)state;
    rig.server[0].conduct = SILENT;
    rig.poll();
    assert_int_equal(rig.poll(), ~0ULL);
    witness_read_at(rig.request, 0, KEY);
    tick = rig.poll();
    assert_true(tick != ~0ULL && tick != 0);
    rig.now += TIMEOUT * 1000000ULL;
    assert_int_equal(rig.poll(), 0); /* there is news */
    assert_int_equal(outcome()->result, WITNESS_UNREACHABLE);
}

static void base64(void **state)
{
    static const struct {
        const char *bytes, *text;
    } vectors[] = { { "", "" },
                    { "f", "Zg==" },
                    { "fo", "Zm8=" },
                    { "foo", "Zm9v" },
                    { "foob", "Zm9vYg==" },
                    { "fooba", "Zm9vYmE=" },
                    { "foobar", "Zm9vYmFy" },
                    { "\xff\xfe\xfb", "//77" } };
    static const char *const wrong[] = { "Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm9*", "Zm\n=" };
    char text[20], bytes[20];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
        size_t len = strlen(vectors[i].bytes);

        base64_encode(vectors[i].bytes, len, text);
        assert_string_equal(text, vectors[i].text);
        assert_int_equal(strlen(text) + 1, BASE64_ROOM(len));
        assert_int_equal(base64_decode(text, strlen(text), bytes, len), len);
        assert_memory_equal(bytes, vectors[i].bytes, len);
        if (len)
            assert_int_equal(base64_decode(text, strlen(text), bytes, len - 1), -1);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(base64_decode(wrong[i], strlen(wrong[i]), bytes, sizeof(bytes)), -1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_register, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(swapped_before, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(the_longest, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(byte_by_byte, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(the_next_one, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(an_answer_is_lost, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(none_is_left, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(the_dead_are_asked_last, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(a_member_is_started_anew, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(connections_wait, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(connections_are_lost, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(a_late_verdict, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(said_unasked, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(a_long_handshake, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(another_question_instead, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(the_time_to_wake, witness_setup, witness_teardown),
        cmocka_unit_test(base64),
    };

    return cmocka_run_group_tests(tests, witness_group_setup, NULL);
}

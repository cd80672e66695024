/* SPDX-License-Identifier: BSD-2-Clause */
/* Whatever a server says that is taken for a witness, it makes a question unreachable, with a reason. */
/* sources: owners/witness.c owners/etcd.c owners/base64.c net/http_exchange.c net/http_answer.c net/http_head.c */
/* sources: tests/unit/witness_rig.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "tests/unit/witness_rig.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define ID "\"header\":{\"cluster_id\":\"14841639068965178418\"}"

/* An answer with the right length. */
static const char *answer(const char *head, const char *body)
{
    static char text[8192];

    snprintf(text, sizeof(text), "%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    return text;
}

static void strange_heads(void **state)
{
    static char endless[5000];
    static const struct {
        const char *text, *says;
    } cases[] = {
        { endless, "too long" },
        { "SSH-2.0-OpenSSH_9.2\r\n\r\n", "not one of HTTP/1.1" },
        { "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not one of HTTP/1.1" },
        { "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}", "not one of HTTP/1.1" },
        { "HTTP/1.1\r\n\r\n", "not one of HTTP/1.1" },
        { OK "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "in pieces" },
        { OK "\r\n{}", "no Content-Length" },
        { OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "wrong Content-Length" },
        { OK "Content-Length: -2\r\n\r\n{}", "wrong Content-Length" },
        { OK "Content-Length:\r\n\r\n{}", "wrong Content-Length" },
        { OK "Content-Length: 99999999999999999999\r\n\r\n{}", "too long" },
        { OK "Content-Length: 4090\r\n\r\n{}", "too long" },
        { OK "Content-Length : 2\r\n\r\n{}", "none of HTTP" },
        { OK "no field\r\n\r\n{}", "none of HTTP" },
        { OK "Content-Length: 2\r\n\r\n{}{}", "more than it was asked" },
        { "HTTP/1.1 301 Moved\r\nLocation: http://192.0.2.99/\r\nContent-Length: 0\r\n\r\n", "status 301" },
        { "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\n{}", "no Content-Length" },
    };

    (void)state;
    memset(endless, 'x', sizeof(endless) - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        rig.server[1].conduct = SAYS;
        rig.server[1].text = cases[i].text;
        read_at(1);
        assert_int_equal(outcome()->result, WITNESS_UNREACHABLE);
        if (!strstr(outcome()->reason, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", outcome()->reason, cases[i].says);
    }
}

static void strange_bodies(void **state)
{
    static const struct {
        const char *head, *body, *says;
    } cases[] = {
        { OK, "", "not one of an etcd" },
        { OK, "{}", "not one of an etcd" },
        { OK, "hello", "not one of an etcd" },
        { OK, "{" ID, "not one of an etcd" },
        { OK, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
          "not one of an etcd" },
        { OK, "{\"header\":{\"cluster_id\":\"x1\"}}", "not one of an etcd" },
        { OK, "{\"header\":{\"cluster_id\":\"18446744073709551616\"}}", "not one of an etcd" },
        { OK, "{\"header\":\"cluster_id\"}", "not one of an etcd" },
        { OK, "{\"header\":{\"cluster_id\"}}", "not one of an etcd" },
        { OK, "{" ID ",\"kvs\":7}", "does not say what the key has" },
        { OK, "{" ID ",\"kvs\":[{\"value\":\"eA==\"},{\"value\":\"eA==\"}]}", "does not say what the key has" },
        { OK, "{" ID ",\"kvs\":[{\"value\":[\"eA==\"]}]}", "does not say what the key has" },
        { OK, "{" ID ",\"kvs\":[{\"value\":\"eA=\"}]}", "none of ours" },
        { OK, "{" ID ",\"kvs\":[{\"value\":\"AAAA\"}]}", "none of ours" },
        { "HTTP/1.1 503 Service Unavailable\r\n",
          "{\"error\":\"etcdserver: request timed out\",\"message\":\"etcdserver: request timed out\",\"code\":14}",
          "status 503: etcdserver: request timed out" },
        { "HTTP/1.1 401 Unauthorized\r\n", "{\"error\":\"etcdserver: user name is empty\\u0007\x1b\"}", "status 401" },
        { "HTTP/1.1 404 Not Found\r\n", "404 page not found\n", "status 404" },
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        rig.server[1].conduct = SAYS;
        rig.server[1].text = answer(cases[i].head, cases[i].body);
        read_at(1);
        assert_int_equal(outcome()->result, WITNESS_UNREACHABLE);
        if (!strstr(outcome()->reason, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", outcome()->reason, cases[i].says);
        assert_null(strchr(outcome()->reason, '\x1b'));
    }
}

/* A swap that is not answered as one. */
static void strange_swaps(void **state)
{
    static const char *const bodies[] = {
        "{" ID "}",
        "{" ID ",\"succeeded\":true}",
        "{" ID ",\"succeeded\":true,\"responses\":[]}",
        "{" ID ",\"succeeded\":true,\"responses\":[{\"response_range\":{}}]}",
        "{" ID ",\"succeeded\":\"yes\",\"responses\":[{\"response_put\":{}}]}",
        "{" ID ",\"responses\":[{\"response_range\":{}},{\"response_range\":{}}]}",
    };

    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        rig.server[i].conduct = SAYS;
    for (unsigned i = 0; i < ARRAY_SIZE(bodies); i++) {
        rig.server[0].text = rig.server[1].text = rig.server[2].text = answer(OK, bodies[i]);
        assert_int_equal(swap(NULL, "1 owner a"), WITNESS_UNREACHABLE);
        assert_non_null(strstr(outcome()->reason, "does not say how the swap ended"));
        assert_true(outcome()->sent);
    }
}

/* Of two etcds each would have a winner, so none counts; until all members say that they belong to one. */
static void two_clusters(void **state)
{
    (void)state;
    rig.server[2].cluster = 5;
    rig.server[0].conduct = rig.server[1].conduct = REFUSES;
    assert_int_equal(read_key(), WITNESS_UNREACHABLE);
    assert_string_equal(witness_member(2)->fault, "another member belongs to another cluster than its 5");
    rig.server[0].conduct = ANSWERS;
    assert_int_equal(read_key(), WITNESS_UNREACHABLE);
    rig.server[0].cluster = rig.server[1].cluster = 5;
    rig.server[1].conduct = ANSWERS;
    assert_int_equal(read_key(), WITNESS_READ); /* the last one of the three that are asked is the first to be heard */
    assert_int_equal(read_key(), WITNESS_READ);
}

/* A member that is lost for good, of an etcd that was made anew, keeps nobody waiting for longer than a minute; one
 * that answers does. */
static void a_lost_member(void **state)
{
    (void)state;
    rig.server[0].cluster = rig.server[1].cluster = 5;
    for (u64 end = rig.now + 120000000000ULL; rig.now < end; rig.now += 1000000000)
        assert_int_equal(read_key(), WITNESS_UNREACHABLE);
    rig.server[2].conduct = VANISHED;
    for (u64 end = rig.now + 59000000000ULL; rig.now < end; rig.now += 1000000000)
        assert_int_equal(read_key(), WITNESS_UNREACHABLE);
    rig.now += 2000000000;
    assert_int_equal(read_key(), WITNESS_READ);
    /* If it comes back as it was, there are two etcds again. */
    rig.server[2].conduct = ANSWERS;
    assert_int_equal(read_at(2), WITNESS_UNREACHABLE);
    assert_int_equal(read_key(), WITNESS_UNREACHABLE);
}

/* A machine that stood for long itself still knows what those have said whom it has not asked since. */
static void a_machine_that_stood(void **state)
{
    (void)state;
    rig.now += 300000000000ULL;
    rig.server[2].cluster = 5;
    assert_int_equal(read_at(2), WITNESS_UNREACHABLE);
    rig.server[2].cluster = rig.server[0].cluster;
    assert_int_equal(read_key(), WITNESS_READ);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(strange_heads, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(strange_bodies, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(strange_swaps, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(two_clusters, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(a_lost_member, witness_setup, witness_teardown),
        cmocka_unit_test_setup_teardown(a_machine_that_stood, witness_setup, witness_teardown),
    };

    return cmocka_run_group_tests(tests, witness_group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: owners/peers.c tests/unit/stubs.c */
/* Which of the configuration's peers are asked, and what becomes of their answers. */
#include "owners/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "host/clock.h"
#include "net/netif.h"
#include "net/tcp_stream.h"
#include "owners/allowed.h"
#include "stream/tcp_transport.h"

static unsigned started, taken;

u64 clock_ns(void)
{
    return 1;
}

/* This machine is 192.0.2.10. */
u32 netif_port_ip4(void)
{
    return 10u << 24 | 2u << 16 | 192;
}

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    snprintf(text, TCP_ADDRESS_TEXT, "192.0.2.%u%s", address->bytes[3], address->port ? ":4900" : "");
}

void tcp_stream_expect(const struct tcp_address *host)
{
    (void)host;
}

void tcp_stream_abort(struct tcp_stream *stream)
{
    (void)stream;
}

/* All but 192.0.2.12 may be reached. */
bool tcp_transport_may(const struct tcp_address *to, const char **why)
{
    *why = "it is no peer";
    return to->bytes[3] != 12;
}

int tcp_transport_dial(const struct tcp_address *to, struct tcp_stream **connecting, struct transport *transport)
{
    (void)to, (void)connecting, (void)transport;
    return 0;
}

void allowed_take(const struct wire_claim *claim, const char *where)
{
    assert_int_equal(claim->epoch, 7);
    assert_string_equal(where, "192.0.2.11");
    taken++;
}

void peer_query_start(struct peer_query *query, const struct peer_query_ops *ops, void *ctx,
                      const struct wire_claim *questions, unsigned count)
{
    *query =
        (struct peer_query){ .ops = ops, .ctx = ctx, .questions = questions, .count = count, .status = PEER_ASKED };
    started++;
}

/* Each peer has the guest that it is asked about, and says more that is no claim. */
bool peer_query_step(struct peer_query *query)
{
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .epoch = 7, .name = "web" };

    query->ops->heard(query->ctx, &claim);
    claim.kind = WIRE_CLAIM_GREETS;
    query->ops->heard(query->ctx, &claim);
    query->status = PEER_ANSWERED;
    return false;
}

void peer_query_end(struct peer_query *query)
{
    (void)query;
}

static void test_who_is_asked(void **state)
{
    static const struct config_migration config = {
        .port = 4900,
        .peers = { { .bytes = { 192, 0, 2, 10 }, .port = 4900 },
                   { .bytes = { 192, 0, 2, 11 }, .port = 4900 },
                   { .bytes = { 192, 0, 2, 12 }, .port = 4900 } },
    };
    static const struct wire_claim question = { .kind = WIRE_CLAIM_ASKS };

    (void)state;
    peers_ask(&config, &question, 1);
    assert_int_equal(started, 1);
    assert_false(peers_step());
    peers_end();
    assert_int_equal(taken, 1);
    assert_string_equal(peers_get(1)->found, "runs web, epoch 7");
    assert_int_equal(peers_get(0)->query.status, PEER_UNASKED);
    assert_int_equal(peers_get(2)->query.status, PEER_UNASKED);
    assert_null(peers_get(3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

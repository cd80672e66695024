/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "peers"
#include "owners/peers.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "host/clock.h"
#include "host/log.h"
#include "owners/allowed.h"
#include "stream/tcp_transport.h"
#include "net/netif.h"
#include "net/tcp_stream.h"

static struct peer peers[CONFIG_PEERS];
static unsigned count;

static u64 now(void *ctx)
{
    (void)ctx;
    return clock_ns();
}

static int connect(void *ctx, struct transport *transport)
{
    struct peer *peer = ctx;

    return tcp_transport_dial(&peer->address, &peer->connecting, transport);
}

static void heard(void *ctx, const struct wire_claim *claim)
{
    static const char *const says[] = {
        [WIRE_CLAIM_OWNS] = "runs",
        [WIRE_CLAIM_ASKS] = "is about to start",
        [WIRE_CLAIM_HOLDS] = "keeps a copy of",
    };
    struct peer *peer = ctx;
    struct tcp_address host = peer->address;
    char where[TCP_ADDRESS_TEXT];

    if (claim->kind < WIRE_CLAIM_OWNS || claim->kind > WIRE_CLAIM_HOLDS)
        return;
    host.port = 0;
    tcp_address_text(&host, where);
    snprintf(peer->found, sizeof(peer->found), "%s %s, epoch %lu", says[claim->kind], claim->name, claim->epoch);
    allowed_take(claim, where);
}

static const struct peer_query_ops ops = { .now = now, .connect = connect, .heard = heard };

/* May we ask it? If not the log says why. */
static bool may_ask(const struct peer *peer)
{
    const char *why;
    bool may = tcp_transport_may(&peer->address, &why);

    if (!may)
        pr_warn("%s: a guest that it may have is started here all the same", why);
    return may;
}

void peers_ask(const struct config_migration *config, const struct wire_claim *questions, unsigned nr_questions)
{
    u32 own = netif_port_ip4();

    for (count = 0; count < CONFIG_PEERS && config->peers[count].port; count++) {
        const struct config_server *from = &config->peers[count];
        struct peer *peer = &peers[count];

        *peer = (struct peer){ .address = { .port = (u16)from->port }, .began = clock_ns() };
        memcpy(peer->address.bytes, from->bytes, sizeof(from->bytes));
        tcp_stream_expect(&peer->address);
        peer->own = !memcmp(from->bytes, &own, sizeof(own)) && from->port == config->port;
        if (!peer->own && nr_questions && may_ask(peer))
            peer_query_start(&peer->query, &ops, peer, questions, nr_questions);
    }
}

bool peers_step(void)
{
    bool more = false;

    for (unsigned i = 0; i < count; i++) {
        struct peer *peer = &peers[i];

        if (peer->query.status != PEER_ASKED)
            continue;
        more |= peer_query_step(&peer->query);
        if (peer->query.status == PEER_ANSWERED)
            peer->answered = clock_ns();
    }
    return more;
}

void peers_end(void)
{
    char text[TCP_ADDRESS_TEXT];

    for (unsigned i = 0; i < count; i++) {
        struct peer *peer = &peers[i];

        peer_query_end(&peer->query);
        if (peer->query.status != PEER_SILENT)
            continue;
        if (peer->connecting)
            tcp_stream_abort(peer->connecting);
        peer->connecting = NULL;
        tcp_address_text(&peer->address, text);
        pr_warn("%s has not answered: a guest that it may have is started here all the same", text);
    }
}

const char *peer_status_name(enum peer_status status)
{
    static const char *const names[NR_PEER_STATUS] = { "unasked", "asked", "answered", "silent" };

    return names[status];
}

const struct peer *peers_get(unsigned index)
{
    return index < count ? &peers[index] : NULL;
}

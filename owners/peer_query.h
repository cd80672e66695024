/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks one other hypervisor over a connection who has these guests (docs/claims.md). If the peer
 * can't be reached, or the connection breaks, the query tries again. The peer's answers are bounded: WIRE_ANSWERS to
 * each question in all. Host loop.
 */
#pragma once

#include "stream/record.h"
#include "stream/transport.h"
#include "stream/wire.h"

#define PEER_AGAIN_MS 100 /* between two attempts */

struct peer_query_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *ctx);
    /* Open a connection to the peer. Returns 0 and *transport; -EAGAIN: not yet, the query calls again; or another
     * -errno. */
    int (*connect)(void *ctx, struct transport *transport);
    /* The peer has said this: a whole claim, which is still to be judged. */
    void (*heard)(void *ctx, const struct wire_claim *claim);
};

enum peer_status {
    PEER_UNASKED,
    PEER_ASKED,    /* no answer yet */
    PEER_ANSWERED, /* the peer has said all that it has to say */
    PEER_SILENT,   /* the peer was not reached or not understood while there was time */
    NR_PEER_STATUS,
};

struct peer_query {
    const struct peer_query_ops *ops;
    void *ctx;
    const struct wire_claim *questions;
    unsigned count;
    enum peer_status status;
    bool connected;
    struct transport transport;
    struct inbox inbox;
    struct outbox outbox;
    unsigned said, heard; /* said: records on this connection, with END; heard: claims, ever */
    u64 again;            /* ns: no new attempt before then */
};

/* Begin to ask. The questions, at most WIRE_QUESTIONS, are sealed and stay valid until peer_query_end. */
void peer_query_start(struct peer_query *query, const struct peer_query_ops *ops, void *ctx,
                      const struct wire_claim *questions, unsigned count);

/* Do all that can be done now without waiting. Returns true if more can be done at once. */
bool peer_query_step(struct peer_query *query);

/* The time is over: a peer that is still asked is silent. Frees what the query holds. */
void peer_query_end(struct peer_query *query);

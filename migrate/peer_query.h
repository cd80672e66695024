/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to one other hypervisor over a connection (docs/migration-stream.md "Claims"): who has these guests? As
 * long as it can't be reached, or the connection breaks, it is tried again. What it says is bounded: WIRE_ANSWERS to a
 * question in all. Host loop.
 */
#pragma once

#include "migrate/record.h"
#include "migrate/transport.h"
#include "migrate/wire.h"

#define PEER_AGAIN_MS 100 /* between two attempts */

struct peer_query_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void *ctx);
    /* Open a connection to it: 0 and *transport, -EAGAIN: not yet, asked again; or -errno. */
    int (*connect)(void *ctx, struct transport *transport);
    /* It has said this: a whole claim, which is still to be judged. */
    void (*heard)(void *ctx, const struct wire_claim *claim);
};

enum peer_status {
    PEER_UNASKED,
    PEER_ASKED,    /* as yet without an answer */
    PEER_ANSWERED, /* all that it has to say */
    PEER_SILENT,   /* not reached, or not understood, as long as there was time */
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
    unsigned said, heard; /* records on this connection, the END included; claims, ever */
    u64 again;            /* ns: not before then */
};

/* Begin to ask. The questions, at most WIRE_QUESTIONS, are sealed and stay valid until peer_query_end. */
void peer_query_start(struct peer_query *query, const struct peer_query_ops *ops, void *ctx,
                      const struct wire_claim *questions, unsigned count);

/* Go on as far as it goes now. Returns true if it would go on at once. */
bool peer_query_step(struct peer_query *query);

/* No more time: who is still asked is silent. Frees what it holds. */
void peer_query_end(struct peer_query *query);

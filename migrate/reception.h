/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whoever connects to the migration port is received here until it has said its header, for before that nobody knows
 * what it wants. Who has a guest to move, or a move to end, goes on to the destination (dest.h). Who only asks where
 * guests are (docs/migration-stream.md "Claims") is answered here and leaves: it takes no place from a guest that
 * moves, and little memory. Host loop.
 */
#pragma once

#include "migrate/record.h"
#include "migrate/transport.h"
#include "migrate/wire.h"

#define RECEPTION_PLACES 8
#define RECEPTION_PEER 64 /* text of an address */

struct reception_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void);
    /* What is there to say to a question? Returns the number of answers. */
    unsigned (*answer)(const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS]);
    /* This one has come with a guest, or with the end of a move: the transport is yours. */
    void (*pass_on)(const struct transport *transport, const struct wire_header *header, const char *peer);
};

struct visitor {
    bool used, greeted, leaving; /* greeted: its header is one of a question; leaving: when all is said */
    struct transport transport;
    struct inbox inbox;
    struct outbox outbox;
    char peer[RECEPTION_PEER];
    u64 since; /* ns: when it came */
    unsigned questions;
    struct wire_claim answer[WIRE_ANSWERS]; /* of which the first `said` ones are said */
    unsigned answers, said;
};

struct reception {
    const struct reception_ops *ops;
    struct visitor visitor[RECEPTION_PLACES];
    u64 questions; /* that were answered, ever */
};

/* An empty one. `ops` stays valid. */
void reception_init(struct reception *reception, const struct reception_ops *ops);

/* A connection has come from `peer`, an address in words. The oldest one gives way to it if there is no other place.
 * Returns 0, or -ENOMEM: closed. */
int reception_accept(struct reception *reception, const struct transport *transport, const char *peer);

/* Go on as far as it goes now. Returns true if it would go on at once. */
bool reception_step(struct reception *reception);

/* Is anybody here, so that reception_step is to be called, when something has come or after 10 ms? */
bool reception_busy(const struct reception *reception);

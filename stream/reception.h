/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every connection to the migration port is received here until its header has come, for only the header says what the
 * visitor wants. A visitor that has a guest to move, or a move to end, is passed on to the destination (dest.h). A
 * visitor that only asks where guests are (docs/claims.md) is answered here and leaves: it takes no
 * place from a guest that moves, and little memory. Host loop.
 */
#pragma once

#include "stream/record.h"
#include "stream/transport.h"
#include "stream/wire.h"

#define RECEPTION_PLACES 8
#define RECEPTION_PEER 96 /* text of an address, with its peer's name */

struct reception_ops {
    /* Nanoseconds, monotonic. */
    u64 (*now)(void);
    /* Fill in the answers to a question. Returns how many there are. */
    unsigned (*answer)(const char *peer, const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS]);
    /* This visitor has come with a guest, or with the end of a move: the transport is yours. */
    void (*pass_on)(const struct transport *transport, const struct wire_header *header, const char *peer);
};

struct visitor {
    bool used, greeted, leaving; /* greeted: it has come with questions; leaving: it is closed when all is said */
    struct transport transport;
    struct inbox inbox;
    struct outbox outbox;
    char peer[RECEPTION_PEER];
    u64 since; /* ns: when it came */
    unsigned questions;
    struct wire_claim answer[WIRE_ANSWERS]; /* the first `said` of these are said */
    unsigned answers, said;
};

struct reception {
    const struct reception_ops *ops;
    struct visitor visitor[RECEPTION_PLACES];
    u64 questions;    /* so many were answered, ever */
    u64 next_warning; /* ns: not before */
};

/* Begin without visitors. `ops` stays valid. */
void reception_init(struct reception *reception, const struct reception_ops *ops);

/* A connection has come from `peer`, an address in words. If no place is free, the oldest visitor gives way to it.
 * Returns 0, or -ENOMEM; the connection is closed then. */
int reception_accept(struct reception *reception, const struct transport *transport, const char *peer);

/* Do all that can be done now without waiting. Returns true if more can be done at once. */
bool reception_step(struct reception *reception);

/* Is there a visitor? If so, call reception_step when something has come, or after 10 ms. */
bool reception_busy(const struct reception *reception);

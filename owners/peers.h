/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisors that the configuration names as peers (`peers` of [migration]). They are asked over TCP the same
 * questions as the link, because a router may be between them and us. Host loop.
 */
#pragma once

#include "owners/peer_query.h"
#include "net/tcp_address.h"

struct config_migration;
struct tcp_stream;

struct peer {
    struct tcp_address address;
    bool own; /* it is this machine: the same list may be on all of them */
    struct peer_query query;
    struct tcp_stream *connecting;
    u64 began, answered; /* ns: when it was first asked, and when it had answered all */
    char found[80];      /* its last claim in words; "": none */
};

/* Ask all peers at once. Contract of the questions: peer_query_start. Boot, once. */
void peers_ask(const struct config_migration *config, const struct wire_claim *questions, unsigned nr_questions);

/* Do all that can be done now without waiting. Returns true if more can be done at once. */
bool peers_step(void);

/* The time to answer is over: log which peers have not answered. Once. */
void peers_end(void);

/* "unasked", "asked" ... */
const char *peer_status_name(enum peer_status status);

/* The peers of the configuration, in its order; NULL behind the last. */
const struct peer *peers_get(unsigned index);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisors that the configuration names as peers (`peers` of [migration]): asked over TCP what is asked on the
 * link, for a router may be between them and us. Host loop.
 */
#pragma once

#include "migrate/peer_query.h"
#include "net/tcp_address.h"

struct config_migration;
struct tcp_stream;

struct peer {
    struct tcp_address address;
    bool own; /* this machine: the same list may be on all of them */
    struct peer_query query;
    struct tcp_stream *connecting;
    u64 began, answered; /* ns: when it was asked first, and when all was said */
    char found[80];      /* its last claim in words; "": none */
};

/* Ask all of them at once. Contract of the questions: peer_query_start. Boot, once. */
void peers_ask(const struct config_migration *config, const struct wire_claim *questions, unsigned nr_questions);

/* Go on as far as it goes now. Returns true if it would go on at once. */
bool peers_step(void);

/* No more time to answer: log who has not. Once. */
void peers_end(void);

/* "unasked", "asked" ... */
const char *peer_status_name(enum peer_status status);

/* Those of the configuration, in its order; NULL behind the last. */
const struct peer *peers_get(unsigned index);

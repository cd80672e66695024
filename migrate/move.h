/* SPDX-License-Identifier: BSD-2-Clause */
/* A move away from here: what it is asked to be, and what became of it. */
#pragma once

#include "migrate/source.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"

struct config_migration;

/* What is asked of one move. */
struct migration_request {
    struct tcp_address to;
    bool check; /* pre-flight only */
    enum migrate_mode mode;
    bool verify;           /* compare digests of all memory and state */
    struct transport file; /* .ops not NULL: save it there, `to` is unused. The move closes it */
};

/* Where it goes: an address, or "image". */
void move_peer(const struct migration_request *request, char text[TCP_ADDRESS_TEXT]);

/* What the engine is to do. Pure. */
struct migrate_settings move_settings(const struct config_migration *config, const struct migration_request *request);

/* A move of a VM away from here, under way or over. */
struct move {
    char name[WIRE_NAME];
    u8 vm_id[WIRE_ID];
    struct migration_request request;
    enum dirty_producer log;   /* the dirty log that it used; DIRTY_OFF: none yet */
    const struct source *live; /* its statistics while it is under way; NULL: it is over, see `stats` */
    struct migrate_stats stats;
    u64 began; /* clock_ns */
};

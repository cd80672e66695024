/* SPDX-License-Identifier: BSD-2-Clause */
/* A move away from here: what it is asked to be, and what became of it. */
#pragma once

#include "hv/guest_image.h"
#include "migrate/source.h"
#include "migrate/vm_cold.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"

#define MOVE_CONNECTIONS 8 /* of a move, whose times are kept */

struct config_migration;

/* What is asked of one move. */
struct migration_request {
    struct tcp_address to;
    bool check; /* pre-flight only */
    enum migrate_mode mode;
    bool verify;           /* compare digests of all memory and state */
    bool images;           /* the files from which it starts follow it */
    bool stopped, force;   /* cold: it is not started there; it is powered off if it does not shut down */
    bool quiet;            /* it is as one before: that it begins and fails is not logged */
    bool protect;          /* its copy there is kept up to date, and not let run (migrate/protect.h) */
    u32 interval, limit;   /* protect: ms between checkpoints, of silence */
    u64 above;             /* protect: its epoch is to be above this one */
    u32 timeout;           /* cold: seconds, in which it shuts down; 0: the default */
    struct transport file; /* .ops not NULL: save it there, `to` is unused. The move closes it */
};

/* Where it goes: an address, or "image". */
void move_peer(const struct migration_request *request, char text[TCP_ADDRESS_TEXT]);

/* What the engine is to do. Pure. */
struct migrate_settings move_settings(const struct config_migration *config, const struct migration_request *request);

/* What of it concerns a guest that starts anew at the destination. Pure. */
struct vm_cold move_cold(const struct migration_request *request);

/* A move of a VM away from here, under way or over. */
struct move {
    char name[WIRE_NAME];
    u8 vm_id[WIRE_ID];
    struct migration_request request;
    enum dirty_producer log;   /* the dirty log that it used; DIRTY_OFF: none yet */
    const struct source *live; /* its statistics while it is under way; NULL: it is over, see `stats` */
    struct migrate_stats stats;
    struct guest_image image; /* what its guest starts from; where its files lie may have changed */
    bool files_wanted;        /* they follow it when the end of the move is said: vm_files_send */
    u64 began;                /* clock_ns */
    /* ns since then: when each of its first connections was there, with keys the handshake over. */
    u64 connected[MOVE_CONNECTIONS];
    unsigned connections;
};

/* Another connection is there, at this clock_ns. */
void move_connected(struct move *move, u64 now);

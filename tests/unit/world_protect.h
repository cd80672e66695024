/* SPDX-License-Identifier: BSD-2-Clause */
/* In a test's world: those who decide about a protected guest, in the simplest way, and what the guest was at each of
 * its last checkpoints. */
#pragma once

#include "migrate/protect.h"
#include "tests/unit/world.h"

#define PROTECT_EVENTS (PROTECT_HIGHER_EPOCH + 1)
#define SNAPSHOTS 4

struct world_protect {
    unsigned source[PROTECT_EVENTS], dest[PROTECT_EVENTS]; /* how often each was reported */
    u64 taken, acknowledged, whole; /* numbers of checkpoints: at the source, there, at the destination */
    u64 code;                       /* of the source's PROTECT_OVER */
    bool unguarded;                 /* nobody decides about it, so it is not to stand for its first copy */
    bool waits;                     /* nothing is decided by itself */
    u64 owner;                      /* that the destination calls itself */
    struct snapshot {
        u64 number, counter;
        u8 *memory;
    } snapshot[SNAPSHOTS];
};

/* The same world as world_init makes; its guest is protected as soon as it is told to move so. world_protect_fini also
 * ends the world. */
void world_protect_init(struct world *w, struct world_protect *protect);
void world_protect_fini(struct world *w);

/* Settings of a protection, with 25 ms between checkpoints. */
struct migrate_settings protect_settings(void);

/* Steps until that many checkpoints are acknowledged. */
void world_checkpoints(struct world *w, u64 number);

/* A world whose guest is protected, and has been for that many checkpoints. */
void world_protect_begin(struct world *w, struct world_protect *protect, u64 checkpoints);

void world_steps(struct world *w, unsigned n);

/* The source's machine is switched off. */
void world_kill_source(struct world *w);

/* Ops of migrate/vm_ops.h. */
int fake_protect_source(void *vm, enum protect_event event, u64 number);
void fake_protect_dest(void *vm, enum protect_event event, u64 number);
void fake_reclaim(void *vm);
void fake_open(void *vm);
u64 fake_owner(void *ctx);

/* For world.c: is the destination to refuse this section? A guest that is let run is what the source's was when it
 * stood, or at the last checkpoint. */
bool fake_refuses(struct fake_vm *vm);
void assert_same_guest(const struct fake_vm *vm);

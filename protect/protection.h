/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protection of guests (docs/failover.md): what an operator wants, and the guard (guard.h) of each protected guest
 * with its time-outs, its heartbeats, the witness, the held output and the end of the stream here. Protection that was
 * lost is tried again after a second; if that fails, after two, four, eight, and at last every ten. Host loop.
 */
#pragma once

#include "protect/protected.h"

struct config;

#define PROTECTION_INTERVAL 25 /* ms between checkpoints, unless told */
#define PROTECTION_INTERVAL_MIN 5
#define PROTECTION_INTERVAL_MAX 1000

enum protection_state {
    PROTECTION_NONE,      /* there is no second copy, and none is wanted */
    PROTECTION_SYNCING,   /* the first copy is on its way */
    PROTECTION_PROTECTED, /* either machine can die */
    PROTECTION_DEGRADED,  /* a second copy is wanted, and there is none */
    PROTECTION_SUSPENDED, /* it is not known which copy goes on */
};

/* Take the configuration, and begin. Boot, once, after migration_init and witness_start. */
void protection_init(const struct config *config);

/*
 * Protect a guest that this machine runs at the one at `peer`, with so many ms between checkpoints. It is tried at
 * once, and again until it succeeds; if the end of a copy before is still under way, that is awaited. Returns 0; or,
 * with a constant text in *reason: -EINVAL (the other machine is this one, or this one can protect none), -EBUSY (it is
 * protected at another machine, or it moves), -ENOMEM.
 */
int protection_want(struct vm *vm, const struct tcp_address *peer, u32 interval, const char **reason);

/* It is not to be protected any more. Returns 0; -ENOENT: it was not to be; -EBUSY: it is just being handed over. */
int protection_end(struct vm *vm);

/* The secondary is to run it now. Returns 0, or -EBUSY: it is not protected. */
int protection_failover(struct vm *vm);

/* The epoch that an operator who forces has to repeat: of the guard, or of the deed by which another machine owns the
 * guest that runs here unguarded. 0: there is nothing to force. */
u64 protection_force_epoch(const struct vm *vm);

/* An operator knows that the other copy does not run and never will: at the primary the guest goes on alone; at the
 * secondary it is let run; of an unguarded guest the deed will name this machine. Returns 0; -ENOENT: there is nothing
 * to force; or, with a constant text in *reason, -EBUSY: its guard knows who has it, or the primary is heard. */
int protection_force(struct vm *vm, const char **reason);

enum protection_state protection_state(const struct vm *vm);
const char *protection_state_name(enum protection_state state);

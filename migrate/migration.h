/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Migration as this machine offers it: the engine's two ends (source.h, dest.h) with real VMs (vm_source.c, vm_dest.c)
 * over TCP, their settings, and a record of the last moves. The commands of control are all that calls it. Host
 * loop.
 */
#pragma once

#include "migrate/dest.h"
#include "migrate/source.h"
#include "migrate/move.h"
#include "migrate/totals.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"

struct config_migration;
struct vm;

#define MIGRATION_MOVES 16 /* of VMs that left or tried to, remembered */
#define MIGRATION_ENDED 16 /* guests that came here and have ended, kept at most */

struct migration_totals migration_totals(void);

/* Start: listen, if the configuration says so, and do the work of the host loop. Boot, once. */
void migration_init(const struct config_migration *config);

/* Settings of every move that begins from now on: at first those of the configuration. Who has changed downtime_limit
 * or max_bandwidth calls migration_limits_changed: moves under way heed them. */
struct config_migration *migration_settings(void);
void migration_limits_changed(void);

/*
 * Begin to move a VM, which runs or is paused. 0; or -EBUSY (a move, or another user of the dirty log, is
 * on), -EPERM (not ours: in doubt), -ENOMEM, with *reason a constant text.
 */
int migration_start(struct vm *vm, const struct migration_request *request, const char **reason);

/* Contracts: source_cancel, or dest_cancel of one that is on its way here; source_resolve. */
int migration_cancel(struct vm *vm);
int migration_resolve(struct vm *vm, enum source_resolution resolution);

/* Is a move of it away from here, or a check of one, under way or in doubt? */
bool migration_active(const struct vm *vm);

/*
 * Is it contested who runs this VM? SOURCE_OWNER (0): no. SOURCE_IN_DOUBT: its destination has it, or may have it,
 * under *epoch; SOURCE_SUPERSEDED: another machine claims it under *epoch, above ours. The copy here stands still then,
 * and nothing but migration_resolve acts on it.
 */
enum source_state migration_contested(const struct vm *vm, u64 *epoch);

/* Does it stand still here because its move away is at its end, or over? What a command changed of it now would not
 * move with it. */
bool migration_outgoing(const struct vm *vm);

/* In doubt: has the destination answered that it knows of no such move? Then only force is left. */
bool migration_unknown(const struct vm *vm);

/* Of a VM that does not run: does nobody look at its memory any more, neither the end of a move nor a dirty log? */
bool migration_done_with(const struct vm *vm);

/* Remove a VM that was never started, or has ended: nothing is left of it. Returns 0; -EBUSY: not migration_done_with.
 */
int migration_forget(struct vm *vm);

/* Does this machine run it, or would it? Not if it is contested, about to leave, or still on its way here. */
bool migration_owns(const struct vm *vm);

/* Is there a copy of this VM here that may be the only one, and that does not run: at a source that prepares, is in
 * doubt or stands, or prepared at a destination? Then *epoch is that of its attempt. */
bool migration_holds(const struct vm *vm, u64 *epoch);

/* Another machine claims a VM (claims.h). Ours of that identity, if there is one, stands if that is news; if we know of
 * a higher epoch, or are the elder of two owners, we say so. False: nobody believes that epoch (epoch_is_noise). */
bool migration_heard(const struct wire_claim *claim);

/* Is the copy of this VM that has come here stranded (dest.h)? Then *epoch is that of its attempt. And the operator's
 * word on it; contract: dest_resolve. */
bool migration_stranded(const struct vm *vm, u64 *epoch);
int migration_settle(struct vm *vm, bool adopt);

/* The moves away from here, the latest first, NULL behind the last; and attempts to come here, in no order. */
const struct move *migration_move(unsigned index);
const struct migrate_stats *move_stats(const struct move *move);
const struct dest *migration_dest(void);

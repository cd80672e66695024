/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Migration as this machine offers it: the two ends of the engine (source.h, dest.h) with real VMs (vm_source.c,
 * vm_dest.c) over TCP, their settings, and the history of the last moves. Host loop.
 */
#pragma once

#include "migrate/dest.h"
#include "migrate/source.h"
#include "migrate/move.h"
#include "migrate/moves.h"
#include "migrate/totals.h"
#include "migrate/vm_ended.h"
#include "mm/dirty.h"
#include "net/tcp_stream.h"

struct config_migration;
struct vm;

struct migration_totals migration_totals(void);

/* Start migration: listen, if the configuration says so, and add the work of the host loop. Boot, once. */
void migration_init(const struct config_migration *config);

/* The settings of every move that begins from now on; at boot those of the configuration. A caller that has changed
 * downtime_limit or max_bandwidth calls migration_limits_changed, which applies both to the moves that are under
 * way. */
struct config_migration *migration_settings(void);
void migration_limits_changed(void);

/*
 * Begin to move a VM, which runs or is paused. Returns 0; or, with a constant text in *reason: -EBUSY (a move of it is
 * under way or in doubt, its dirty log is in use, or too many moves are under way), -EINVAL (the destination is this
 * machine), -EPERM (the VM is not ours), -ENOMEM, or another error of source_start.
 */
int migration_start(struct vm *vm, const struct migration_request *request, const char **reason);

/* Contracts: source_cancel, or dest_cancel for a VM that is on its way here; source_resolve. */
int migration_cancel(struct vm *vm);
int migration_resolve(struct vm *vm, enum resolution resolution);

/* Is a move of this VM away from here, or a check of one, under way or in doubt? */
bool migration_active(const struct vm *vm);

/*
 * Is it contested who runs this VM? SOURCE_OWNER (0): no. SOURCE_IN_DOUBT: its destination has it, or may have it,
 * under *epoch. SOURCE_SERVING: it runs there under *epoch, and
 * needs the memory that is here. SOURCE_SUPERSEDED: another machine claims it; *epoch is the highest that we know of
 * it, not below ours. The copy here then stands still, and nothing but migration_resolve acts on it.
 */
enum source_state migration_contested(const struct vm *vm, u64 *epoch);

/* Does this VM stand still here because its move away is at its end, or over? What a command changed in the VM now
 * would not move with it. Not while it stands for a checkpoint: that goes with the next one. */
bool migration_outgoing(const struct vm *vm);

/* In doubt, or serving: has the destination answered that it knows of no such move? Then only force is left. */
bool migration_unknown(const struct vm *vm);

/* Does this machine own the VM, running or paused? Not if the VM is contested, about to leave, or still on its way
 * here. */
bool migration_owns(const struct vm *vm);

/* Is there a copy of this VM here that does not run and may be the only one? Such a copy is at a source that prepares,
 * serves, is in doubt or is superseded, or it came whole to a destination and is prepared. *epoch is then that of its
 * attempt. */
bool migration_holds(const struct vm *vm, u64 *epoch);

/* Another machine claims a VM (claims.h). If its epoch is news, our copy of this VM stands still, if there is one. If
 * we know of a higher epoch, or ours is the elder copy of two under one epoch, we say so. Returns false if nobody
 * believes the epoch (epoch_is_noise). */
bool migration_heard(const struct wire_claim *claim);

/* migration_stranded: is the copy of this VM that has come here stranded (dest.h)? Then *epoch is that of its attempt.
 * migration_settle: the operator decides about it; contract: dest_resolve. */
bool migration_stranded(const struct vm *vm, u64 *epoch);
int migration_settle(struct vm *vm, bool adopt);

/* Of a guest that is protected (protect.h): do what is ordered to the end that this VM is. `epoch`: of PROTECT_STAND.
 * Returns 0; -ENOENT: it is no such end, or not so far; -EBUSY: it is too early or too late for that; or -EAGAIN: the
 * guest does not stand yet, as it is being reset. migration_protect_info: how the end stands; false: this VM is none.
 */
int migration_protect(struct vm *vm, enum protect_order order, u64 epoch);
bool migration_protect_info(const struct vm *vm, struct protect_info *info);

/* Take a guest that comes over this connection. Contract: dest_accept; a refusal is logged. */
void migration_take(const struct transport *transport, const struct wire_header *header, const char *peer);

/* The attempts to come here, in no order. */
const struct dest *migration_dest(void);

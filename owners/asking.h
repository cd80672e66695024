/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before this machine starts a guest of its configuration, it asks all hypervisors of the link who has this guest, or
 * another guest with the same MAC (docs/claims.md): the guest may have moved away before this
 * machine was started anew. At the same time it asks the `peers` of the configuration (peers.h). If no answer comes
 * within ASKING_MS, or longer if this machine is kept from running meanwhile, the guest is started. A guest that
 * another machine has is `elsewhere`: its RAM here is given back, and an operator decides, or the guest comes home by a
 * move. Host loop.
 */
#pragma once

#include "host/types.h"

struct config;
struct config_vm;
struct vm;
struct wire_claim;

#define ASKING_MS 400

/* Is this guest of the configuration started at boot only when others have been asked who has it? With a witness, which
 * knows of copies that no machine names any more, `autostart = yes` asks, too. */
bool asking_needed(const struct config *config, const struct config_vm *vm);

/* Ask about the guests that launch_guests has left to this file. `config` stays valid. Boot, once. */
void asking_start(const struct config *config);

/* Ask about a copy that has come here otherwise than from its owner, and does not run yet; at the same time all `peers`
 * are asked. Meanwhile asking_about(copy) is true. If another machine has its VM, or one with its MAC, copy->elsewhere
 * is that epoch then, and copy->reason says where; so it is if that is heard later, before the copy runs. False:
 * another question is under way; try again. */
bool asking_begin(struct vm *copy);

/* Another hypervisor, at the address `where`, owns a VM, holds a copy of it, or has more right to start it than we. A
 * VM that we ask about is elsewhere from now on; so is one that is not started here or has ended, if that hypervisor
 * owns it and claims_are_heeded(). */
void asking_heard(const struct wire_claim *claim, const char *where);

/* Who judges whether a guest that nobody has claimed is started. may_start: now; false: he starts it when it may be.
 * `came`: a move has just made it this machine's, under its epoch. starts: may it have been decided already that it is
 * started here? waits: is it still to be judged? */
struct asking_judge {
    bool (*may_start)(struct vm *vm, bool came);
    bool (*starts)(const struct vm *vm);
    bool (*waits)(const struct vm *vm);
};
void asking_judged_by(const struct asking_judge *of_guests);

/* May a guest that does not run be started now, by a command or (`came`) because a move has just made it this
 * machine's, under its epoch? False: its judge starts it when it may be; it is elsewhere until then, and its reason
 * says why. */
bool asking_may_start(struct vm *vm, bool came);

/* Does a guest that does not run wait for its judge? It has not ended: it may be nowhere else. */
bool asking_waits(const struct vm *vm);

/* Do we still ask who has this VM, or does its judge? */
bool asking_about(const struct vm *vm);

/* Part of host work. Returns the host TSC at which to call it next, ~0 if it need not be called again. */
u64 asking_poll(void);

/* The operator says that no other machine runs this VM, whatever was heard: start a VM that is elsewhere, under an
 * epoch above the one that was heard. Returns 0, or -errno with the reason in words. */
int asking_force(struct vm *vm, char *reason, size_t room);

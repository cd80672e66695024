/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns which guest, said to all hypervisors of the link (docs/migration-stream.md "Claims"): with each
 * announcement, in answer to who claims it under a lower epoch, and once in WIRE_CLAIM_MS as long as the VM is here.
 * So two copies that run because force was used wrongly, or in a partition, meet as soon as a frame can pass. Host
 * loop.
 */
#pragma once

#include "host/types.h"
#include "migrate/wire.h"

struct vm;

struct claims_counters {
    u64 said, heard;
    u64 malformed; /* frames that were no claims of ours */
    u64 noise;     /* of those heard: with an epoch that nobody believes (handoff.h) */
};

/* What claims ask of migration.h: its functions of those names, and their contracts. */
struct claims_ops {
    bool (*owns)(const struct vm *vm);
    bool (*holds)(const struct vm *vm, u64 *epoch);
    bool (*heard)(const struct wire_claim *claim);
};

/* What they ask of and tell those that wait to be started: the functions of asking.h, and their contracts. */
struct claims_listener {
    bool (*about)(const struct vm *vm);
    void (*heard)(const struct wire_claim *claim, const char *where);
};

/* Hear others from now on, and claim: all VMs, or only those whose epoch says that they have had another owner. Boot,
 * once each. */
void claims_init(bool of_all, const struct claims_ops *migration);
void claims_listen(const struct claims_listener *asking);

/* By what this machine is known in claims: a random number of its boot. */
u64 claims_owner(void);

/* How long this VM has been on this machine. */
u64 claims_age_ms(const struct vm *vm);

/* Say that this VM is ours, if it is. _to: to who has claimed it under the epoch `heard`, ours or a lower one, so that
 * he can believe it (epoch_to_say); and that the copy of the owner `rival`, of the same epoch, is to stand; 0:
 * nobody's. Not from within a port's deliver(). */
void claims_say(const struct vm *vm);
void claims_say_to(const struct vm *vm, u64 heard, u64 rival);

/* Ask who has this VM, which is about to start, or a guest with its MAC. Not from within a port's deliver(). And the
 * question itself, for who is asked otherwise. */
void claims_ask(const struct vm *vm);
struct wire_claim claims_question(const struct vm *vm);

/* Is this claim of that VM, or of one with its MAC? */
bool claims_are_of(const struct wire_claim *claim, const struct vm *vm);

/* Somebody asks: what is there to say? Returns the number of answers. If we ask about the same
 * guest and its number is the lower one, we leave the guest to it. */
unsigned claims_answer(const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS]);

/* Somebody at the address `where` has said this, on the link or over a connection: act on it. */
void claims_take(const struct wire_claim *claim, const char *where);

/* Host work's part: say what is due; host TSC of the next time, ~0: none. */
u64 claims_poll(void);

const struct claims_counters *claims_counters(void);

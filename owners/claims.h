/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claims say to all hypervisors of the link who owns which guest (docs/claims.md). A machine claims
 * its VM with each announcement, in answer to a machine that claims the VM under a lower epoch, and every WIRE_CLAIM_MS
 * as long as the VM is here. So if two copies run, because force was used wrongly or the network was partitioned, they
 * hear of each other as soon as a frame can pass. Host loop.
 */
#pragma once

#include "owners/proof.h"

struct vm;

struct claims_counters {
    u64 said, heard;
    u64 malformed;                 /* frames that were no claims of ours */
    u64 noise;                     /* of those heard: claims with an epoch that nobody believes (handoff.h) */
    u64 judged[NR_PROOF_VERDICTS]; /* frames, where there are keys; those of another version everywhere */
};

/* What claims.c needs of migration.h: the functions migration_owns, migration_holds and migration_heard, with their
 * contracts. */
struct claims_ops {
    bool (*owns)(const struct vm *vm);
    bool (*holds)(const struct vm *vm, u64 *epoch);
    bool (*heard)(const struct wire_claim *claim);
};

/* What claims.c needs of asking.h, which waits to start guests: asking_about and asking_heard, with their contracts. */
struct claims_listener {
    bool (*about)(const struct vm *vm);
    void (*heard)(const struct wire_claim *claim, const char *where);
};

/* claims_init: from now on hear the claims of others, and claim all VMs, or (`of_all` false) only those whose epoch
 * says that they have had another owner. Boot, once each. */
void claims_init(bool of_all, const struct claims_ops *migration);
void claims_listen(const struct claims_listener *asking);

/* The number that names this machine in claims: random, drawn at its boot. */
u64 claims_owner(void);

/* How long this VM has been on this machine; WIRE_AGE_DEED: the witness names this machine as its owner. */
u64 claims_age_ms(const struct vm *vm);

/* Who knows of which VMs the witness names this machine as the owner, under the VM's epoch or a later one. Boot, once.
 */
void claims_deeded_by(bool (*names_us)(const struct vm *vm));

/* Say that this VM is ours, if it is. claims_say_to answers a machine that has claimed the VM under the epoch `heard`,
 * which is ours or a lower one, with an epoch that the other machine can believe (epoch_to_say); `rival` is the owner
 * whose copy, of the same epoch, must stand still, 0 if there is none. Not from within a port's deliver(). */
void claims_say(const struct vm *vm);
void claims_say_to(const struct vm *vm, u64 heard, u64 rival);

/* claims_ask: ask the link who has this VM, which is about to start, or a guest with its MAC. Not from within a port's
 * deliver(). claims_question: the question itself, for peers that are asked over a connection. */
void claims_ask(const struct vm *vm);
struct wire_claim claims_question(const struct vm *vm);

/* Are claims heeded that answer no question of ours? Where there are neither keys nor [migration], guests neither come
 * nor go, and anybody on the link could stop them: there no claim makes a guest stand or keeps one from starting. */
bool claims_are_heeded(void);

/* Is this claim about that VM, or about a VM with the same MAC? */
bool claims_are_of(const struct wire_claim *claim, const struct vm *vm);

/* Another hypervisor asks: fill in what we have to answer. Returns the number of answers. If the question is `heeded`,
 * we ask about the same guest, and the other's number is lower than ours, we leave the guest to it; else it changes
 * nothing here. Over a connection: allowed_answer. */
unsigned claims_answer(const struct wire_claim *question, bool heeded, struct wire_claim answers[WIRE_ANSWERS]);

/* Another hypervisor, at the address `where`, has said this claim: act on it. Over a connection: allowed_take. */
void claims_take(const struct wire_claim *claim, const char *where);

/* Part of host work: say the claims that are due. Returns the host TSC of the next time, ~0 if there is none. */
u64 claims_poll(void);

const struct claims_counters *claims_counters(void);

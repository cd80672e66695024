/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns which guest, said to all hypervisors of the link (docs/migration-stream.md "Claims"): with each
 * announcement, in answer to who claims it under a lower epoch, and once in WIRE_CLAIM_MS as long as the VM is here.
 * So two copies that run because force was used wrongly, or in a partition, meet as soon as a frame can pass. Host
 * loop.
 */
#pragma once

#include "hv/lib/types.h"

struct vm;

struct claims_counters {
    u64 said, heard;
    u64 malformed; /* frames that were no claims of ours */
    u64 noise;     /* of those heard: with an epoch that nobody believes (handoff.h) */
};

/* Hear others from now on, and claim: all VMs, or only those whose epoch says that they have had another owner. Boot,
 * once. */
void claims_init(bool of_all);

/* By what this machine is known in claims: a random number of its boot. */
u64 claims_owner(void);

/* How long this VM has been on this machine. */
u64 claims_age_ms(const struct vm *vm);

/* Say that this VM is ours, if it is. Not from within a port's deliver(). */
void claims_say(const struct vm *vm);

/* Ask who has this VM, which is about to start, or a guest with its MAC. Not from within a port's deliver(). */
void claims_ask(const struct vm *vm);

/* Host work's part: say what is due; host TSC of the next time, ~0: none. */
u64 claims_poll(void);

const struct claims_counters *claims_counters(void);

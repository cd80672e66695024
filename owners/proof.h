/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where there are keys, a claim on the link comes with a proof that a member of the group has said it, and said it
 * lately (docs/claims.md "With keys"). The tag shows the former; the latter, that the sender has echoed a random number
 * of this machine that is not 2 s old, and counts its frames. So no recording of a claim counts, also not if the sender
 * or this machine has been started anew since. Each frame echoes the numbers of all machines, so what is said does not
 * grow with the square of the machines. Host loop.
 */
#pragma once

#include "stream/wire.h"

/* So many frames a second are looked at, of each machine that has proved itself, of others that echo a number of ours,
 * and of the rest; and so many questions answered of senders that have not proved that they live. In one go half of
 * that. */
#define PROOF_SHARE 128
#define PROOF_ECHOING 500
#define PROOF_REST 500
#define PROOF_STRANGERS 200

enum proof_verdict {
    PROOF_GIVEN,    /* believe it */
    PROOF_UNPROVEN, /* a member has said it at some time: do nothing for it but answer, and greet (proof_greets) */
    PROOF_CROWDED,  /* there are too many frames: not looked at */
    PROOF_VERSION,  /* a hypervisor of another build has said it, and what it says is not known here */
    PROOF_FORGED,   /* no member of the group has said it */
    PROOF_REPLAYED, /* it was heard before, or a later one was */
    NR_PROOF_VERDICTS,
};

/* Add the proof to a sealed claim that says so (WIRE_PROOF) and is about to be said. Returns how many bytes of it are
 * to be said. There is a keyring. */
size_t proof_make(struct wire_proven_claim *said);

/* A frame with a whole claim, which another machine has said, has come from this MAC. There is a keyring. */
enum proof_verdict proof_judge(const u8 *mac, const u8 *bytes, size_t len);

/* Is this machine to greet, because it has heard a claim that is not proven? Not if it has said anything within the
 * last 100 ms: all machines hear its number in any frame. */
bool proof_greets(void);

/* When (ns) this machine is to greet, if it says nothing before. 0: it has never said anything, and is to greet now. */
u64 proof_silent_until(void);

/* "given", "unproven" ... */
const char *proof_verdict_name(enum proof_verdict verdict);

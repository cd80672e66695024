/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where there are keys, a claim on the link comes with a proof that a member of the group has said it, and said it
 * lately (docs/claims.md "With keys"). The tag shows the former; the latter, that the sender has echoed a random number
 * of this machine that is not 2 s old, and counts its frames. So no recording of a claim counts, also not if the sender
 * or this machine has been started anew since. Host loop.
 */
#pragma once

#include "stream/wire.h"

/* So many frames a second are looked at, and so many answered of senders that have not proved that they live; in one go
 * half of that. */
#define PROOF_RATE 1000
#define PROOF_STRANGERS 200

enum proof_verdict {
    PROOF_GIVEN,    /* believe it */
    PROOF_UNPROVEN, /* a member has said it at some time: greet its sender (proof_greets), and do nothing else for it
                     * but answer */
    PROOF_CROWDED,  /* there are too many frames: not looked at */
    PROOF_FORGED,   /* no member of the group has said it */
    PROOF_REPLAYED, /* it was heard before, or a later one was */
    NR_PROOF_VERDICTS,
};

/* Add the proof to a claim that is about to be said. There is a keyring. */
void proof_make(struct wire_proven_claim *said);

/* A frame with a whole claim has come, which another machine has said. There is a keyring. */
enum proof_verdict proof_judge(const u8 *bytes, size_t len);

/* Is this machine to greet, because the sender has not proved itself, or its proof will soon be too old? True at most
 * every 100 ms: all machines answer one greeting. */
bool proof_greets(u64 sender);

/* "given", "unproven" ... */
const char *proof_verdict_name(enum proof_verdict verdict);

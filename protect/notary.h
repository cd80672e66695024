/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and changes the deed of one guest at the witness, for as long as it takes. Host loop. */
#pragma once

#include "hv/vm.h"
#include "owners/witness.h"
#include "protect/deed.h"

struct notary {
    struct witness_request *request; /* NULL: nothing was asked yet */
    char key[ETCD_KEY];
    bool asked; /* a question is under way */
    bool swaps; /* it is, or is to become, a swap for `wanted` */
    bool known; /* `deed` and `text` are what the witness has said last */
    bool sent;  /* notary_sent() was true since notary_stop */
    struct deed deed, wanted;
    char text[ETCD_VALUE];
    u64 again;                  /* ns: not before; a question that nobody has answered is asked again */
    u64 answered;               /* ns: the last answer; 0: none yet */
    char fault[WITNESS_REASON]; /* why there is no answer; "": there is, or none is awaited */
};

/* Begin with the guest of that identity. */
void notary_init(struct notary *notary, const u8 id[VM_ID]);

/* Ask for the deed, from the time `when` of clock_ns on. */
void notary_read(struct notary *notary, u64 when);

/* Swap what is known for `wanted`. If nothing is known, only read it: the answer says from what it would be swapped. */
void notary_swap(struct notary *notary, const struct deed *wanted);

/* Ask no more. A swap that was sent may still be done. */
void notary_stop(struct notary *notary);
void notary_fini(struct notary *notary);

/* Do what can be done now. Returns true if an answer has come: `deed` is what the witness has now. */
bool notary_step(struct notary *notary);

/* Has a byte of a swap left this machine since notary_stop? Then that swap may be done at any time. True as soon as it
 * is so, and before any answer. */
bool notary_sent(struct notary *notary);

/* Is a question under way, or to be asked again? */
static inline bool notary_busy(const struct notary *notary)
{
    return notary->asked || notary->again;
}

/* The time of clock_ns at which to call again; ~0: when an answer has come. */
u64 notary_next(const struct notary *notary);

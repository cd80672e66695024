/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of each guest that is protected, is to be, or has a deed. Host loop. */
#pragma once

#include "protect/guard.h"
#include "protect/heartbeat.h"
#include "protect/notary.h"

struct failover;

#define PROTECTION_REASON 200

/* A guest's. Only protect/ writes to it. */
struct protection {
    struct list node;
    u8 vm_id[VM_ID];
    bool wanted;                    /* by an operator, or by the machine that it came from */
    struct tcp_address peer;        /* at that machine */
    u32 interval;                   /* ms */
    u64 next_try;                   /* ns: when protection is tried again; 0: at once */
    u64 delay;                      /* ns: after the last try; 0: that succeeded, or there was none */
    u64 tries;                      /* since it was protected, or was to be */
    char reason[PROTECTION_REASON]; /* why it is not protected */
    char failed[PROTECTION_REASON]; /* why the last try has failed that was logged */

    bool guarded; /* there are two copies, or may be: the guard decides */
    struct guard guard;
    u64 since; /* ns: when the guard came into this state, the first copy was prepared, or a checkpoint acknowledged */
    bool prepared; /* the first copy is */
    bool beating;  /* the heartbeat has begun */
    struct heartbeat heartbeat;
    bool hand;                 /* COMMIT is to be said as soon as all that was held has gone */
    bool paused;               /* it was made to stand because nobody knows whose it is */
    struct failover *failover; /* the one to here that is under way, as long as its place is this guest's; NULL: none */

    bool lost; /* the copy here is superseded: another machine has the guest, by its deed or by what it has said */
    struct notary notary;
    bool forced; /* an operator has overruled the deed, which is still to say so */
};

/* All of them. */
extern struct list protections;

/* The guest's; NULL: there is none. */
struct protection *protection_of(const struct vm *vm);

/* The guest's, made if there is none; NULL: no memory. */
struct protection *protection_make(const struct vm *vm);

/* A try to protect it has failed. That is its reason now; logged is the first of several with one reason. */
void protection_failed(struct protection *p, const struct vm *vm, const char *reason);

/* Its heartbeat has ended: nothing is known of the guest any more. */
void protection_free(struct protection *p);

/* Is this machine the guest's secondary? */
bool protection_is_secondary(const struct protection *p);

/* SPDX-License-Identifier: BSD-2-Clause */
/* What protect/ has around it, as a test says: the ends of the stream, the witness, the network, the output of the only
 * VM, and the clock. */
#pragma once

#include "migrate/migration.h"
#include "owners/witness.h"
#include "tests/unit/one_vm.h"

#define MS 1000000ULL
#define ME 0xA
#define OTHER 0xB
#define E 8
#define ME_TEXT "192.0.2.10:4900 000000000000000a"
#define OTHER_TEXT "192.0.2.11:4900 000000000000000b"

struct protect_rig {
    u64 now;           /* ns */
    u64 (*poll)(void); /* the host work */
    bool silent;       /* the other machine */
    unsigned beats;    /* that were said to it */

    bool holds, reserved;
    int no_room;                /* what reserving the memory to hold frames returns */
    u64 marked, released, held; /* held: frames that have not gone yet */
    unsigned dropped;           /* how often they were */

    const struct protect_watcher *watcher;
    struct protect_info info;
    u32 limit_ms; /* of the next attempt: heartbeat-limit */
    bool has_end, active;
    unsigned ordered, starts; /* orders since they were asked for, a bit each; attempts that were begun */
    struct move move;
    bool cancelled;
    bool refuses;                        /* the other machine: each attempt fails at once */
    bool stranger;                       /* it is no peer in the keyring */
    bool unable;                         /* this machine: no attempt can be begun */
    bool puts;                           /* a checkpoint is just put into the copy: it can't be let run at once */
    u64 claimed;                         /* the epoch of the last claim of another machine */
    bool quiet;                          /* the last attempt: that it begins and fails is not logged */
    bool (*deeded)(const struct vm *vm); /* of claims_deeded_by */
    unsigned given_up;
    bool doubt;     /* COMMIT has been said, so there is something to resolve */
    bool announces; /* it says in the guest's name where it is */
    bool resets;    /* the guest is just being reset, so it can't be stopped */

    bool witness, reachable;
    char deed[ETCD_VALUE]; /* "": none */
    unsigned swaps;        /* that were asked for */
    bool late;             /* a swap is done, and its answer does not come */
};

extern struct protect_rig rig;
extern const struct tcp_address peer; /* the other machine */

/* The other machine says a beat, under the epoch E. */
void rig_beat(void);

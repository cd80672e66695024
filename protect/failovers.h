/* SPDX-License-Identifier: BSD-2-Clause */
/* The last failovers to this machine, each with its time line. Host loop. */
#pragma once

#include "hv/vm.h"

#define FAILOVERS 16

enum failover_cause {
    FAILOVER_SILENCE, /* the primary was silent */
    FAILOVER_PLANNED, /* an operator at the primary */
    FAILOVER_FORCED,  /* an operator here */
    FAILOVER_CLAIM,   /* another machine claimed the guest under an epoch above its primary's */
};

/* Times are of clock_ns; 0: it has not come to that. */
struct failover {
    u8 vm_id[VM_ID];
    char name[CONFIG_NAME];
    u64 epoch;
    enum failover_cause cause;
    u64 heard;      /* when the primary was heard last */
    u64 noticed;    /* when its silence, or the wish of an operator, was noticed */
    u64 asked;      /* when the swap was sent to the witness */
    u64 won;        /* when it was known to be done */
    u64 running;    /* when the guest was let run */
    u64 checkpoint; /* from which it went on */
    bool lost;      /* the primary kept the guest instead */
};

/* Note a new one, in the place of the oldest; it is all zero but for the guest. */
struct failover *failovers_add(const struct vm *vm);

/* The last ones, the latest first; NULL behind the last. */
const struct failover *failovers_get(unsigned index);

/* Guests that went on here, since the boot. */
u64 failovers_count(void);
void failovers_won(void);

/* "silence", "planned" ... */
const char *failover_cause_name(enum failover_cause cause);

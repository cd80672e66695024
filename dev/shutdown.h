/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM is asked to shut down: somebody presses its power button, and what the guest makes of that is watched for a
 * time. The button is pressed again from time to time: a guest whose system is still coming up does not hear it. Host
 * loop.
 */
#pragma once

#include "host/types.h"

struct vm;

#define SHUTDOWN_S 90 /* how long a guest may take, unless somebody says otherwise; as long as systemd waits */
#define SHUTDOWN_MAX_S 3600
#define SHUTDOWN_AGAIN_S 10 /* between two presses */

/* What has become of it. */
enum shutdown_state {
    SHUTDOWN_NONE,   /* nobody has asked */
    SHUTDOWN_ASKED,  /* the time runs */
    SHUTDOWN_DONE,   /* the VM has ended */
    SHUTDOWN_FORCED, /* it had not by then, and was powered off */
    SHUTDOWN_RESET,  /* it has started anew instead */
    SHUTDOWN_LATE,   /* it has not ended by then, and runs on */
};

/* The last time that a VM was asked. */
struct shutdown {
    enum shutdown_state state;
    bool force;         /* power it off when the time is over */
    u32 timeout;        /* seconds */
    u64 asked, settled; /* clock_ns; settled: when the state became another one than SHUTDOWN_ASKED */
    u64 again;          /* clock_ns: when the button is pressed again */
    u64 resets;         /* of the VM until it was asked */
};

/* Ask the VM, which runs; what an earlier call has begun is over. timeout: 1 to SHUTDOWN_MAX_S seconds. */
void shutdown_ask(struct vm *vm, u32 timeout, bool force);

/* "asked", "done" ... */
const char *shutdown_name(enum shutdown_state state);

/* Host work: see what has become of the VMs that were asked. */
u64 shutdown_poll(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary ring of the last events of each CPU, cheap enough to be always on. A panic dumps it, and so does a VM that
 * stops for its own fault. Only the dump formats the events.
 */
#pragma once

#include "host/types.h"

#define TRACE_EVENTS 64 /* per CPU, a power of two */

struct trace_event {
    u64 tsc;
    const char *what; /* the name of an exit, "turn", "irq": a string that stays */
    u64 vcpu;         /* vm << 8 | vcpu; 0: none */
    u64 detail;       /* exit: the guest's RIP; turn: its length in TSC ticks; irq: the vector */
};

struct trace_ring {
    struct trace_event event[TRACE_EVENTS];
    u64 next; /* events ever written; the newest is next - 1 */
};

/* Record an event in this CPU's ring. Any context with interrupts off. */
void trace(const char *what, u64 vcpu, u64 detail);

/* Log the last `count` events of the ring, oldest first. */
void trace_dump(const struct trace_ring *ring, unsigned count);

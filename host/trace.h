/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary ring of the last events of each CPU, cheap enough to be always on. A panic dumps it, and so does a VM that
 * stops for its own fault. An event is {tsc, what, two words}; only the dump formats it.
 */
#pragma once

#include "host/types.h"

#define TRACE_EVENTS 64 /* per CPU, a power of two */

enum trace_what {
    TRACE_NONE,
    TRACE_EXIT,  /* a = exit kind << 32 | vm << 8 | vcpu, b = guest rip */
    TRACE_ENTRY, /* a = event injected (vector | type << 8 | valid << 31) << 32 | vm << 8 | vcpu, b = guest rip */
    TRACE_IRQ,   /* a = host vector */
    TRACE_SCHED, /* a = vm << 8 | vcpu taken, b = slice end in TSC ticks */
    TRACE_STOP,  /* a = vm << 8 | vcpu */
};

struct trace_event {
    u64 tsc;
    u64 what; /* enum trace_what */
    u64 a, b;
};

struct trace_ring {
    struct trace_event event[TRACE_EVENTS];
    u64 next; /* events ever written; the newest is next - 1 */
};

/* Record an event in this CPU's ring. Any context with interrupts off. */
void trace(enum trace_what what, u64 a, u64 b);

/* Log the last `count` events of the ring, oldest first. */
void trace_dump(const struct trace_ring *ring, unsigned count);

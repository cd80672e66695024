/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary ring of the last events of each CPU, cheap enough to be always on. A panic dumps it, a VM that stops for its
 * own fault dumps its CPU's, and the command `trace` reads all. Only those who read format the events.
 *
 * A ring is read while its CPU writes it, without a lock. The writer fills the place of event number `next` and then
 * raises `next`; so a place that is being filled is the one of event next - TRACE_EVENTS. The reader copies an event,
 * then reads `next`, and drops the copy if its place may have been filled anew since.
 */
#pragma once

#include "host/types.h"

#define TRACE_EVENTS 512 /* per CPU, a power of two: each exit pays for the index */

struct trace_event {
    u64 tsc;
    const char *what; /* the name of an exit, "turn", "irq": a string that stays */
    u64 vcpu;         /* vm << 8 | vcpu; 0: none */
    u64 detail;       /* exit, turn: the guest's RIP; irq: the vector */
};

struct trace_ring {
    struct trace_event event[TRACE_EVENTS];
    u64 next; /* events ever written; the newest is next - 1 */
};

/* Put an event into this CPU's ring. Any context with interrupts off. */
void trace(const char *what, u64 vcpu, u64 detail);

/* Copy event `number` of a ring. Returns false if it is not written yet or no longer kept: then no older one is,
 * either. Any CPU, while the ring is written. */
bool trace_read(const struct trace_ring *ring, u64 number, struct trace_event *event);

/* Log the last `count` events of the ring, oldest first. */
void trace_dump(const struct trace_ring *ring, unsigned count);

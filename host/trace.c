/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace rings. Each is written by its own CPU alone. */
#include "host/trace.h"

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/bits.h"
#define LOG_PREFIX "trace"
#include "host/log.h"

void trace(const char *what, u64 vcpu, u64 detail)
{
    struct trace_ring *ring = &this_cpu()->trace;

    __atomic_thread_fence(__ATOMIC_RELEASE); /* a reader that sees the new words sees that `next` came up to them */
    ring->event[ring->next % TRACE_EVENTS] = (struct trace_event){ rdtsc(), what, vcpu, detail };
    __atomic_store_n(&ring->next, ring->next + 1, __ATOMIC_RELEASE);
}

bool trace_read(const struct trace_ring *ring, u64 number, struct trace_event *event)
{
    if (number >= __atomic_load_n(&ring->next, __ATOMIC_ACQUIRE))
        return false;
    *event = ring->event[number % TRACE_EVENTS];
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* `next` is read after the copy is made */
    return __atomic_load_n(&ring->next, __ATOMIC_RELAXED) - number < TRACE_EVENTS;
}

static void event_print(const struct trace_event *e, u64 now)
{
    u64 us = e->tsc < now ? clock_ticks_to_ns(now - e->tsc) / 1000 : 0;

    if (e->vcpu)
        pr_err("  -%lu us vm%lu/%lu %s %lx", us, e->vcpu >> 8, e->vcpu & 0xFF, e->what, e->detail);
    else
        pr_err("  -%lu us %s %lx", us, e->what, e->detail);
}

void trace_dump(const struct trace_ring *ring, unsigned count)
{
    u64 now = rdtsc(), end = ring->next;
    struct trace_event event;

    for (u64 number = end - MIN(end, (u64)count); number != end; number++)
        if (trace_read(ring, number, &event))
            event_print(&event, now);
}

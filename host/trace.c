/* SPDX-License-Identifier: BSD-2-Clause */
/* Trace rings. Each is written by its own CPU alone; a dump of another CPU's may show its newest event half written. */
#include "host/trace.h"

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/bits.h"
#define LOG_PREFIX "trace"
#include "host/log.h"

_Static_assert((TRACE_EVENTS & (TRACE_EVENTS - 1)) == 0, "the index is masked");

void trace(const char *what, u64 vcpu, u64 detail)
{
    struct trace_ring *ring = &this_cpu()->trace;

    ring->event[ring->next % TRACE_EVENTS] = (struct trace_event){ rdtsc(), what, vcpu, detail };
    ring->next++;
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
    u64 now = rdtsc(), end = ring->next, kept = MIN(end, (u64)TRACE_EVENTS);

    for (u64 i = end - MIN(kept, (u64)count); i != end; i++)
        event_print(&ring->event[i % TRACE_EVENTS], now);
}

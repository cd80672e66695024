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

void trace(enum trace_what what, u64 a, u64 b)
{
    struct trace_ring *ring = &this_cpu()->trace;

    ring->event[ring->next % TRACE_EVENTS] = (struct trace_event){ .tsc = rdtsc(), .what = what, .a = a, .b = b };
    ring->next++;
}

static u64 us_between(u64 from, u64 to)
{
    return from < to ? clock_ticks_to_ns(to - from) / 1000 : 0;
}

static void event_print(const struct trace_event *e, u64 now)
{
    u64 us = us_between(e->tsc, now);
    unsigned vm = (unsigned)(e->a >> 8) & 0xFFFFFF, vcpu = e->a & 0xFF, high = (unsigned)(e->a >> 32);

    switch (e->what) {
    case TRACE_EXIT: pr_err("  -%lu us exit  vm%u/%u kind %u rip %lx", us, vm, vcpu, high, e->b); break;
    case TRACE_ENTRY: pr_err("  -%lu us entry vm%u/%u event %x rip %lx", us, vm, vcpu, high, e->b); break;
    case TRACE_IRQ: pr_err("  -%lu us irq   %02lx", us, e->a); break;
    case TRACE_SCHED: pr_err("  -%lu us sched vm%u/%u for %lu us", us, vm, vcpu, us_between(e->tsc, e->b)); break;
    case TRACE_STOP: pr_err("  -%lu us stop  vm%u/%u", us, vm, vcpu); break;
    default: pr_err("  -%lu us %lu %lx %lx", us, e->what, e->a, e->b);
    }
}

void trace_dump(const struct trace_ring *ring, unsigned count)
{
    u64 now = rdtsc(), end = ring->next, kept = MIN(end, (u64)TRACE_EVENTS);

    for (u64 i = end - MIN(kept, (u64)count); i != end; i++)
        event_print(&ring->event[i % TRACE_EVENTS], now);
}

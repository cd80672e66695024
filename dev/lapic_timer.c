/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer (SDM 3A "APIC Timer"). A running count and a TSC deadline are kept as the host TSC value at
 * which they end, so nothing has to be touched while the timer runs.
 *
 * Products stay below 2^64: a count is 32 bits, the divider at most 2^7, the TSC below 2^23 kHz.
 */
#include "dev/lapic_timer.h"

#include <assert.h>

#include "dev/lapic.h"
#include "host/bits.h"
#include "host/clock.h"

#define LONGEST_NS (BITS(31, 0) << 7)

/* A periodic timer that is faster than this would leave its guest no time to run. */
#define SHORTEST_PERIOD_NS 10000ULL

static_assert(LAPIC_TIMER_HZ == 1000 * NS_PER_MS, "one count at divide by 1 is a nanosecond");

static u64 now(const struct lapic *lapic)
{
    return lapic->env->now(lapic->ctx);
}

/* Rounded up, so that a timer is never early. */
static u64 ns_to_ticks(const struct lapic *lapic, u64 ns)
{
    return (ns * lapic->tsc_khz + NS_PER_MS - 1) / NS_PER_MS;
}

/* Both mode bits at once are reserved; here they act as one-shot. */
static u32 timer_mode(const struct lapic *lapic)
{
    return lapic->lvt[LVT_TIMER] & (LAPIC_TIMER_PERIODIC | LAPIC_TIMER_DEADLINE);
}

static bool is_deadline_mode(const struct lapic *lapic)
{
    return timer_mode(lapic) == LAPIC_TIMER_DEADLINE;
}

static bool is_periodic(const struct lapic *lapic)
{
    return timer_mode(lapic) == LAPIC_TIMER_PERIODIC;
}

/* Bits 3, 1 and 0 of the divide configuration: 2, 4, 8 ... 128, and 1. */
static u64 divider(const struct lapic *lapic)
{
    unsigned code = (lapic->timer.divide & 3) | (lapic->timer.divide >> 1 & 4);

    return 1ULL << ((code + 1) & 7);
}

void lapic_timer_reset(struct lapic *lapic)
{
    lapic->timer = (struct lapic_timer){ .deadline = LAPIC_NEVER };
}

static void start(struct lapic *lapic, u64 count)
{
    lapic->timer.deadline = count ? now(lapic) + ns_to_ticks(lapic, count * divider(lapic)) : LAPIC_NEVER;
}

static void arm_tsc_deadline(struct lapic *lapic)
{
    u64 guest = lapic->timer.tsc_deadline;

    lapic->timer.deadline = guest ? lapic->env->deadline(lapic->ctx, guest) : LAPIC_NEVER;
}

/* A masked timer runs on, but its end needs to wake nobody. */
u64 lapic_deadline(const struct lapic *lapic)
{
    return lapic->lvt[LVT_TIMER] & LAPIC_LVT_MASKED ? LAPIC_NEVER : lapic->timer.deadline;
}

/* Stop the timer, or start its next period: a whole number of periods after the last one, in the future. */
static void rearm(struct lapic *lapic, u64 at)
{
    struct lapic_timer *timer = &lapic->timer;
    u64 period_ns = MAX(timer->initial_count * divider(lapic), SHORTEST_PERIOD_NS);
    u64 period = MAX(ns_to_ticks(lapic, period_ns), 1ULL);

    timer->tsc_deadline = 0;
    if (is_periodic(lapic) && timer->initial_count)
        timer->deadline += ((at - timer->deadline) / period + 1) * period;
    else
        timer->deadline = LAPIC_NEVER;
}

void lapic_expire(struct lapic *lapic, u64 tsc)
{
    if (lapic->timer.deadline == LAPIC_NEVER || lapic->timer.deadline > tsc)
        return;
    rearm(lapic, tsc);
    if (!(lapic->lvt[LVT_TIMER] & LAPIC_LVT_MASKED))
        lapic_accept(lapic, (u8)lapic->lvt[LVT_TIMER], false);
}

/* An interrupt that is due under the old settings is delivered, or lost if it was masked, before they change. */
void lapic_timer_write_lvt(struct lapic *lapic, u32 value)
{
    bool was_deadline_mode = is_deadline_mode(lapic);

    lapic_expire(lapic, now(lapic));
    lapic->lvt[LVT_TIMER] = value;
    if (is_deadline_mode(lapic) != was_deadline_mode) {
        lapic->timer.deadline = LAPIC_NEVER;
        lapic->timer.tsc_deadline = 0;
    }
}

void lapic_timer_write_initial_count(struct lapic *lapic, u32 value)
{
    if (is_deadline_mode(lapic))
        return;
    lapic_expire(lapic, now(lapic));
    lapic->timer.initial_count = value;
    start(lapic, value);
}

u64 lapic_timer_remaining(const struct lapic *lapic)
{
    u64 at = now(lapic);

    if (lapic->timer.deadline == LAPIC_NEVER || is_deadline_mode(lapic))
        return LAPIC_NEVER;
    if (at == lapic->timer.resumed.at && lapic->timer.deadline == lapic->timer.resumed.deadline)
        return lapic->timer.resumed.remaining;
    return lapic->timer.deadline > at ? (lapic->timer.deadline - at) * NS_PER_MS / lapic->tsc_khz : 0;
}

void lapic_timer_resume(struct lapic *lapic, u64 remaining)
{
    if (remaining == LAPIC_NEVER) {
        lapic->timer.deadline = LAPIC_NEVER;
        return;
    }
    remaining = MIN(remaining, LONGEST_NS);
    lapic->timer.resumed.at = now(lapic);
    lapic->timer.resumed.remaining = remaining;
    lapic->timer.resumed.deadline = lapic->timer.deadline = now(lapic) + ns_to_ticks(lapic, remaining);
}

void lapic_shift(struct lapic *lapic, s64 ticks)
{
    if (is_deadline_mode(lapic))
        arm_tsc_deadline(lapic);
    else if (lapic->timer.deadline != LAPIC_NEVER)
        lapic->timer.deadline += (u64)ticks;
}

void lapic_tsc_changed(struct lapic *lapic)
{
    if (is_deadline_mode(lapic))
        arm_tsc_deadline(lapic);
}

u32 lapic_timer_read_current_count(struct lapic *lapic)
{
    u64 left;

    lapic_expire(lapic, now(lapic));
    left = lapic_timer_remaining(lapic);
    if (left == LAPIC_NEVER)
        return 0;
    left = (left + divider(lapic) - 1) / divider(lapic);
    return (u32)MIN(left, (u64)lapic->timer.initial_count);
}

/* A running count goes on from its present value, at the new rate. */
void lapic_timer_write_divide(struct lapic *lapic, u32 value)
{
    u32 count = lapic_timer_read_current_count(lapic);

    lapic->timer.divide = value;
    if (lapic->timer.deadline != LAPIC_NEVER && !is_deadline_mode(lapic))
        start(lapic, count);
}

u64 lapic_timer_read_tsc_deadline(struct lapic *lapic)
{
    lapic_expire(lapic, now(lapic));
    return lapic->timer.tsc_deadline;
}

void lapic_timer_write_tsc_deadline(struct lapic *lapic, u64 value)
{
    if (!is_deadline_mode(lapic))
        return;
    lapic->timer.tsc_deadline = value;
    arm_tsc_deadline(lapic);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/timer.h"

#include "dev/codec.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/smp.h"
#include "dev/platform.h"
#include "host/bits.h"
#include "hv/vm.h"

#define VERSION 1

/* The factor lies between a half and one, so that it is as exact as 32 bits can be. */
struct time_scale time_scale_make(u64 khz)
{
    u64 dividend = NS_PER_MS, divisor = khz;
    struct time_scale scale = { 0 };

    for (; dividend >= divisor; divisor <<= 1)
        scale.shift++;
    for (; dividend < divisor / 2; dividend <<= 1)
        scale.shift--;
    scale.mul = (u32)((dividend << 32) / divisor);
    return scale;
}

/* Exactly what a guest computes from its pvclock structure. */
u64 time_scale_ns(struct time_scale scale, u64 ticks)
{
    ticks = scale.shift < 0 ? ticks >> -scale.shift : ticks << scale.shift;
    return (u64)((unsigned __int128)ticks * scale.mul >> 32);
}

u64 timers_tsc(const struct timers *timers)
{
    return timers->frozen ? timers->frozen : rdtsc();
}

u64 timers_now(const struct timers *timers)
{
    return timers->ns + time_scale_ns(timers->scale, timers_tsc(timers) - timers->tsc);
}

void timers_set_now(struct timers *timers, u64 ns)
{
    timers->tsc = timers_tsc(timers);
    timers->ns = ns;
}

void timers_freeze(struct timers *timers)
{
    timers->frozen = rdtsc();
}

void timers_thaw(struct timers *timers)
{
    timers->frozen = 0;
}

void timers_restart(struct timers *timers, u64 pause_ns)
{
    u64 ns = timers_now(timers) + pause_ns;

    timers->frozen = 0;
    timers->scale = time_scale_make(timers->vm->tsc.host_khz);
    timers_set_now(timers, ns);
}

/* --- Timers --- */

static struct timer *earliest(const struct timers *timers)
{
    struct timer *best = NULL;

    list_each (struct timer, timer, &timers->armed) {
        if (!best || timer->deadline < best->deadline)
            best = timer;
    }
    return best;
}

static void next_update(struct timers *timers)
{
    const struct timer *timer = earliest(timers);

    __atomic_store_n(&timers->next, timer ? timer->deadline : TIMER_NEVER, __ATOMIC_RELAXED);
}

void timer_init(struct timer *timer, void (*expire)(struct timer *timer, u64 now))
{
    timer->deadline = TIMER_NEVER;
    timer->expire = expire;
    list_init(&timer->node);
}

void timer_set(struct timers *timers, struct timer *timer, u64 deadline)
{
    u64 planned = timers->next;

    assert_held(&timers->vm->device_lock);
    list_del(&timer->node);
    timer->deadline = deadline;
    if (deadline != TIMER_NEVER)
        list_add_tail(&timers->armed, &timer->node);
    next_update(timers);
    if (timers->next < planned && !timers->polling)
        cpu_kick(0); /* CPU 0 has planned to sleep longer */
}

/* A timer that expires again before we come round is run only once in each poll. */
static void run_due(struct timers *timers)
{
    struct list due;

    list_init(&due);
    spin_lock(&timers->vm->device_lock);
    timers->polling = true;
    u64 now = timers_now(timers);

    list_each_safe (struct timer, timer, &timers->armed) {
        if (timer->deadline > now)
            continue;
        list_del(&timer->node);
        list_add_tail(&due, &timer->node);
    }
    while (!list_empty(&due)) {
        struct timer *timer = container_of(due.next, struct timer, node);

        list_del(&timer->node);
        timer->deadline = TIMER_NEVER;
        timer->expire(timer, now);
    }
    next_update(timers);
    timers->polling = false;
    spin_unlock(&timers->vm->device_lock);
}

/* One tick more than the quotient, so that the timer is not early. */
static u64 host_tsc(const struct timers *timers, u64 deadline)
{
    u64 now = timers_now(timers);

    return deadline == TIMER_NEVER ? TIMER_NEVER
                                   : rdtsc() + (deadline > now ? clock_ns_to_ticks(deadline - now) + 1 : 0);
}

u64 timers_poll(void)
{
    u64 wake = TIMER_NEVER;

    list_each (struct vm, vm, vm_list()) {
        struct timers *timers = &platform_of(vm)->timers;

        if (!vm_runnable(vm))
            continue;
        if (__atomic_load_n(&timers->next, __ATOMIC_RELAXED) <= timers_now(timers))
            run_due(timers);
        u64 next = host_tsc(timers, __atomic_load_n(&timers->next, __ATOMIC_RELAXED));

        wake = MIN(wake, next);
    }
    return wake;
}

/* --- As a device: VM time --- */

static void timers_io(struct device *device, unsigned region, struct io *io)
{
    (void)device;
    (void)region;
    (void)io;
}

/* A machine reset doesn't touch the time. */
static void timers_reset(struct device *device)
{
    (void)device;
}

static void timers_state(struct device *device, struct codec *c)
{
    struct timers *timers = (struct timers *)device;
    u64 ns = timers_now(timers);

    codec_version(c, VERSION);
    codec_u64(c, &ns);
    if (codec_restored(c))
        timers_set_now(timers, ns);
}

static const struct device_ops ops = {
    .name = "time",
    .version = VERSION,
    .io = timers_io,
    .reset = timers_reset,
    .state = timers_state,
};

void timers_init(struct timers *timers, struct vm *vm)
{
    timers->device.ops = &ops;
    timers->vm = vm;
    timers->tsc = vm->created_tsc;
    timers->scale = time_scale_make(clock_tsc_khz());
    timers->next = TIMER_NEVER;
    list_init(&timers->armed);
    vm_add_device(vm, &timers->device);
}

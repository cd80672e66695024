/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM time, and the timers of a VM's devices that count in it.
 *
 * VM time is nanoseconds since the VM was created. It is what the paravirtual clock shows its guest, computed with the
 * same multiplication (for a guest whose TSC is scaled: to 2^-31), and it is saved: on another host it goes on. Timers
 * are run by host work on CPU 0.
 */
#pragma once

#include "hv/bus.h"
#include "host/list.h"

struct vm;

#define TIMER_NEVER (~0ULL)

/* Embedded in a device. Guarded by the VM's device_lock. */
struct timer {
    struct list node;                             /* of the armed ones */
    u64 deadline;                                 /* VM time; TIMER_NEVER: not armed */
    void (*expire)(struct timer *timer, u64 now); /* with device_lock held; may set it again */
};

/* ns = (ticks shifted left by `shift`, right if negative) * mul / 2^32: the form of the paravirtual clock. */
struct time_scale {
    u32 mul;
    s8 shift;
};

struct timers {
    struct device device; /* in which the time is saved */
    struct vm *vm;
    u64 tsc, ns;             /* a host TSC, and VM time at it. Changed by load and by timers_restart */
    u64 frozen;              /* host TSC at which time stands still; 0: it goes on */
    struct time_scale scale; /* of the host TSC */
    struct list armed;       /* device_lock */
    u64 next;                /* earliest deadline; written with device_lock, read without */
    bool polling;            /* device_lock: host work is at it, and will look at next */
};

/* Before all other devices: VM time starts at the VM's creation. */
void timers_init(struct timers *timers, struct vm *vm);

/* The host's TSC, but standing still while the VM's time does: what the VM's devices count by. Any CPU. */
u64 timers_tsc(const struct timers *timers);

/* VM time now. Any CPU. */
u64 timers_now(const struct timers *timers);

/* Let VM time be `ns` now, for load and for tests of time. VM not running. */
void timers_set_now(struct timers *timers, u64 ns);

/*
 * Stop VM time, so that a VM that stands still can be saved, and saved again, as it was in one moment. thaw: it has
 * gone on meanwhile, as if never stopped. restart: it goes on now, from where it stood plus pause_ns; for a VM that has
 * come from elsewhere. VM not running.
 */
void timers_freeze(struct timers *timers);
void timers_thaw(struct timers *timers);
void timers_restart(struct timers *timers, u64 pause_ns);

/* A timer that is not armed. expire is called once, in the host loop, with device_lock held. */
void timer_init(struct timer *timer, void (*expire)(struct timer *timer, u64 now));

/* Arm for a VM time (at once if it is past), or disarm with TIMER_NEVER. With device_lock held, any CPU. */
void timer_set(struct timers *timers, struct timer *timer, u64 deadline);

/* Host work: run what is due in all VMs; the host TSC of the next. */
u64 timers_poll(void);

/* The scale of a clock of `khz`, and its use. */
struct time_scale time_scale_make(u64 khz);
u64 time_scale_ns(struct time_scale scale, u64 ticks);

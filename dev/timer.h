/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM time, and the timers of a VM's devices that count in it.
 *
 * VM time is nanoseconds since the VM was created. The paravirtual clock shows it to the guest, computed with the same
 * multiplication (for a guest whose TSC is scaled: exact to 2^-31). It is saved, and goes on on another host. Host work
 * on CPU 0 runs the timers.
 */
#pragma once

#include "hv/bus.h"
#include "host/list.h"

struct vm;

#define TIMER_NEVER (~0ULL)

/* Embedded in a device. Guarded by the VM's device_lock. */
struct timer {
    struct list node;                             /* in the list of armed timers */
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
    u64 tsc, ns;             /* a host TSC, and VM time at that moment. Changed by restore and by timers_restart */
    u64 frozen;              /* host TSC at which VM time stands still; 0: it goes on */
    struct time_scale scale; /* of the host TSC */
    struct list armed;       /* device_lock */
    u64 next;                /* earliest deadline; written with device_lock, read without */
    bool polling;            /* device_lock: host work is running timers, and will look at `next` afterwards */
};

/* Before all other devices: VM time starts at the VM's creation. */
void timers_init(struct timers *timers, struct vm *vm);

/* The TSC by which the VM's devices count: the host's, but it stands still while the VM's time does. Any CPU. */
u64 timers_tsc(const struct timers *timers);

/* VM time now. Any CPU. */
u64 timers_now(const struct timers *timers);

/* Let VM time be `ns` now, for restore and for tests of time. The VM is not running. */
void timers_set_now(struct timers *timers, u64 ns);

/*
 * freeze: stop VM time, so that a VM that stands can be saved, and saved again, as it was in one moment. thaw: VM time
 * goes on as if it had never stopped. restart: VM time goes on from the moment in which it stopped, plus pause_ns; for
 * a VM that has come from another host. The VM is not running.
 */
void timers_freeze(struct timers *timers);
void timers_thaw(struct timers *timers);
void timers_restart(struct timers *timers, u64 pause_ns);

/* Make a timer that is not armed. expire is called once each time it is armed, in the host loop, with device_lock held.
 */
void timer_init(struct timer *timer, void (*expire)(struct timer *timer, u64 now));

/* Arm for a VM time (at once if it is past), or disarm with TIMER_NEVER. With device_lock held, any CPU. */
void timer_set(struct timers *timers, struct timer *timer, u64 deadline);

/* Host work: run the timers that are due in all VMs. Returns the host TSC of the next one. */
u64 timers_poll(void);

/* The scale of a clock of `khz`, and the nanoseconds of so many ticks by that scale. */
struct time_scale time_scale_make(u64 khz);
u64 time_scale_ns(struct time_scale scale, u64 ticks);

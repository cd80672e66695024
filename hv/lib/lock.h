/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spinlock: first come, first served.
 *
 * The hypervisor runs with interrupts off except at the points named in hv/cpu/traps.h, and no interrupt handler
 * takes a lock, so a lock needs no interrupt state. Lock order, outermost first: vm->device_lock, vm->lock, dirty
 * log, frame allocator, log.
 */
#pragma once

#include "hv/lib/types.h"

struct spinlock {
    u16 next;  /* ticket the next taker gets */
    u16 owner; /* ticket that holds the lock */
};

static inline void spin_lock(struct spinlock *lock)
{
    u16 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

    /* Acquire: what the previous owner wrote is visible before we read. */
    while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
        __builtin_ia32_pause();
}

/* Does anybody hold it? Whoever asks and holds it knows for how long. */
static inline bool spin_is_held(const struct spinlock *lock)
{
    return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) != __atomic_load_n(&lock->next, __ATOMIC_RELAXED);
}

/* What a header's comment says of its callers: they hold the lock. Looked at in debug images only. */
#ifdef GODWIT_NETS
#include "hv/lib/panic.h"

#define assert_held(lock) assert(spin_is_held(lock))
#else
#define assert_held(lock) ((void)(lock))
#endif

static inline void spin_unlock(struct spinlock *lock)
{
    assert_held(lock);
    /* Release: our writes are visible before the next owner sees its ticket. */
    __atomic_store_n(&lock->owner, (u16)(lock->owner + 1), __ATOMIC_RELEASE);
}

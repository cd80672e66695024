/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticket spinlock: first come, first served.
 *
 * The hypervisor runs with interrupts off except at the points named in host/traps.h, where it holds no lock, and no
 * interrupt handler takes a lock, so a lock needs no interrupt state. A CPU that holds a lock takes only locks of a
 * higher rank.
 *
 * In debug images a lock knows its holder and its rank, and these rules are asserted.
 */
#pragma once

#include "host/types.h"

/* The outermost lock comes first. */
enum lock_rank {
    LOCK_MISTAKE, /* of control/mistake.c */
    LOCK_RUN_QUEUES,
    LOCK_DEVICES, /* vm->device_lock */
    LOCK_VM,      /* vm->lock */
    LOCK_MISSING, /* mem->missing_lock */
    LOCK_NPT,
    LOCK_HEAP,
    LOCK_HOST_MAP,
    LOCK_FRAMES,
    LOCK_LOG,
};

struct spinlock {
    u16 next;  /* ticket the next taker gets */
    u16 owner; /* ticket that holds the lock */
#ifdef GODWIT_NETS
    u32 rank;                 /* enum lock_rank */
    const struct cpu *holder; /* NULL: nobody; written by the holder */
#endif
};

#ifdef GODWIT_NETS
#define SPINLOCK(of_rank) ((struct spinlock){ .rank = (of_rank) }) /* a free lock */

#include "host/asm.h"
#include "host/cpu.h"
#include "host/x86.h"
#include "host/panic.h"

/* For functions whose header comment says that the caller holds the lock. */
#define assert_held(lock) assert(__atomic_load_n(&(lock)->holder, __ATOMIC_RELAXED) == this_cpu())

static inline void assert_may_take(const struct spinlock *lock)
{
    assert(!(read_rflags() & RFLAGS_IF));
    assert(!this_cpu()->in_handler);
    assert(__atomic_load_n(&lock->holder, __ATOMIC_RELAXED) != this_cpu());
    assert(this_cpu()->locks >> lock->rank == 0);
}

static inline void note_holder(struct spinlock *lock, const struct cpu *holder)
{
    __atomic_store_n(&lock->holder, holder, __ATOMIC_RELAXED);
    this_cpu()->locks ^= 1U << lock->rank;
}
#define note_taken(lock) note_holder(lock, this_cpu())
#define note_released(lock) note_holder(lock, NULL)
#else
#define SPINLOCK(of_rank) ((struct spinlock){ 0 })
#define assert_held(lock) ((void)(lock))
#define assert_may_take(lock) ((void)(lock))
#define note_taken(lock) ((void)(lock))
#define note_released(lock) ((void)(lock))
#endif

static inline void spin_lock(struct spinlock *lock)
{
    assert_may_take(lock);

    u16 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

    /* Acquire: what the previous owner wrote is visible before we read. */
    while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
        __builtin_ia32_pause();
    note_taken(lock);
}

static inline void spin_unlock(struct spinlock *lock)
{
    assert_held(lock);
    note_released(lock);
    /* Release: our writes are visible before the next owner sees its ticket. */
    __atomic_store_n(&lock->owner, (u16)(lock->owner + 1), __ATOMIC_RELEASE);
}

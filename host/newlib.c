/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions that newlib needs from its system: memory for malloc, and malloc's lock. Our newlib is built without
 * files and processes, so it needs no more.
 *
 * The heap grows page by page at HEAP_BASE and never gives pages back; what malloc trims is kept for its next growth.
 */
#include <errno.h>
#include <malloc.h>
#include <reent.h>

#include "host/cpu.h"
#include "host/lock.h"
#include "host/panic.h"
#include "host/frame.h"
#include "host/host_map.h"
#include "host/layout.h"

#define NOBODY ~0U

/* Under malloc's lock. */
static u64 heap_break = HEAP_BASE;  /* end of malloc's memory */
static u64 heap_mapped = HEAP_BASE; /* end of the mapped memory */

static struct {
    struct spinlock lock;
    u32 owner; /* CPU index; atomic */
    u32 depth; /* owner's */
} heap_lock = { .lock = SPINLOCK(LOCK_HEAP), .owner = NOBODY };

static bool heap_grow(u64 end)
{
    /* The heap never gives pages back: if memory is too short, it must not take all that is left. */
    if (end > heap_mapped && frame_stats().free < (end - heap_mapped) / PAGE_SIZE)
        return false;
    for (; heap_mapped < end; heap_mapped += PAGE_SIZE)
        if (!host_map_new_page(heap_mapped))
            return false;
    return true;
}

void *_sbrk_r(struct _reent *reent, ptrdiff_t change)
{
    u64 old = heap_break, end = old + (u64)change;

    if (end < HEAP_BASE || end > HEAP_BASE + HEAP_MAX || !heap_grow(end)) {
        reent->_errno = ENOMEM;
        return (void *)-1;
    }
    heap_break = end;
    return (void *)old;
}

/*
 * malloc's functions call each other with the lock held. Only the owner can see its own index here, so the test needs
 * no lock.
 */
void __malloc_lock(struct _reent *reent)
{
    u32 self = this_cpu()->index;

    (void)reent;
    if (__atomic_load_n(&heap_lock.owner, __ATOMIC_RELAXED) != self) {
        spin_lock(&heap_lock.lock);
        __atomic_store_n(&heap_lock.owner, self, __ATOMIC_RELAXED);
    }
    heap_lock.depth++;
}

void __malloc_unlock(struct _reent *reent)
{
    (void)reent;
    assert(heap_lock.owner == this_cpu()->index);
    if (--heap_lock.depth > 0)
        return;
    __atomic_store_n(&heap_lock.owner, NOBODY, __ATOMIC_RELAXED);
    spin_unlock(&heap_lock.lock);
}

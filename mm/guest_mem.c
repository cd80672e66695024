/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM.
 *
 * Every gpa of a slot is mapped from guest_mem_init to guest_mem_fini, if only as untouched; only the nested tables
 * know which host frames back it. The hypervisor's accesses check the slots only, not the guest's rights in the nested
 * tables: its writes are noted, not blocked. All these writes end in written().
 */
#include "mm/guest_mem.h"

#include <errno.h>
#include <string.h>

#include "host/bits.h"
#include "host/copy.h"
#include "host/panic.h"
#include "host/frame.h"
#include "mm/guest_missing.h"

static u64 ids; /* given away so far */

static u64 order_size(unsigned order)
{
    return PAGE_SIZE << order;
}

static unsigned order_below(unsigned order)
{
    return order == FRAME_ORDER_1G ? FRAME_ORDER_2M : FRAME_ORDER_4K;
}

static void block_count(struct guest_mem *mem, unsigned order)
{
    mem->size += order_size(order);
    mem->pages_1g += order == FRAME_ORDER_1G;
    mem->pages_2m += order == FRAME_ORDER_2M;
    mem->pages_4k += order == FRAME_ORDER_4K;
}

/* Put one block at the end of the slot. */
static int slot_append(struct guest_mem *mem, struct guest_slot *slot, hpa_t block, unsigned order)
{
    gpa_t gpa = slot->base + slot->size;
    int rc;

    rc = npt_map(mem->npt, gpa, block, order_size(order), NPT_UNTOUCHED);
    if (rc != 0) {
        /* A part of the block may be mapped: unmap it, so that nobody can reach the block once it is free. */
        npt_unmap(mem->npt, gpa, order_size(order));
        frame_free(block, order);
        return rc;
    }
    slot->size += order_size(order);
    block_count(mem, order);
    return 0;
}

/* Grow the slot to `size` by blocks; each is the largest that fits and that the allocator has. */
static int slot_fill(struct guest_mem *mem, struct guest_slot *slot, u64 size)
{
    unsigned limit = FRAME_ORDER_1G; /* the largest order that the allocator has not refused yet */
    int rc = 0;

    while (slot->size < size && rc == 0) {
        unsigned order = limit;
        hpa_t block;

        while (!is_aligned(slot->base + slot->size, order_size(order)) || size - slot->size < order_size(order))
            order = order_below(order);
        block = frame_alloc_unclaimed(order);
        if (block != FRAME_NONE)
            rc = slot_append(mem, slot, block, order);
        else if (order == FRAME_ORDER_4K)
            rc = -ENOMEM;
        else
            limit = order_below(order);
    }
    return rc;
}

int guest_mem_init(struct guest_mem *mem, struct npt *npt, u64 size)
{
    u64 low = MIN(size, GUEST_PCI_HOLE_BASE);
    int rc;

    assert(is_aligned(size, PAGE_SIZE));
    *mem = (struct guest_mem){ .npt = npt, .id = ++ids, .missing_lock = SPINLOCK(LOCK_MISSING) };
    npt->fresh = NPT_RWX;
    mem->slot[1].base = GUEST_PCI_HOLE_END;
    rc = slot_fill(mem, &mem->slot[0], low);
    if (rc == 0)
        rc = slot_fill(mem, &mem->slot[1], size - low);
    if (rc != 0)
        guest_mem_fini(mem);
    return rc;
}

static struct npt_leaf leaf_at(struct guest_mem *mem, gpa_t gpa)
{
    struct npt_leaf leaf;
    bool mapped = npt_lookup(mem->npt, gpa, &leaf);

    assert(mapped);
    return leaf;
}

/* Free the frames of up to `mappings` leaves at the end of a slot, and return how many leaves that were. A leaf may be
 * smaller than its block by now, but the allocator takes blocks back in pieces. */
static u64 slot_free(struct guest_mem *mem, struct guest_slot *slot, u64 mappings)
{
    u64 size = slot->size, freed = 0;

    for (; slot->size && freed < mappings; freed++) {
        struct npt_leaf leaf = leaf_at(mem, slot->base + slot->size - PAGE_SIZE);

        frame_free(leaf.frame, (unsigned)__builtin_ctzll(leaf.page_size / PAGE_SIZE));
        slot->size -= leaf.page_size;
    }
    /* Whole leaves only: nothing is split, so nothing fails. */
    npt_unmap(mem->npt, slot->base + slot->size, size - slot->size);
    return freed;
}

bool guest_mem_fini_part(struct guest_mem *mem, u64 mappings)
{
    bool left = false;

    for (unsigned i = 0; i < GUEST_SLOTS; i++) {
        mappings -= slot_free(mem, &mem->slot[i], mappings);
        left |= mem->slot[i].size != 0;
    }
    npt_reap(mem->npt);
    if (left)
        return false;
    dirty_free(mem);
    guest_mem_forget_missing(mem);
    *mem = (struct guest_mem){ .npt = mem->npt };
    return true;
}

void guest_mem_fini(struct guest_mem *mem)
{
    guest_mem_fini_part(mem, ~0ULL);
}

bool guest_mem_valid(const struct guest_mem *mem, gpa_t gpa, u64 len)
{
    while (len != 0) {
        u64 rest = MIN(slots_rest(mem->slot, gpa), len);

        if (rest == 0)
            return false;
        gpa += rest;
        len -= rest;
    }
    return true;
}

u64 guest_mem_page(const struct guest_mem *mem, gpa_t gpa)
{
    u64 page = slots_page(mem->slot, gpa);

    assert(page != GUEST_PAGE_NONE);
    return page;
}

gpa_t guest_mem_gpa(const struct guest_mem *mem, u64 page)
{
    assert(page < mem->size / PAGE_SIZE);
    return slots_gpa(mem->slot, page);
}

/* May all of [gpa, gpa+len) be accessed now? 0, -EFAULT or -EAGAIN, as guest_read says. */
static int accessible(struct guest_mem *mem, gpa_t gpa, u64 len)
{
    return guest_mem_valid(mem, gpa, len) ? guest_mem_ask(mem, gpa, len) : -EFAULT;
}

/* The host memory of a gpa that is RAM and is here; *len is cut to the bytes that are contiguous there. */
static void *guest_pointer(struct guest_mem *mem, gpa_t gpa, u64 *len)
{
    struct npt_leaf leaf;
    u64 offset;

    while ((leaf = leaf_at(mem, gpa)).prot == NPT_UNTOUCHED)
        npt_touch(mem->npt, gpa);
    offset = gpa & (leaf.page_size - 1);
    *len = MIN(*len, leaf.page_size - offset);
    return (char *)frame_window(leaf.frame) + offset;
}

/* The hypervisor has written `len` bytes, which lie in one slot. */
static void written(struct guest_mem *mem, gpa_t gpa, u64 len)
{
    __atomic_fetch_add(&mem->bytes_written, len, __ATOMIC_RELAXED);
    if (mem->dirty.producer != DIRTY_OFF)
        dirty_written(mem, gpa, len);
}

/*
 * Copy; but 2, 4 and 8 bytes are copied by one mov, which is one access if the guest address is aligned. Another
 * processor may use the same ring index or page-table entry, and a half-copied value is neither the old nor the new
 * one.
 */
static void copy(void *to, const void *from, u64 len)
{
    switch (len) {
    case 2: __builtin_memcpy(to, from, 2); break;
    case 4: __builtin_memcpy(to, from, 4); break;
    case 8: __builtin_memcpy(to, from, 8); break;
    default: bulk_copy(to, from, len);
    }
}

int guest_read(struct guest_mem *mem, gpa_t gpa, void *buffer, u64 len)
{
    char *to = buffer;
    int err = accessible(mem, gpa, len);

    if (err)
        return err;
    for (u64 step; len != 0; gpa += step, to += step, len -= step) {
        step = len;
        copy(to, guest_pointer(mem, gpa, &step), step);
    }
    return 0;
}

int guest_write(struct guest_mem *mem, gpa_t gpa, const void *buffer, u64 len)
{
    const char *from = buffer;
    int err = accessible(mem, gpa, len);

    if (err)
        return err;
    for (u64 step; len != 0; gpa += step, from += step, len -= step) {
        void *to;

        step = len;
        to = guest_pointer(mem, gpa, &step);
        copy(to, from, step);
        written(mem, gpa, step);
    }
    return 0;
}

u64 guest_mem_untouched(struct guest_mem *mem, gpa_t gpa)
{
    /* First of all: a page may come at any time, but none becomes missing while others look. */
    if (guest_mem_missing(mem, guest_mem_page(mem, gpa)))
        return 0;

    struct npt_leaf leaf = leaf_at(mem, gpa);

    return leaf.prot == NPT_UNTOUCHED ? leaf.page_size - (gpa & (leaf.page_size - 1)) : 0;
}

void guest_mem_untouch(struct guest_mem *mem)
{
    mem->id = ++ids;
    guest_mem_forget_missing(mem);
    for (unsigned i = 0; i < GUEST_SLOTS; i++) {
        npt_untouch(mem->npt, mem->slot[i].base, mem->slot[i].size);
        written(mem, mem->slot[i].base, mem->slot[i].size);
    }
    npt_reap(mem->npt);
}

void *guest_mem_place(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous)
{
    *contiguous = MIN(len, slots_rest(mem->slot, gpa));
    assert(!*contiguous || !guest_mem_missing(mem, guest_mem_page(mem, gpa)));
    return slots_rest(mem->slot, gpa) ? guest_pointer(mem, gpa, contiguous) : NULL;
}

const void *guest_ptr(struct guest_mem *mem, gpa_t gpa, u64 len, u64 *contiguous)
{
    *contiguous = 0;
    return accessible(mem, gpa, 1) ? NULL : guest_mem_place(mem, gpa, len, contiguous);
}

bool guest_cmpxchg(struct guest_mem *mem, gpa_t gpa, u64 old, u64 new, unsigned bytes)
{
    u64 len = bytes;
    u32 old32 = (u32)old;
    bool done;
    void *entry;

    assert((bytes == 4 || bytes == 8) && is_aligned(gpa, bytes));
    if (accessible(mem, gpa, bytes))
        return false;
    entry = guest_pointer(mem, gpa, &len);
    if (bytes == 8)
        done = __atomic_compare_exchange_n((u64 *)entry, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    else
        done = __atomic_compare_exchange_n((u32 *)entry, &old32, (u32) new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (done)
        written(mem, gpa, bytes);
    return done;
}

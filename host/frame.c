/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frame allocator: binary buddies.
 *
 * One state byte a frame. STATE_FREE | order marks the first frame of a free block; no other frame, used or inside a
 * free block, has these bits. So a used block carries no order, and may be freed whole or in aligned pieces. A free
 * block's first bytes hold its list node.
 *
 * The other two bits say what a frame holds. Neither is set on what came by frame_add: touching all RAM at boot would
 * cost more than the boot. STATE_ZEROS can be trusted: only frame_scrub sets it, on a free frame that it zeroes in the
 * same hold of the lock; only block_link writes to a free frame; and an owner claims a frame, which clears the bit,
 * before the first write. frame_alloc claims at once.
 *
 * Invariants, under the lock: a free block is aligned to its size and lies below `frames`; a block and its buddy are
 * never both free at the same order, unless at FRAME_MAX_ORDER; free frames with STATE_WRITTEN are in the scrub range.
 */
#include "host/frame.h"

#include <string.h>

#include "host/bits.h"
#include "host/list.h"
#include "host/lock.h"
#include "host/panic.h"

#define STATE_FREE BIT(7)
#define STATE_WRITTEN BIT(6) /* it was claimed: it is zeroed once it is free */
#define STATE_ZEROS BIT(5)   /* it is zeros, but for a list node */
#define STATE_ORDER BITS(4, 0)

#define SCRUB_FRAMES 16  /* zeroed in one go of frame_scrub */
#define SCRUB_SLICE 4096 /* looked at, if none is to be zeroed */

static struct {
    struct spinlock lock;
    char *window; /* virtual address of physical 0 */
    u8 *state;
    u64 frames;              /* state bytes */
    u64 scrub_at, scrub_end; /* the range of frames that frame_scrub has yet to look at; none: the end is 0 */
    struct list free[FRAME_MAX_ORDER + 1];
    struct frame_stats stats;
} pool;

void *frame_window(hpa_t address)
{
    return pool.window + address;
}

hpa_t frame_address(const void *window_address)
{
    return (hpa_t)((const char *)window_address - pool.window);
}

static struct list *block_node(u64 index)
{
    return frame_window(index << PAGE_SHIFT);
}

static bool block_is_free(u64 index, unsigned order)
{
    return index < pool.frames && (pool.state[index] & ~(STATE_WRITTEN | STATE_ZEROS)) == (STATE_FREE | order);
}

/* Put a free block behind the others: the block that is free longest is taken first. A guest's RAM is then low memory,
 * and not memory where the firmware ran, whose code an emulator would have to forget page by page. And a freed frame
 * stays free for long, so that it is zeroed before it is taken, and debug builds may find a write to it. */
static void block_link(u64 index, unsigned order)
{
    pool.state[index] |= STATE_FREE | order;
    list_add_tail(&pool.free[order], block_node(index));
}

static void block_unlink(u64 index)
{
    struct list *node = block_node(index);

    list_del(node);
    pool.state[index] &= STATE_WRITTEN | STATE_ZEROS;
    if (pool.state[index] & STATE_ZEROS)
        memset(node, 0, sizeof(*node));
}

/* Make a used block free, and join it with its buddies as far as they are free. */
static void block_release(u64 index, unsigned order)
{
    pool.stats.free += BIT(order);
    for (; order < FRAME_MAX_ORDER && block_is_free(index ^ BIT(order), order); order++) {
        block_unlink(index ^ BIT(order));
        index &= ~BIT(order);
    }
    block_link(index, order);
}

/* Whether a free block contains the frame, at its start or inside. */
static bool frame_is_free(u64 index)
{
    for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++) {
        u64 head = align_down(index, BIT(order));

        if ((pool.state[head] & STATE_FREE) && (pool.state[head] & STATE_ORDER) >= order)
            return true;
    }
    return false;
}

size_t frame_state_size(hpa_t top)
{
    return align_up(top, PAGE_SIZE) >> PAGE_SHIFT;
}

void frame_init(u8 *state, hpa_t top, void *window)
{
    pool.lock = SPINLOCK(LOCK_FRAMES);
    pool.window = window;
    pool.state = state;
    pool.frames = top >> PAGE_SHIFT;
    pool.scrub_end = 0;
    memset(state, 0, frame_state_size(top));
    for (unsigned order = 0; order <= FRAME_MAX_ORDER; order++)
        list_init(&pool.free[order]);
    pool.stats = (struct frame_stats){
        .bookkeeping = align_up(frame_state_size(top), PAGE_SIZE) >> PAGE_SHIFT,
    };
}

void frame_add(hpa_t base, u64 size)
{
    u64 index = base >> PAGE_SHIFT, end = (base + size) >> PAGE_SHIFT;

    assert(is_aligned(base | size, PAGE_SIZE) && end <= pool.frames);
    spin_lock(&pool.lock);
    pool.stats.total += end - index;
    for (unsigned order; index < end; index += BIT(order)) {
        order = FRAME_MAX_ORDER;
        while (!is_aligned(index, BIT(order)) || BIT(order) > end - index)
            order--;
        assert(!frame_is_free(index));
        block_release(index, order);
    }
    spin_unlock(&pool.lock);
}

/* Unlink the smallest free block of at least `order`, and give back the part that is not needed. Returns ~0 if no block
 * is large enough. Under the lock. */
static u64 block_take(unsigned order)
{
    unsigned have = order;
    u64 index;

    while (have <= FRAME_MAX_ORDER && list_empty(&pool.free[have]))
        have++;
    if (have > FRAME_MAX_ORDER)
        return ~0ULL;

    index = frame_address(pool.free[have].next) >> PAGE_SHIFT;
    block_unlink(index);
    while (have-- > order)
        block_link(index + BIT(have), have);
    pool.stats.free -= BIT(order);
    return index;
}

hpa_t frame_alloc_unclaimed(unsigned order)
{
    u64 index;

    assert(order <= FRAME_MAX_ORDER);
    spin_lock(&pool.lock);
    index = block_take(order);
    spin_unlock(&pool.lock);
    return index == ~0ULL ? FRAME_NONE : index << PAGE_SHIFT;
}

bool frame_claim(hpa_t frame, unsigned order)
{
    static const u8 zero_page[PAGE_SIZE]; /* only debug builds have it */
    bool zeros = true;

    for (u64 i = frame >> PAGE_SHIFT, end = i + BIT(order); i < end; i++) {
        bool zero = pool.state[i] & STATE_ZEROS;

        if (GODWIT_DEBUG && zero && memcmp(frame_window(i << PAGE_SHIFT), zero_page, PAGE_SIZE))
            panic("frame %lx was written after it was freed", (unsigned long)(i << PAGE_SHIFT));
        zeros &= zero;
        pool.state[i] = STATE_WRITTEN;
    }
    return zeros;
}

hpa_t frame_alloc(unsigned order)
{
    hpa_t frame = frame_alloc_unclaimed(order);

    if (frame != FRAME_NONE)
        frame_claim(frame, order);
    return frame;
}

void frame_free(hpa_t frame, unsigned order)
{
    u64 index = frame >> PAGE_SHIFT;

    assert(order <= FRAME_MAX_ORDER && is_aligned(frame, PAGE_SIZE << order) && index + BIT(order) <= pool.frames);
    spin_lock(&pool.lock);
    if (frame_is_free(index))
        panic("frame %lx freed twice", (unsigned long)frame);
    pool.scrub_at = pool.scrub_end ? MIN(pool.scrub_at, index) : index;
    pool.scrub_end = MAX(pool.scrub_end, index + BIT(order));
    block_release(index, order);
    spin_unlock(&pool.lock);
}

/* Zero the frame if it is free and was written to. Returns what that costs, in looks at a frame. Under the lock. */
static unsigned scrub(u64 index)
{
    if (!(pool.state[index] & STATE_WRITTEN) || !frame_is_free(index))
        return 1;

    struct list *node = block_node(index), saved = *node;

    memset(node, 0, PAGE_SIZE);
    if (pool.state[index] & STATE_FREE)
        *node = saved;
    pool.state[index] ^= STATE_WRITTEN | STATE_ZEROS;
    return SCRUB_SLICE / SCRUB_FRAMES;
}

bool frame_scrub(void)
{
    spin_lock(&pool.lock);
    for (unsigned cost = 0; pool.scrub_at < pool.scrub_end && cost < SCRUB_SLICE; pool.scrub_at++)
        cost += scrub(pool.scrub_at);
    bool left = pool.scrub_at < pool.scrub_end;

    if (!left)
        pool.scrub_end = 0;
    spin_unlock(&pool.lock);
    return left;
}

void *frame_alloc_page(void)
{
    hpa_t frame = frame_alloc(FRAME_ORDER_4K);

    return frame == FRAME_NONE ? NULL : memset(frame_window(frame), 0, PAGE_SIZE);
}

void frame_free_page(void *page)
{
    frame_free(frame_address(page), FRAME_ORDER_4K);
}

struct frame_stats frame_stats(void)
{
    struct frame_stats stats;

    spin_lock(&pool.lock);
    stats = pool.stats;
    spin_unlock(&pool.lock);
    return stats;
}

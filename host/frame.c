/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frame allocator: binary buddies.
 *
 * One state byte a frame. STATE_FREE | order marks the first frame of a free block; every other frame, used or inside a
 * free block, says 0. So a used block carries no order, and may be freed whole or in aligned pieces. A free block's
 * first bytes hold its list node.
 *
 * Invariants, under the lock: a free block is aligned to its size and lies below `frames`; a block and its buddy are
 * never both free at the same order, unless at FRAME_MAX_ORDER.
 *
 * Debug builds set STATE_JUNK on each frame they have filled at frame_free. Frames that came by frame_add are not
 * filled: touching all RAM at boot would cost more than the boot.
 */
#include "host/frame.h"

#include <string.h>

#include "host/bits.h"
#include "host/junk.h"
#include "host/list.h"
#include "host/lock.h"
#include "host/panic.h"

#define STATE_FREE BIT(7)
#define STATE_JUNK BIT(6) /* debug: the frame is free and begins with JUNK, but for a list node */
#define STATE_FULL BIT(5) /* debug: the whole frame is JUNK */
#define STATE_ORDER BITS(4, 0)

static struct {
    struct spinlock lock;
    char *window; /* virtual address of physical 0 */
    u8 *state;
    u64 frames; /* state bytes */
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
    return index < pool.frames && (pool.state[index] & ~(STATE_JUNK | STATE_FULL)) == (STATE_FREE | order);
}

/* Put a free block behind the others: the block that is free longest is taken first. A guest's RAM is then low memory,
 * and not memory where the firmware ran, whose code an emulator would have to forget page by page. And a freed frame
 * stays free for long, so that debug builds may find a write to it. */
static void block_link(u64 index, unsigned order)
{
    pool.state[index] |= STATE_FREE | order;
    list_add_tail(&pool.free[order], block_node(index));
}

static void block_unlink(u64 index)
{
    struct list *node = block_node(index);

    list_del(node);
    pool.state[index] &= STATE_JUNK | STATE_FULL;
    if (pool.state[index] & STATE_JUNK)
        memset(node, JUNK, sizeof(*node));
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

#ifdef GODWIT_DEBUG
#define FILLS_JUNK true
#else
#define FILLS_JUNK false
#endif

/* Of a large block, which is guest RAM, only the beginning of each frame: freeing a guest must not stop the host. */
#define JUNK_FULL_ORDER 8
#define JUNK_HEAD 64

static u64 junk_bytes(u64 index)
{
    return pool.state[index] & STATE_FULL ? PAGE_SIZE : JUNK_HEAD;
}

static void junk_fill(u64 index, unsigned order)
{
    memset(&pool.state[index], STATE_JUNK | (order <= JUNK_FULL_ORDER ? STATE_FULL : 0), BIT(order));
    for (u64 i = index; i < index + BIT(order); i++)
        memset(frame_window(i << PAGE_SHIFT), JUNK, junk_bytes(i));
}

/* Panic if a frame of the block was written after it had been freed. */
static void junk_check(u64 index, unsigned order)
{
    for (u64 i = index; i < index + BIT(order); i++) {
        if (pool.state[i] && !junk_is_whole(frame_window(i << PAGE_SHIFT), junk_bytes(i)))
            panic("frame %lx was written after it was freed", (unsigned long)(i << PAGE_SHIFT));
        pool.state[i] = 0;
    }
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

hpa_t frame_alloc(unsigned order)
{
    u64 index;

    assert(order <= FRAME_MAX_ORDER);
    spin_lock(&pool.lock);
    index = block_take(order);
    spin_unlock(&pool.lock);
    if (index == ~0ULL)
        return FRAME_NONE;
    if (FILLS_JUNK)
        junk_check(index, order);
    return index << PAGE_SHIFT;
}

void frame_free(hpa_t frame, unsigned order)
{
    u64 index = frame >> PAGE_SHIFT;

    assert(order <= FRAME_MAX_ORDER && is_aligned(frame, PAGE_SIZE << order) && index + BIT(order) <= pool.frames);
    spin_lock(&pool.lock);
    if (frame_is_free(index))
        panic("frame %lx freed twice", (unsigned long)frame);
    if (FILLS_JUNK)
        junk_fill(index, order);
    block_release(index, order);
    spin_unlock(&pool.lock);
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allocator of page frames: a binary buddy system over all RAM, with one byte of bookkeeping for each frame. Free
 * blocks are chained through their own memory. What is freed is zeroed in the background, which wipes what guests left
 * and spares the next owner that time. Debug builds panic if somebody wrote to a frame after it was zeroed.
 */
#pragma once

#include "host/types.h"

#define FRAME_ORDER_4K 0
#define FRAME_ORDER_2M 9
#define FRAME_ORDER_1G 18
#define FRAME_MAX_ORDER FRAME_ORDER_1G
#define FRAME_NONE (~0ULL)

struct frame_stats {
    u64 total; /* frames ever given to the allocator */
    u64 free;
    u64 bookkeeping; /* frames used by the allocator itself */
};

/*
 * Manage the frames below `top` (bytes, physical); all of them start as used. `state` is memory for
 * frame_state_size(top) bytes of bookkeeping. `window` is the virtual address of physical 0 (the direct map; in unit
 * tests an array). Called once.
 */
void frame_init(u8 *state, hpa_t top, void *window);
size_t frame_state_size(hpa_t top);

/* Give [base, base+size) to the allocator: page-aligned RAM that was used so far. At boot, or to return memory. */
void frame_add(hpa_t base, u64 size);

/*
 * Allocate 2^order contiguous frames, aligned to their size; their contents are undefined. Returns FRAME_NONE if memory
 * is short. Any CPU; takes the allocator's lock. The caller owns the frames until it frees them, whole or in aligned
 * pieces of any smaller order.
 */
hpa_t frame_alloc(unsigned order);

/* The same for an owner who may leave frames as they are: he calls frame_claim for a part before it is first written.
 * What he never claimed is freed as it came, and need not be zeroed. */
hpa_t frame_alloc_unclaimed(unsigned order);

/* The owner is about to write to these frames. Returns whether all of them are known to be zeros now. Any CPU; nobody
 * else may claim or free them meanwhile. */
bool frame_claim(hpa_t frame, unsigned order);

void frame_free(hpa_t frame, unsigned order);

/* Zero up to 64 KiB of what was freed. Returns whether more is left. Holds the allocator's lock for all of that time,
 * so that no frame is anywhere but free or with its owner. Any CPU. */
bool frame_scrub(void);

/* The virtual address at which the window shows a physical address, and the reverse. */
void *frame_window(hpa_t address);
hpa_t frame_address(const void *window_address);

/* Allocate one zeroed frame; returns its address in the window, or NULL if memory is short. */
void *frame_alloc_page(void);
void frame_free_page(void *page);

struct frame_stats frame_stats(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frame allocator: a binary buddy system over all RAM, one byte of bookkeeping a frame; free blocks are chained through
 * their own memory. Debug builds fill freed frames with JUNK (host/junk.h), and panic at allocation if a freed frame
 * was written.
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
 * Manage frames below `top` (bytes, physical); `state` is memory for frame_state_size(top) bytes of bookkeeping;
 * everything starts as used. `window` is the virtual address of physical 0 (the direct map; a host array in unit
 * tests). Once.
 */
void frame_init(u8 *state, hpa_t top, void *window);
size_t frame_state_size(hpa_t top);

/* Give [base, base+size) to the allocator: page aligned, RAM, used so far. Boot, or returning memory. */
void frame_add(hpa_t base, u64 size);

/*
 * 2^order contiguous frames, aligned to their size; FRAME_NONE without memory. Contents undefined. Any CPU; takes the
 * allocator's lock. The caller owns the frames until it frees them, whole or in aligned pieces of any smaller order.
 */
hpa_t frame_alloc(unsigned order);
void frame_free(hpa_t frame, unsigned order);

/* A physical address seen through the window, and back. */
void *frame_window(hpa_t address);
hpa_t frame_address(const void *window_address);

/* One zeroed frame seen through the window, or NULL. */
void *frame_alloc_page(void);
void frame_free_page(void *page);

struct frame_stats frame_stats(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM as a migration sees it: ranges, whose pages are numbered from 0 through all of them in order. Bitmaps
 * of the dirty log and of the destination are by that number. And a digest of it, for verify mode.
 */
#pragma once

#include "host/types.h"
#include "migrate/wire.h"

#define RAM_NONE (~0ULL)

struct ram {
    struct wire_range range[WIRE_RANGES];
    unsigned ranges;
    u64 pages;
};

/* Check ranges (aligned, ascending, apart, not empty) that may come from a peer. Returns 0 or -EINVAL. */
int ram_init(struct ram *ram, const struct wire_range *range, unsigned ranges);

/* Number of the page at gpa, RAM_NONE if there is none or gpa is not a page's. And back, for number < pages. */
u64 ram_index(const struct ram *ram, gpa_t gpa);
gpa_t ram_gpa(const struct ram *ram, u64 index);

/* Do `pages` pages from gpa on lie in one range? */
bool ram_contains(const struct ram *ram, gpa_t gpa, u64 pages);

/* A bitmap of a bit a page, all clear; freed by free(). NULL without memory. */
u64 *ram_bitmap(const struct ram *ram);
u64 bitmap_count(const u64 *bitmap, u64 bits);
/* Set the first `bits`. */
void bitmap_fill(u64 *bitmap, u64 bits);
/* The first set bit at or after `from`, or `bits`. */
u64 bitmap_next(const u64 *bitmap, u64 bits, u64 from);

static inline bool bitmap_test(const u64 *bitmap, u64 bit)
{
    return bitmap[bit / 64] >> (bit % 64) & 1;
}

static inline void bitmap_set(u64 *bitmap, u64 bit)
{
    bitmap[bit / 64] |= 1ULL << (bit % 64);
}

static inline void bitmap_clear(u64 *bitmap, u64 bit)
{
    bitmap[bit / 64] &= ~(1ULL << (bit % 64));
}

bool page_is_zero(const void *page);

/* A page's part in the digest of a memory: the sum of them all. Zero pages have none. */
u64 digest_page(gpa_t gpa, const void *page);

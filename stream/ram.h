/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM as a migration sees it: which slots it has, as the description says. The bitmaps of the dirty log and
 * of the destination have a bit for each page, by its number (mm/guest_slots.h). Also the digest of a page, for verify
 * mode.
 */
#pragma once

#include "host/bits.h"
#include "host/types.h"
#include "stream/wire.h"
#include "mm/guest_slots.h"

struct ram {
    struct guest_slot slot[GUEST_SLOTS];
    u64 pages;
};

/* Take over ranges that may come from a peer, if they are aligned, ascending, apart and not empty. Returns 0 or
 * -EINVAL. */
int ram_init(struct ram *ram, const struct wire_range *range, unsigned ranges);

/* ram_index: the number of the page at gpa, GUEST_PAGE_NONE if there is no RAM or gpa is not the start of a page.
 * ram_gpa: the address of page number `index`, which is below ram->pages. */
u64 ram_index(const struct ram *ram, gpa_t gpa);
gpa_t ram_gpa(const struct ram *ram, u64 index);

/* Do `pages` pages from gpa on lie in one range? */
bool ram_contains(const struct ram *ram, gpa_t gpa, u64 pages);

/* Take the next of runs that are to be ascending, where the last one ended at *end. Returns whether it is so, and lies
 * in one range. */
bool ram_take_run(const struct ram *ram, const struct wire_run *run, gpa_t *end);

/* A bitmap with a bit for each page, all clear; the caller frees it with free(). NULL if there is no memory. */
u64 *ram_bitmap(const struct ram *ram);
/* Its length, in words of 64 bits. */
static inline u64 ram_words(const struct ram *ram)
{
    return (ram->pages + 63) / 64;
}
u64 bitmap_count(const u64 *bitmap, u64 bits);
/* Set, or clear, so many bits from `from` on. */
void bitmap_set_run(u64 *bitmap, u64 from, u64 bits);
void bitmap_clear_run(u64 *bitmap, u64 from, u64 bits);
/* The first set bit at or after `from`, or `bits`. */
u64 bitmap_next(const u64 *bitmap, u64 bits, u64 from);
/* How many bits are set from `from` on, without a gap; at most `most`. */
u64 bitmap_run(const u64 *bitmap, u64 bits, u64 from, u64 most);

bool page_is_zero(const void *page);

/* A page's part in the digest of a memory, which is the sum of all parts. The part of a zero page, or NULL, is 0. */
u64 digest_page(gpa_t gpa, const void *page);

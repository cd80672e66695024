/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "config/digest.h"

int ram_init(struct ram *ram, const struct wire_range *range, unsigned ranges)
{
    gpa_t end = 0;

    memset(ram, 0, sizeof(*ram));
    if (!ranges || ranges > WIRE_RANGES)
        return -EINVAL;
    for (unsigned i = 0; i < ranges; i++) {
        if (!is_aligned(range[i].gpa | range[i].bytes, WIRE_PAGE) || !range[i].bytes || range[i].gpa < end ||
            range[i].bytes > BIT(52) || range[i].gpa > BIT(52) - range[i].bytes)
            return -EINVAL;
        end = range[i].gpa + range[i].bytes;
        ram->range[i] = range[i];
        ram->pages += range[i].bytes / WIRE_PAGE;
    }
    ram->ranges = ranges;
    return 0;
}

u64 ram_index(const struct ram *ram, gpa_t gpa)
{
    u64 before = 0;

    if (!is_aligned(gpa, WIRE_PAGE))
        return RAM_NONE;
    for (unsigned i = 0; i < ram->ranges; i++) {
        if (gpa >= ram->range[i].gpa && gpa - ram->range[i].gpa < ram->range[i].bytes)
            return before + (gpa - ram->range[i].gpa) / WIRE_PAGE;
        before += ram->range[i].bytes / WIRE_PAGE;
    }
    return RAM_NONE;
}

gpa_t ram_gpa(const struct ram *ram, u64 index)
{
    for (unsigned i = 0; i < ram->ranges; i++) {
        u64 pages = ram->range[i].bytes / WIRE_PAGE;

        if (index < pages)
            return ram->range[i].gpa + index * WIRE_PAGE;
        index -= pages;
    }
    return ~0ULL;
}

bool ram_contains(const struct ram *ram, gpa_t gpa, u64 pages)
{
    for (unsigned i = 0; i < ram->ranges; i++) {
        const struct wire_range *range = &ram->range[i];

        if (gpa >= range->gpa && gpa - range->gpa < range->bytes)
            return is_aligned(gpa, WIRE_PAGE) && pages <= (range->bytes - (gpa - range->gpa)) / WIRE_PAGE;
    }
    return false;
}

u64 *ram_bitmap(const struct ram *ram)
{
    return calloc((ram->pages + 63) / 64, sizeof(u64));
}

u64 bitmap_count(const u64 *bitmap, u64 bits)
{
    u64 count = 0;

    /* Bits beyond the last page are never set. */
    for (u64 i = 0; i < (bits + 63) / 64; i++)
        count += bits_count(bitmap[i]);
    return count;
}

void bitmap_fill(u64 *bitmap, u64 bits)
{
    memset(bitmap, 0xFF, bits / 64 * sizeof(u64));
    for (u64 i = bits / 64 * 64; i < bits; i++)
        bitmap_set(bitmap, i);
}

u64 bitmap_next(const u64 *bitmap, u64 bits, u64 from)
{
    while (from < bits) {
        u64 word = bitmap[from / 64] >> (from % 64);

        if (word)
            return MIN(from + __builtin_ctzll(word), bits);
        from = (from / 64 + 1) * 64;
    }
    return bits;
}

bool page_is_zero(const void *page)
{
    const u64 *word = page;

    for (unsigned i = 0; i < WIRE_PAGE / sizeof(*word); i += 4)
        if (word[i] | word[i + 1] | word[i + 2] | word[i + 3])
            return false;
    return true;
}

u64 digest_page(gpa_t gpa, const void *page)
{
    return page_is_zero(page) ? 0 : digest_bytes(digest_word(DIGEST_PRIME, gpa), page, WIRE_PAGE);
}

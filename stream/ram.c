/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/ram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "config/digest.h"

_Static_assert(WIRE_RANGES >= GUEST_SLOTS && WIRE_PAGE == PAGE_SIZE, "the description has room for every guest's RAM");

int ram_init(struct ram *ram, const struct wire_range *range, unsigned ranges)
{
    gpa_t end = 0;

    memset(ram, 0, sizeof(*ram));
    if (!ranges || ranges > GUEST_SLOTS)
        return -EINVAL;
    for (unsigned i = 0; i < ranges; i++) {
        if (!is_aligned(range[i].gpa | range[i].bytes, WIRE_PAGE) || !range[i].bytes || range[i].gpa < end ||
            range[i].bytes > BIT(52) || range[i].gpa > BIT(52) - range[i].bytes)
            return -EINVAL;
        end = range[i].gpa + range[i].bytes;
        ram->slot[i] = (struct guest_slot){ range[i].gpa, range[i].bytes };
        ram->pages += range[i].bytes / WIRE_PAGE;
    }
    return 0;
}

u64 ram_index(const struct ram *ram, gpa_t gpa)
{
    return is_aligned(gpa, WIRE_PAGE) ? slots_page(ram->slot, gpa) : GUEST_PAGE_NONE;
}

gpa_t ram_gpa(const struct ram *ram, u64 index)
{
    return slots_gpa(ram->slot, index);
}

bool ram_contains(const struct ram *ram, gpa_t gpa, u64 pages)
{
    u64 rest = slots_rest(ram->slot, gpa);

    return rest && is_aligned(gpa, WIRE_PAGE) && pages <= rest / WIRE_PAGE;
}

bool ram_take_run(const struct ram *ram, const struct wire_run *run, gpa_t *end)
{
    if (run->gpa < *end || !run->pages || !ram_contains(ram, run->gpa, run->pages))
        return false;
    *end = run->gpa + run->pages * WIRE_PAGE;
    return true;
}

u64 *ram_bitmap(const struct ram *ram)
{
    return calloc(ram_words(ram), sizeof(u64));
}

u64 bitmap_count(const u64 *bitmap, u64 bits)
{
    u64 count = 0;

    /* Bits beyond the last page are never set. */
    for (u64 i = 0; i < (bits + 63) / 64; i++)
        count += bits_count(bitmap[i]);
    return count;
}

static void change_run(u64 *bitmap, u64 from, u64 bits, bool set)
{
    u64 next;

    for (u64 at = from, end = from + bits; at < end; at = next) {
        u64 mask;

        next = MIN(end, (at / 64 + 1) * 64);
        mask = BITS((next - 1) % 64, at % 64);
        if (set)
            bitmap[at / 64] |= mask;
        else
            bitmap[at / 64] &= ~mask;
    }
}

void bitmap_set_run(u64 *bitmap, u64 from, u64 bits)
{
    change_run(bitmap, from, bits, true);
}

void bitmap_clear_run(u64 *bitmap, u64 from, u64 bits)
{
    change_run(bitmap, from, bits, false);
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

u64 bitmap_run(const u64 *bitmap, u64 bits, u64 from, u64 most)
{
    u64 end = MIN(bits, from + most), at = from;

    while (at < end && bitmap_test(bitmap, at))
        at += at % 64 == 0 && bitmap[at / 64] == ~0ULL ? 64 : 1;
    return MIN(at, end) - from;
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
    return !page || page_is_zero(page) ? 0 : digest_bytes(digest_word(DIGEST_PRIME, gpa), page, WIRE_PAGE);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/stash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/frame.h"

#define BLOCK_ORDER 6 /* small enough to be found in memory that is in pieces */
#define BLOCK_PAGES (1ULL << BLOCK_ORDER)

static u64 blocks(const struct stash *stash)
{
    return (stash->room + BLOCK_PAGES - 1) / BLOCK_PAGES;
}

int stash_init(struct stash *stash, const struct ram *ram, u64 room)
{
    *stash = (struct stash){ .ram = ram, .room = room };
    stash->entry = calloc(room, sizeof(*stash->entry));
    stash->block = calloc(blocks(stash), sizeof(*stash->block));
    if (!stash->entry || !stash->block)
        return -ENOMEM;
    for (u64 i = 0; i < blocks(stash); i++) {
        hpa_t block = frame_alloc(BLOCK_ORDER);

        if (block == FRAME_NONE)
            return -ENOMEM;
        stash->block[i] = frame_window(block);
    }
    return 0;
}

void stash_fini(struct stash *stash)
{
    for (u64 i = 0; stash->block && i < blocks(stash) && stash->block[i]; i++)
        frame_free(frame_address(stash->block[i]), BLOCK_ORDER);
    free(stash->block);
    free(stash->entry);
    *stash = (struct stash){ 0 };
}

void stash_clear(struct stash *stash)
{
    stash->entries = stash->pages = stash->zero_pages = 0;
    stash->put.entry = stash->put.pages = 0;
}

/* Would it have more pages than there are, one of them twice? Whoever puts them would never come to an end. */
static bool too_many(const struct stash *stash, u64 pages)
{
    return pages > stash->ram->pages - stash->pages - stash->zero_pages;
}

u8 *stash_page(struct stash *stash, gpa_t gpa)
{
    u8 *bytes;

    if (stash->entries == stash->room || too_many(stash, 1))
        return NULL;
    bytes = stash->block[stash->pages / BLOCK_PAGES] + stash->pages % BLOCK_PAGES * PAGE_SIZE;
    stash->pages++;
    stash->entry[stash->entries++] = (struct stash_entry){ .gpa = gpa, .pages = 1, .bytes = bytes };
    return bytes;
}

/* Is this where the last entry's zeros end, in the same range? */
static bool continues(const struct stash *stash, gpa_t gpa, u64 pages)
{
    const struct stash_entry *last = stash->entries ? &stash->entry[stash->entries - 1] : NULL;

    return last && !last->bytes && last->gpa + last->pages * PAGE_SIZE == gpa &&
           ram_contains(stash->ram, last->gpa, last->pages + pages);
}

bool stash_zeros(struct stash *stash, gpa_t gpa, u64 pages)
{
    if (too_many(stash, pages))
        return false;
    if (continues(stash, gpa, pages)) {
        stash->entry[stash->entries - 1].pages += pages;
    } else if (stash->entries == stash->room) {
        return false;
    } else {
        stash->entry[stash->entries++] = (struct stash_entry){ .gpa = gpa, .pages = pages };
    }
    stash->zero_pages += pages;
    return true;
}

/* How many pages of the bitmap from `index` on, `most` at most, are as the page there: untouched. */
static u64 untouched_run(const struct stash *stash, const struct stash_memory *memory, const u64 *bitmap, u64 index,
                         u64 most)
{
    u64 alike = memory->alike(memory->vm, ram_gpa(stash->ram, index)) / PAGE_SIZE;

    return bitmap_run(bitmap, stash->ram->pages, index, MIN(alike, most));
}

/* Add a page with these contents. False: it is full. */
static bool add(struct stash *stash, gpa_t gpa, const void *page)
{
    u8 *to;

    if (page_is_zero(page))
        return stash_zeros(stash, gpa, 1);
    to = stash_page(stash, gpa);
    if (to)
        memcpy(to, page, PAGE_SIZE);
    return to;
}

u64 stash_take(struct stash *stash, const struct stash_memory *memory, const u64 *bitmap, u64 from, u64 most)
{
    u64 end = stash->ram->pages, index = bitmap_next(bitmap, end, from);

    for (u64 step; index < end && most; most -= step, index = bitmap_next(bitmap, end, index + step)) {
        gpa_t gpa = ram_gpa(stash->ram, index);
        const void *page = memory->page(memory->vm, gpa);

        step = page ? 1 : untouched_run(stash, memory, bitmap, index, most);
        if (!(page ? add(stash, gpa, page) : stash_zeros(stash, gpa, step)))
            break;
    }
    return index;
}

/* Zeros are not written to a page that is untouched. */
static void put(const struct stash_memory *memory, gpa_t gpa, const u8 *bytes)
{
    if (bytes)
        memcpy(memory->place(memory->vm, gpa), bytes, PAGE_SIZE);
    else if (memory->page(memory->vm, gpa))
        memset(memory->place(memory->vm, gpa), 0, PAGE_SIZE);
}

bool stash_put_part(struct stash *stash, const struct stash_memory *memory, u64 most)
{
    while (stash->put.entry < stash->entries) {
        const struct stash_entry *entry = &stash->entry[stash->put.entry];

        for (; stash->put.pages < entry->pages; stash->put.pages++) {
            if (!most--)
                return false;
            put(memory, entry->gpa + stash->put.pages * PAGE_SIZE, entry->bytes);
        }
        stash->put.entry++;
        stash->put.pages = 0;
    }
    return true;
}

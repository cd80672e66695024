/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream/ram_digest.h"

#include <errno.h>
#include <stdlib.h>

#include "host/bits.h"

int ram_digest_init(struct ram_digest *digest, const struct ram *ram)
{
    *digest = (struct ram_digest){ .part = malloc(ram->pages * sizeof(u64)), .stale = ram_bitmap(ram) };
    if (!digest->part || !digest->stale)
        return -ENOMEM;
    bitmap_set_run(digest->stale, 0, ram->pages);
    return 0;
}

void ram_digest_fini(struct ram_digest *digest)
{
    free(digest->part);
    free(digest->stale);
    *digest = (struct ram_digest){ .part = NULL };
}

/* A stale part is not in the sum. So parts need no values at first: to clear those of a large guest would take long. */
static void drop(struct ram_digest *digest, u64 index)
{
    if (!bitmap_test(digest->stale, index))
        digest->sum -= digest->part[index];
    bitmap_set(digest->stale, index);
}

void ram_digest_forget(struct ram_digest *digest, u64 index)
{
    if (!digest->stale)
        return;
    drop(digest, index);
    digest->from = MIN(digest->from, index);
}

void ram_digest_forget_set(struct ram_digest *digest, const struct ram *ram, const u64 *bitmap)
{
    if (!digest->stale)
        return;
    for (u64 i = 0; i < (ram->pages + 63) / 64; i++)
        for (u64 fresh = bitmap[i] & ~digest->stale[i]; fresh; fresh &= fresh - 1)
            drop(digest, i * 64 + (u64)__builtin_ctzll(fresh));
    digest->from = MIN(digest->from, bitmap_next(bitmap, ram->pages, 0));
}

u64 ram_digest_next(struct ram_digest *digest, const struct ram *ram)
{
    digest->from = bitmap_next(digest->stale, ram->pages, digest->from);
    return digest->from;
}

bool ram_digest_take(struct ram_digest *digest, const struct ram *ram, u64 index, const void *page)
{
    u64 part = digest_page(ram_gpa(ram, index), page);

    drop(digest, index);
    digest->sum += part;
    digest->part[index] = part;
    bitmap_clear(digest->stale, index);
    return part;
}

bool ram_digest_part(struct ram_digest *digest, const struct ram *ram, ram_page_fn *page, void *vm,
                     struct digest_work *work)
{
    for (unsigned n = 0; n < WIRE_KEEPALIVE_PAGES; n++) {
        u64 index = ram_digest_next(digest, ram);

        if (index == ram->pages)
            return true;
        work->filled += ram_digest_take(digest, ram, index, page(vm, ram_gpa(ram, index)));
        work->pages++;
    }
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A part of a guest's memory, kept beside it: the pages of one checkpoint. The machine that runs the guest copies them
 * aside while the guest stands, and sends them from here while it runs on. The other machine keeps them apart from its
 * copy of the guest until the checkpoint is whole, and then puts them in.
 *
 * A stash is a list of pages and of runs of zero pages, in the order in which they came; of a page that came twice the
 * later contents count. It has at most as many pages as the RAM has. All of its memory is allocated at the beginning,
 * so it never fails in the middle of a checkpoint except by being full. Host loop.
 */
#pragma once

#include "stream/ram_digest.h"

struct stash_entry {
    gpa_t gpa;       /* of the first page */
    u64 pages;       /* 1, unless they are zeros */
    const u8 *bytes; /* NULL: zeros */
};

struct stash {
    const struct ram *ram;
    u64 room;       /* entries that it can have */
    u64 entries;    /* that it has, in entry[] */
    u64 pages;      /* pages in it that have contents */
    u64 zero_pages; /* pages in its runs of zeros */
    struct stash_entry *entry;
    u8 **block; /* memory of the contents, a few pages each */
    struct {
        u64 entry, pages; /* what stash_put_part has put: entries, and pages of the next one */
    } put;
};

/* A guest's memory, as its owner sees it: struct migrate_source_ops and migrate_dest_ops have these functions. */
struct stash_memory {
    void *vm;
    ram_page_fn *page;                 /* for reading; NULL: untouched, and so zeros */
    u64 (*alike)(void *vm, gpa_t gpa); /* stash_take: bytes from gpa on that are as the page there */
    u8 *(*place)(void *vm, gpa_t gpa); /* stash_put_part: for writing */
};

/* Allocate room for so many pages of this RAM: 24 bytes of the heap, and a page frame, each. Returns 0 or -ENOMEM; call
 * stash_fini in either case. */
int stash_init(struct stash *stash, const struct ram *ram, u64 room);
void stash_fini(struct stash *stash);

/* Forget what is in it. */
void stash_clear(struct stash *stash);

/* Add a page; the caller puts its contents to the returned address. NULL: it is full. */
u8 *stash_page(struct stash *stash, gpa_t gpa);

/* Add a run of zero pages, which lies in one range of the RAM. A run that continues the last entry's becomes a part of
 * it. False: it is full. */
bool stash_zeros(struct stash *stash, gpa_t gpa, u64 pages);

/*
 * Copy pages aside: those of `bitmap` from number `from` on, at most `most` of them. Pages of zeros become runs. The
 * guest stands. Returns the number of the first page that is still to be taken; ram->pages: none is left. The same
 * number as `from`, which is in the bitmap: the stash is full. The bitmap stays as it is.
 */
u64 stash_take(struct stash *stash, const struct stash_memory *memory, const u64 *bitmap, u64 from, u64 most);

/* Put what is in it into the memory, at most `most` pages in a call. Returns true when all is there. Nothing can fail:
 * whoever filled the stash has judged that all of it is RAM. */
bool stash_put_part(struct stash *stash, const struct stash_memory *memory, u64 most);

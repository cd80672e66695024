/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The digest of a guest's memory, for verify mode: the sum of a part for each page. The parts are kept, so when a page
 * changes only its own part is computed again. A part is *stale* until its page has been digested, and again as soon as
 * the page is known to have changed. When no part is stale, the sum is the digest of the memory. Each end of a move has
 * one; two memories that are equal have equal digests, in whatever order their pages came.
 */
#pragma once

#include "stream/ram.h"

struct ram_digest {
    u64 *part;  /* by page, if it is not stale; 0 for a page of zeros */
    u64 *stale; /* bitmap by page; NULL: nothing is verified */
    u64 from;   /* no page before this one is stale */
    u64 sum;    /* of all parts that are not stale */
};

/* What has been digested of it since some moment. */
struct digest_work {
    u64 ns, pages, filled; /* filled: those of the pages that are not zeros */
};

/* Begin with a memory of which nothing has been digested. Returns 0 or -ENOMEM; call ram_digest_fini in either case. */
int ram_digest_init(struct ram_digest *digest, const struct ram *ram);
void ram_digest_fini(struct ram_digest *digest);

/* This page has changed; _set: all pages whose bits are set have changed. Without ram_digest_init they do nothing. */
void ram_digest_forget(struct ram_digest *digest, u64 index);
void ram_digest_forget_set(struct ram_digest *digest, const struct ram *ram, const u64 *bitmap);

/* The number of the first page whose part is stale; ram->pages if no part is. */
u64 ram_digest_next(struct ram_digest *digest, const struct ram *ram);

/* Digest page number `index`, which has these contents. Returns false for a page of zeros, which costs less. */
bool ram_digest_take(struct ram_digest *digest, const struct ram *ram, u64 index, const void *page);

/* The page of the guest `vm` at gpa; NULL: it is untouched, and so zeros. */
typedef const void *ram_page_fn(void *vm, gpa_t gpa);

/* Digest some of the pages that are stale, at most WIRE_KEEPALIVE_PAGES, and count them in *work; the caller adds the
 * time. Returns true when no page is stale any more. */
bool ram_digest_part(struct ram_digest *digest, const struct ram *ram, ram_page_fn *page, void *vm,
                     struct digest_work *work);

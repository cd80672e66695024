/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The digest of a guest's memory, for verify mode: the sum of a part for each page. The parts are kept, so that a page
 * that changes costs its own part again and no other one's. A part is *stale* until its page has been digested, and
 * again from the moment at which the page is known to have changed. The sum is that of the memory when no part is
 * stale. Both ends of a move have one; digests of two memories that are equal are equal, in whatever order pages came.
 */
#pragma once

#include "migrate/ram.h"

struct ram_digest {
    u64 *part;  /* by page; 0 of a page that was never digested, and of zeros */
    u64 *stale; /* bitmap by page; NULL: nothing is verified */
    u64 from;   /* no page before this one is stale */
    u64 sum;    /* of all parts */
};

/* For a memory of which nothing has been digested. Returns 0 or -ENOMEM; ram_digest_fini in any case. */
int ram_digest_init(struct ram_digest *digest, const struct ram *ram);
void ram_digest_fini(struct ram_digest *digest);

/* This page has changed; or all those whose bits are set. Without ram_digest_init they do nothing. */
void ram_digest_forget(struct ram_digest *digest, u64 index);
void ram_digest_forget_set(struct ram_digest *digest, const struct ram *ram, const u64 *bitmap);

/* The number of the first page whose part is stale; ram->pages: none is. */
u64 ram_digest_next(struct ram_digest *digest, const struct ram *ram);

/* Digest page number `index` with these contents. Returns whether they are other than zeros, which cost less. */
bool ram_digest_take(struct ram_digest *digest, const struct ram *ram, u64 index, const void *page);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that came from other machines with guests that start from them. They lie in page frames, one piece each. A file
 * is kept as long as the image of a VM here names it, or somebody holds it; then its frames are free again. It is found
 * for the VM alone with which it came: whoever brings a guest can make a file of any size and digest (config/digest.h).
 * Host loop.
 */
#pragma once

#include "config/config.h"
#include "host/list.h"
#include "host/types.h"

struct guest_file;

struct kept_file {
    struct list node;
    u8 *bytes; /* in the frames' window */
    u64 size, digest;
    u8 vm_id[CONFIG_UUID];
    unsigned holds;
    bool whole;               /* all of it is here, and was judged ... */
    u8 sha256[CONFIG_SHA256]; /* ... and has this SHA-256 */
};

/* Memory for a file that is about to come with that VM; the caller holds it. NULL: there is none. size: not 0. */
struct kept_file *kept_begin(u64 size, u64 digest, const u8 vm_id[CONFIG_UUID]);

/* All of its bytes are here, are the right ones and have this SHA-256: from now on it can be found. */
void kept_found_whole(struct kept_file *file, const u8 sha256[CONFIG_SHA256]);

/* The file with these contents; NULL: none is kept here. */
struct kept_file *kept_at(const void *bytes);

/* The same, for one hold more. */
struct kept_file *kept_hold(const void *bytes);
/* One hold less. A file that is not whole goes with its last one. NULL is nothing to do. */
void kept_drop(struct kept_file *file);

/* The contents of a file of that size and digest that came with that VM; NULL: it is not kept. */
const void *kept_find(const struct guest_file *file, const u8 vm_id[CONFIG_UUID]);

/* The file of this SHA-256, with whatever VM it came: to judge another by, for nothing starts from it. NULL: there is
 * none. */
const struct kept_file *kept_of_sha256(const u8 sha256[CONFIG_SHA256]);

/* How many files are kept, those on their way too, and the bytes of their frames. */
unsigned kept_count(void);
u64 kept_bytes(void);

/* Host work: free what nobody needs any more. Returns ~0. */
u64 kept_poll(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 (FIPS 180-4), in one call or a part at a time. Any context. */
#pragma once

#include "host/types.h"

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

struct sha256 {
    u32 hash[8];
    u64 len;                /* bytes so far */
    u8 block[SHA256_BLOCK]; /* the last len % SHA256_BLOCK of them */
};

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t len);
/* Nothing can be added afterwards. */
void sha256_end(struct sha256 *sha, u8 digest[SHA256_BYTES]);

/* All three of a text. */
void sha256(const void *bytes, size_t len, u8 digest[SHA256_BYTES]);

/* SPDX-License-Identifier: BSD-2-Clause */
/* A 64-bit digest against accidents, not against enemies. In a header, for the UEFI application uses it, too. */
#pragma once

#include "hv/lib/types.h"

#define DIGEST_PRIME 0x9E3779B97F4A7C15ULL /* 2^64 divided by the golden ratio, odd */

static inline u64 digest_word(u64 digest, u64 word)
{
    digest = (digest ^ word) * DIGEST_PRIME;
    return digest ^ digest >> 29;
}

/* Go on with `digest` over len bytes. Callable anywhere. */
static inline u64 digest_bytes(u64 digest, const void *bytes, size_t len)
{
    const u8 *p = bytes;
    u64 word, last = 0;
    size_t left = len % sizeof(word);

    for (const u8 *end = p + len - left; p < end; p += sizeof(word)) {
        __builtin_memcpy(&word, p, sizeof(word));
        digest = digest_word(digest, word);
    }
    for (size_t i = 0; i < left; i++)
        last |= (u64)p[i] << (8 * i);
    return digest_word(digest, last ^ (u64)left << 56);
}

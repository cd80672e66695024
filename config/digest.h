/* SPDX-License-Identifier: BSD-2-Clause */
/* A 64-bit digest that shows accidents; it does not stop enemies. It is in a header because the UEFI application uses
 * it, too. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGEST_PRIME 0x9E3779B97F4A7C15ULL /* 2^64 divided by the golden ratio, odd */

static inline uint64_t digest_word(uint64_t digest, uint64_t word)
{
    digest = (digest ^ word) * DIGEST_PRIME;
    return digest ^ digest >> 29;
}

/* Go on with `digest` over len bytes. Callable anywhere. */
static inline uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t word, last = 0;
    size_t left = len % sizeof(word);

    for (const uint8_t *end = p + len - left; p < end; p += sizeof(word)) {
        __builtin_memcpy(&word, p, sizeof(word));
        digest = digest_word(digest, word);
    }
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << (8 * i);
    return digest_word(digest, last ^ (uint64_t)left << 56);
}

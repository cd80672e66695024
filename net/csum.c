/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words of 64 bits with an end-around carry: folded, that is the sum of their 16-bit words, because 2^16 - 1 divides
 * 2^64 - 1.
 */
#include "net/csum.h"

#include <string.h>

/* End-around carry: ones-complement addition of 64-bit words, which folds to that of 16-bit words. */
static u64 add(u64 a, u64 b)
{
    u64 sum;

    return __builtin_add_overflow(a, b, &sum) ? sum + 1 : sum;
}

u64 csum_add(u64 sum, const void *data, size_t len)
{
    const u8 *at = data;
    u64 word;

    for (; len >= 8; len -= 8, at += 8) {
        memcpy(&word, at, 8);
        sum = add(sum, word);
    }
    if (len) {
        word = 0;
        memcpy(&word, at, len);
        sum = add(sum, word);
    }
    return sum;
}

u16 csum_fold(u64 sum)
{
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (u16)sum;
}

u16 csum_lwip(const void *data, int len)
{
    return csum_fold(csum_add(0, data, (size_t)len));
}

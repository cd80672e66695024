/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words of 64 bits with an end-around carry: folded, that is the sum of their 16-bit words, because 2^16 - 1 divides
 * 2^64 - 1.
 */
#include "net/csum.h"

#include <string.h>

/* End-around carry: ones-complement addition of 64-bit words, which folds to that of 16-bit words. */
static uint64_t add(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? sum + 1 : sum;
}

uint64_t csum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *at = data;
    uint64_t word;

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

uint16_t csum_fold(uint64_t sum)
{
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFFFFFF) + (sum >> 32);
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)sum;
}

uint16_t csum_lwip(const void *data, int len)
{
    return csum_fold(csum_add(0, data, (size_t)len));
}

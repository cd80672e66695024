/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/siphash.h"

static u64 rotate(u64 x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void rounds(u64 v[4], unsigned count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void absorb(u64 v[4], u64 word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

u64 siphash(const u64 key[2], const u64 *word, unsigned words)
{
    u64 v[4] = { key[0] ^ 0x736F6D6570736575ULL, key[1] ^ 0x646F72616E646F6DULL, key[0] ^ 0x6C7967656E657261ULL,
                 key[1] ^ 0x7465646279746573ULL };

    for (unsigned i = 0; i < words; i++)
        absorb(v, word[i]);
    absorb(v, (u64)words * 8 << 56);
    v[2] ^= 0xFF;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/sha256.h"

#include <string.h>

#include "host/bits.h"

/* FIPS 180-4, 4.2.2: of the cube roots of the first 64 primes. */
static const u32 round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static u32 be32(const u8 *bytes)
{
    return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3];
}

/* 6.2.2, step 1 */
static void schedule(u32 w[64], const u8 *block)
{
    for (unsigned i = 0; i < 16; i++)
        w[i] = be32(block + 4 * i);
    for (unsigned i = 16; i < 64; i++) {
        u32 s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        u32 s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

/* 6.2.2, steps 2 to 4. In step t, letter number i of a to h is v[(i - t) mod 8], so nothing has to move. */
static void digest_block(u32 hash[8], const u8 *block)
{
    u32 w[64], v[8];

    schedule(w, block);
    memcpy(v, hash, sizeof(v));
#define LETTER(i) v[((i)-t) & 7]
    for (unsigned t = 0; t < 64; t++) {
        u32 a = LETTER(0), b = LETTER(1), c = LETTER(2), e = LETTER(4), f = LETTER(5), g = LETTER(6);
        u32 s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        u32 t1 = LETTER(7) + s1 + ((e & f) ^ (~e & g)) + round_constant[t] + w[t];
        u32 s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);

        LETTER(3) += t1;                                     /* the next e */
        LETTER(7) = t1 + s0 + ((a & b) ^ (a & c) ^ (b & c)); /* the next a */
    }
    for (unsigned i = 0; i < 8; i++)
        hash[i] += v[i];
}

void sha256_begin(struct sha256 *sha)
{
    *sha = (struct sha256){ .hash = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                      0x1f83d9ab, 0x5be0cd19 } };
}

void sha256_add(struct sha256 *sha, const void *bytes, size_t len)
{
    const u8 *from = bytes;

    while (len) {
        size_t at = sha->len % SHA256_BLOCK, part = MIN(len, SHA256_BLOCK - at);

        memcpy(sha->block + at, from, part);
        sha->len += part;
        from += part;
        len -= part;
        if (at + part == SHA256_BLOCK)
            digest_block(sha->hash, sha->block);
    }
}

void sha256_end(struct sha256 *sha, u8 digest[SHA256_BYTES])
{
    u8 padding[SHA256_BLOCK + 8] = { 0x80 }, length[8];
    u64 bits = sha->len * 8;

    for (unsigned i = 0; i < 8; i++)
        length[i] = (u8)(bits >> (56 - 8 * i));
    sha256_add(sha, padding, 1 + (SHA256_BLOCK + 55 - sha->len % SHA256_BLOCK) % SHA256_BLOCK);
    sha256_add(sha, length, sizeof(length));
    for (unsigned i = 0; i < SHA256_BYTES; i++)
        digest[i] = (u8)(sha->hash[i / 4] >> (24 - i % 4 * 8));
}

void sha256(const void *bytes, size_t len, u8 digest[SHA256_BYTES])
{
    struct sha256 sha;

    sha256_begin(&sha);
    sha256_add(&sha, bytes, len);
    sha256_end(&sha, digest);
}

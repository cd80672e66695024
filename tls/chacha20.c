/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mbedTLS takes each word of the state out of memory and puts it back at each step, and text a byte at a time. Here the
 * state is in variables, as many of them in registers as there are, and text is taken 8 bytes at a time. RORX (BMI2)
 * leaves the flags alone: for an emulator an ordinary rotation is the dearest instruction of all of these, because it
 * leaves some flags as they were.
 */
#include "tls/chacha20.h"

#include <string.h>

#include "host/asm.h"
#include "host/bits.h"

#define ROUNDS 20
#define CPUID_7_EBX_BMI2 BIT(8)

/* One body for both ways, each of which the compiler makes with its own instructions. */
#define BODY static inline __attribute__((always_inline))

/* An emulator is slow where a loop crosses into another page (docs/benchmarks.md); the functions are shorter. */
#define IN_ONE_PAGE __attribute__((aligned(2048)))

void chacha20_begin(struct chacha20 *cipher, const u8 key[CHACHA20_KEY], const u8 nonce[CHACHA20_NONCE], u32 block)
{
    memcpy(cipher->state, "expand 32-byte k", 16);
    memcpy(cipher->state + 4, key, CHACHA20_KEY);
    cipher->state[12] = block;
    memcpy(cipher->state + 13, nonce, CHACHA20_NONCE);
    cipher->left = 0;
}

BODY u32 rotate(u32 word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

#define QUARTER(a, b, c, d)          \
    do {                             \
        (a) += (b);                  \
        (d) = rotate((d) ^ (a), 16); \
        (c) += (d);                  \
        (b) = rotate((b) ^ (c), 12); \
        (a) += (b);                  \
        (d) = rotate((d) ^ (a), 8);  \
        (c) += (d);                  \
        (b) = rotate((b) ^ (c), 7);  \
    } while (0)

/* Two words of the keystream. */
BODY u64 pair(u32 low, u32 high, const u32 *state)
{
    return (u64)(low + state[0]) | (u64)(high + state[1]) << 32;
}

BODY void next_block(u32 state[16], u64 out[8])
{
    u32 a0 = state[0], a1 = state[1], a2 = state[2], a3 = state[3];
    u32 b0 = state[4], b1 = state[5], b2 = state[6], b3 = state[7];
    u32 c0 = state[8], c1 = state[9], c2 = state[10], c3 = state[11];
    u32 d0 = state[12], d1 = state[13], d2 = state[14], d3 = state[15];

    for (unsigned i = 0; i < ROUNDS / 2; i++) {
        QUARTER(a0, b0, c0, d0);
        QUARTER(a1, b1, c1, d1);
        QUARTER(a2, b2, c2, d2);
        QUARTER(a3, b3, c3, d3);
        QUARTER(a0, b1, c2, d3);
        QUARTER(a1, b2, c3, d0);
        QUARTER(a2, b3, c0, d1);
        QUARTER(a3, b0, c1, d2);
    }
    out[0] = pair(a0, a1, state);
    out[1] = pair(a2, a3, state + 2);
    out[2] = pair(b0, b1, state + 4);
    out[3] = pair(b2, b3, state + 6);
    out[4] = pair(c0, c1, state + 8);
    out[5] = pair(c2, c3, state + 10);
    out[6] = pair(d0, d1, state + 12);
    out[7] = pair(d2, d3, state + 14);
    state[12]++;
}

BODY void crypt_block(u8 *to, const u8 *from, const u64 stream[8])
{
    for (unsigned i = 0; i < CHACHA20_BLOCK / 8; i++) {
        u64 word;

        memcpy(&word, from + 8 * i, 8);
        word ^= stream[i];
        memcpy(to + 8 * i, &word, 8);
    }
}

/* With what is left of the last block. Returns how many bytes. */
static size_t crypt_rest(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    const u8 *stream = cipher->rest + CHACHA20_BLOCK - cipher->left;

    len = MIN(len, cipher->left);
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ^ stream[i];
    cipher->left -= len;
    return len;
}

BODY void crypt(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    u64 stream[CHACHA20_BLOCK / 8];

    for (size_t done = crypt_rest(cipher, to, from, len); done < len;) {
        next_block(cipher->state, stream);
        if (len - done >= CHACHA20_BLOCK) {
            crypt_block(to + done, from + done, stream);
            done += CHACHA20_BLOCK;
            continue;
        }
        memcpy(cipher->rest, stream, CHACHA20_BLOCK);
        cipher->left = CHACHA20_BLOCK;
        done += crypt_rest(cipher, to + done, from + done, len - done);
    }
}

IN_ONE_PAGE void chacha20_crypt_any(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    crypt(cipher, to, from, len);
}

IN_ONE_PAGE __attribute__((target("bmi2"))) void chacha20_crypt_bmi2(struct chacha20 *cipher, u8 *to, const u8 *from,
                                                                     size_t len)
{
    crypt(cipher, to, from, len);
}

bool chacha20_has_bmi2(void)
{
    return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & CPUID_7_EBX_BMI2);
}

void chacha20_crypt(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    static enum { UNKNOWN, ANY, BMI2 } way;

    if (way == UNKNOWN)
        way = chacha20_has_bmi2() ? BMI2 : ANY;
    if (way == BMI2)
        chacha20_crypt_bmi2(cipher, to, from, len);
    else
        chacha20_crypt_any(cipher, to, from, len);
}

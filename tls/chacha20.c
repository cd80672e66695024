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
#include "host/fpu.h"
#include "tls/chacha20_vector.h"

#define CPUID_7_EBX_AVX2 BIT(5)
#define CPUID_7_EBX_BMI2 BIT(8)

#define SHORT (2 * CHACHA20_BLOCK) /* not worth a group of blocks, nor that a guest's registers are put away */

/* One body for several codes, each of which the compiler makes with its own instructions. */
#define BODY static inline __attribute__((always_inline))

/* An emulator is slow where a loop crosses into another page (docs/benchmarks.md); the functions are shorter. */
#define IN_ONE_PAGE __attribute__((aligned(2048)))

static enum chacha20_code used;

void chacha20_begin(struct chacha20 *cipher, const u8 key[CHACHA20_KEY], const u8 nonce[CHACHA20_NONCE])
{
    memcpy(cipher->state, "expand 32-byte k", 16);
    memcpy(cipher->state + 4, key, CHACHA20_KEY);
    cipher->state[12] = 0;
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

    for (unsigned i = 0; i < CHACHA20_ROUNDS / 2; i++) {
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
}

BODY void crypt_word(u8 *to, const u8 *from, u64 stream)
{
    u64 word;

    memcpy(&word, from, sizeof(word));
    word ^= stream;
    memcpy(to, &word, sizeof(word));
}

BODY void crypt_block(u8 *to, const u8 *from, const u64 stream[8])
{
    for (unsigned i = 0; i < CHACHA20_BLOCK / 8; i++)
        crypt_word(to + 8 * i, from + 8 * i, stream[i]);
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

/* With a block of the keystream, the next one. Returns how many bytes. */
BODY size_t crypt_by(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len, const u64 stream[8])
{
    cipher->state[12]++;
    if (len >= CHACHA20_BLOCK) {
        crypt_block(to, from, stream);
        return CHACHA20_BLOCK;
    }
    memcpy(cipher->rest, stream, CHACHA20_BLOCK);
    cipher->left = CHACHA20_BLOCK;
    return crypt_rest(cipher, to, from, len);
}

/* A block after the other. */
BODY void crypt_blocks(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    u64 stream[8];

    for (size_t done = 0; done < len;) {
        next_block(cipher->state, stream);
        done += crypt_by(cipher, to + done, from + done, len - done, stream);
    }
}

static IN_ONE_PAGE void crypt_any(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    crypt_blocks(cipher, to, from, len);
}

static IN_ONE_PAGE __attribute__((target("bmi2"))) void crypt_bmi2(struct chacha20 *cipher, u8 *to, const u8 *from,
                                                                   size_t len)
{
    crypt_blocks(cipher, to, from, len);
}

/* A group of blocks after the other. What is left of the last group is made again when it is needed. */
BODY void crypt_groups(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len, unsigned blocks,
                       void (*next_group)(const u32 state[16], u32 *words))
{
    u32 words[16 * CHACHA20_AVX2_BLOCKS] __attribute__((aligned(32)));
    u64 stream[8];

    for (size_t done = 0; done < len;) {
        next_group(cipher->state, words);
        for (unsigned block = 0; block < blocks && done < len; block++) {
            for (unsigned i = 0; i < 8; i++)
                stream[i] = (u64)words[2 * i * blocks + block] | (u64)words[(2 * i + 1) * blocks + block] << 32;
            done += crypt_by(cipher, to + done, from + done, len - done, stream);
        }
    }
}

static void crypt_sse2(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    fpu_begin();
    crypt_groups(cipher, to, from, len, CHACHA20_SSE2_BLOCKS, chacha20_sse2);
    fpu_end();
}

static void crypt_avx2(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    fpu_begin();
    crypt_groups(cipher, to, from, len, CHACHA20_AVX2_BLOCKS, chacha20_avx2);
    fpu_end();
}

const char *const chacha20_names[] = { [CHACHA20_ANY] = "any",
                                       [CHACHA20_BMI2] = "bmi2",
                                       [CHACHA20_SSE2] = "sse2",
                                       [CHACHA20_AVX2] = "avx2",
                                       [NR_CHACHA20] = NULL };

static void (*const codes[NR_CHACHA20])(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len) = {
    [CHACHA20_ANY] = crypt_any,
    [CHACHA20_BMI2] = crypt_bmi2,
    [CHACHA20_SSE2] = crypt_sse2,
    [CHACHA20_AVX2] = crypt_avx2,
};

void chacha20_crypt(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len)
{
    size_t done = crypt_rest(cipher, to, from, len);
    bool vectors = used >= CHACHA20_SSE2;

    if (done < len)
        codes[vectors && len - done <= SHORT ? CHACHA20_ANY : used](cipher, to + done, from + done, len - done);
}

enum chacha20_code chacha20_used(void)
{
    return used;
}

void chacha20_use(enum chacha20_code code)
{
    used = code;
}

bool chacha20_has(enum chacha20_code code)
{
    u32 features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;

    switch (code) {
    case CHACHA20_BMI2: return features & CPUID_7_EBX_BMI2;
    case CHACHA20_AVX2: return (features & CPUID_7_EBX_AVX2) && fpu_has_avx();
    default: return true; /* each 64-bit processor has SSE2 */
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cipher ChaCha20 (RFC 8439, 2.4). There are several codes for it, which differ in speed alone: which one is used
 * is measured at boot (chacha20_choice.h). A cipher belongs to one caller at a time. Host loop.
 */
#pragma once

#include "host/types.h"

#define CHACHA20_KEY 32
#define CHACHA20_NONCE 12
#define CHACHA20_BLOCK 64

/* A code for the cipher, by what it uses of the processor. */
enum chacha20_code { CHACHA20_ANY, CHACHA20_BMI2, CHACHA20_SSE2, CHACHA20_AVX2, NR_CHACHA20 };
extern const char *const chacha20_names[]; /* "avx2"; NULL behind the last */

struct chacha20 {
    u32 state[16];           /* of the next block of the keystream */
    u8 rest[CHACHA20_BLOCK]; /* the block before it, */
    size_t left;             /* of which so many last bytes are unused */
};

/* Begin with block 0 of the keystream. */
void chacha20_begin(struct chacha20 *cipher, const u8 key[CHACHA20_KEY], const u8 nonce[CHACHA20_NONCE]);

/* to[0..len) becomes from[0..len) under the next bytes of the keystream. Both may be the same memory. Each byte of
 * `from` is read once. */
void chacha20_crypt(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len);

/* Which code chacha20_crypt uses, CHACHA20_ANY at first; from now on it is this one, which the processor has. */
enum chacha20_code chacha20_used(void);
void chacha20_use(enum chacha20_code code);

/* Has the processor what this code uses? */
bool chacha20_has(enum chacha20_code code);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The cipher ChaCha20 (RFC 8439, 2.4), in general registers. A cipher belongs to one caller at a time. */
#pragma once

#include "host/types.h"

#define CHACHA20_KEY 32
#define CHACHA20_NONCE 12
#define CHACHA20_BLOCK 64

struct chacha20 {
    u32 state[16];           /* of the next block of the keystream */
    u8 rest[CHACHA20_BLOCK]; /* the block before it, */
    size_t left;             /* of which so many last bytes are unused */
};

/* Begin with this block of the keystream. */
void chacha20_begin(struct chacha20 *cipher, const u8 key[CHACHA20_KEY], const u8 nonce[CHACHA20_NONCE], u32 block);

/* to[0..len) becomes from[0..len) under the next bytes of the keystream, by the way that is faster here. Both may be
 * the same memory. Each byte of `from` is read once. */
void chacha20_crypt(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len);

/* Both ways, for tests: for any processor, and with BMI2's rotation, which only a processor that has it executes. */
void chacha20_crypt_any(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len);
bool chacha20_has_bmi2(void);
void chacha20_crypt_bmi2(struct chacha20 *cipher, u8 *to, const u8 *from, size_t len);

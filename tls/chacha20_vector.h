/* SPDX-License-Identifier: BSD-2-Clause */
/* Keystream of ChaCha20 in vector registers. Between fpu_begin and fpu_end, on a processor that has these. */
#pragma once

#include "host/types.h"

#define CHACHA20_ROUNDS 20

#define CHACHA20_SSE2_BLOCKS 4
#define CHACHA20_AVX2_BLOCKS 8

/* So many blocks of the keystream, from that of the state on: word i of block b goes to words[i * blocks + b]. The
 * words are aligned by 32 bytes. */
void chacha20_sse2(const u32 state[16], u32 *words);
void chacha20_avx2(const u32 state[16], u32 *words);

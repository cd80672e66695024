/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only code of the hypervisor that uses vector registers: each function says of which processors, in spite of the
 * flags that everything is compiled with. tools/check knows this file. A vector has the same word of several blocks,
 * so that all of them go through the rounds at once, a block to a lane.
 */
#include "tls/chacha20_vector.h"

typedef u32 four __attribute__((vector_size(16), may_alias));
typedef u32 eight __attribute__((vector_size(32), may_alias));

#define ROTATE(word, bits) ((word) << (bits) | (word) >> (32 - (bits)))

#define QUARTER(a, b, c, d)             \
    do {                                \
        x[a] += x[b];                   \
        x[d] = ROTATE(x[d] ^ x[a], 16); \
        x[c] += x[d];                   \
        x[b] = ROTATE(x[b] ^ x[c], 12); \
        x[a] += x[b];                   \
        x[d] = ROTATE(x[d] ^ x[a], 8);  \
        x[c] += x[d];                   \
        x[b] = ROTATE(x[b] ^ x[c], 7);  \
    } while (0)

/* The body for vectors of either size, of whose lanes the first has block state[12], and so on. */
#define STREAM(vector, ...)                              \
    vector start[16], x[16];                             \
                                                         \
    for (unsigned i = 0; i < 16; i++)                    \
        x[i] = start[i] = state[i] + (vector){ 0 };      \
    x[12] = start[12] += (vector){ __VA_ARGS__ };        \
    for (unsigned i = 0; i < CHACHA20_ROUNDS / 2; i++) { \
        QUARTER(0, 4, 8, 12);                            \
        QUARTER(1, 5, 9, 13);                            \
        QUARTER(2, 6, 10, 14);                           \
        QUARTER(3, 7, 11, 15);                           \
        QUARTER(0, 5, 10, 15);                           \
        QUARTER(1, 6, 11, 12);                           \
        QUARTER(2, 7, 8, 13);                            \
        QUARTER(3, 4, 9, 14);                            \
    }                                                    \
    for (unsigned i = 0; i < 16; i++)                    \
        ((vector *)words)[i] = x[i] + start[i];

__attribute__((target("sse2"))) void chacha20_sse2(const u32 state[16], u32 *words)
{
    STREAM(four, 0, 1, 2, 3)
}

__attribute__((target("avx2"))) void chacha20_avx2(const u32 state[16], u32 *words)
{
    STREAM(eight, 0, 1, 2, 3, 4, 5, 6, 7)
}

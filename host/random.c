/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/random.h"

#include <string.h>

#include "host/asm.h"
#include "host/bits.h"

#define CPUID_1_ECX_RDRAND BIT(30)
#define RDRAND_TRIES 10 /* SDM 1 "Random Number Generator Instructions" */
#define JITTER_ROUNDS 64

static bool rdrand(u64 *word)
{
    bool valid = false;

    for (unsigned i = 0; i < RDRAND_TRIES && !valid; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*word), "=qm"(valid) : : "cc");
    return valid;
}

/* Weak: what the low bits of the TSC do between cache misses and interrupts, mixed by SplitMix64's finisher. */
static u64 jitter(void)
{
    static u64 state;

    for (unsigned i = 0; i < JITTER_ROUNDS; i++) {
        state ^= rdtsc();
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9ULL;
        state = (state ^ state >> 27) * 0x94D049BB133111EBULL;
        state ^= state >> 31;
        cpu_relax();
    }
    return state;
}

void random_fill(u8 *bytes, u32 len)
{
    bool has_rdrand = cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND;

    for (u32 at = 0; at < len; at += sizeof(u64)) {
        u64 word;

        if (!has_rdrand || !rdrand(&word))
            word = jitter();
        memcpy(bytes + at, &word, MIN(sizeof(word), len - at));
    }
}

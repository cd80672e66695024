/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/random.h"

#include <limits.h>
#include <string.h>

#include <mbedtls/entropy.h>
#include <mbedtls/hmac_drbg.h>

#include "host/asm.h"
#include "host/bits.h"
#include "host/panic.h"

#define CPUID_1_ECX_RDRAND BIT(30)
#define CPUID_7_EBX_RDSEED BIT(18)
#define TRIES 100 /* RDSEED may have nothing for a while: SDM 1 "Random Number Generator Instructions" */
#define JITTER_ROUNDS 64

static mbedtls_entropy_context pool;
static mbedtls_hmac_drbg_context drbg;
static bool ready;

static bool has_rdrand(void)
{
    return cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND;
}

static bool has_rdseed(void)
{
    return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED);
}

bool random_is_strong(void)
{
    return has_rdseed() || has_rdrand();
}

static bool rdseed(u64 *word)
{
    bool valid = false;

    for (unsigned i = 0; i < TRIES && !valid; i++)
        __asm__ volatile("rdseed %0; setc %1" : "=r"(*word), "=qm"(valid) : : "cc");
    return valid;
}

static bool rdrand(u64 *word)
{
    bool valid = false;

    for (unsigned i = 0; i < TRIES && !valid; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*word), "=qm"(valid) : : "cc");
    return valid;
}

/* Weak: what the low bits of the TSC do between cache misses and interrupts, mixed by SplitMix64's finisher. */
static bool jitter(u64 *word)
{
    static u64 state;

    for (unsigned i = 0; i < JITTER_ROUNDS; i++) {
        state ^= rdtsc();
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9ULL;
        state = (state ^ state >> 27) * 0x94D049BB133111EBULL;
        state ^= state >> 31;
        cpu_relax();
    }
    *word = state;
    return true;
}

/* A source of the pool: mbedTLS asks for bytes, and may get fewer. */
static int source(void *draw, unsigned char *bytes, size_t len, size_t *got)
{
    bool (*const word_of)(u64 * word) = (bool (*)(u64 *))draw;
    u64 word;

    *got = 0;
    while (*got < len && word_of(&word)) {
        memcpy(bytes + *got, &word, MIN(sizeof(word), len - *got));
        *got += MIN(sizeof(word), len - *got);
    }
    return 0;
}

static void add(bool (*draw)(u64 *word), bool strong)
{
    int err = mbedtls_entropy_add_source(&pool, source, (void *)draw, MBEDTLS_ENTROPY_BLOCK_SIZE,
                                         strong ? MBEDTLS_ENTROPY_SOURCE_STRONG : MBEDTLS_ENTROPY_SOURCE_WEAK);

    assert(!err); /* the pool has places for more sources than these */
}

static void begin(void)
{
    mbedtls_entropy_init(&pool);
    if (has_rdseed())
        add(rdseed, true);
    if (has_rdrand())
        add(rdrand, true);
    /* The pool gives nothing without a strong source; random_is_strong tells who must know. */
    add(jitter, !random_is_strong());
    mbedtls_hmac_drbg_init(&drbg);
    if (mbedtls_hmac_drbg_seed(&drbg, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), mbedtls_entropy_func, &pool, NULL,
                               0))
        panic("no random bytes: the processor's sources gave none");
    /* For the next 2^31 requests that is enough. While guests run they could empty RDSEED, and who asks has no way to
     * do without them. */
    mbedtls_hmac_drbg_set_reseed_interval(&drbg, INT_MAX);
    ready = true;
}

void random_fill(u8 *bytes, u32 len)
{
    if (!ready)
        begin();
    while (len > 0) {
        u32 part = MIN(len, (u32)MBEDTLS_HMAC_DRBG_MAX_REQUEST);

        if (mbedtls_hmac_drbg_random(&drbg, bytes, part))
            panic("no random bytes: the processor's sources gave none");
        bytes += part;
        len -= part;
    }
}

int random_for_mbedtls(void *unused, unsigned char *bytes, size_t len)
{
    (void)unused;
    random_fill(bytes, (u32)len);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seal: MB/s of records with four pages each, sealed by the hypervisor's own object files as a program of this machine,
 * by each code for ChaCha20 that its processor has; and what the cipher takes of that. The best of many counts.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host/bits.h"
#include "host/fpu.h"
#include "tls/seal.h"

#define PAGES 4
#define TIMES 3000

static u8 page[PAGE_SIZE], record[SEAL_HEADER + SEAL_MAX + SEAL_TAG];
static struct seal seal;

/* What the objects ask for. */
bool fpu_has_avx(void)
{
    return __builtin_cpu_supports("avx2");
}

void fpu_begin(void)
{
}

void fpu_end(void)
{
}

static void make_record(void)
{
    seal_begin(&seal);
    for (unsigned i = 0; i < PAGES; i++)
        seal_add(&seal, record + SEAL_HEADER + i * PAGE_SIZE, page, PAGE_SIZE);
    seal_end(&seal, SEAL_DATA, record, SEAL_MAX);
}

static void encrypt(void)
{
    chacha20_crypt(&seal.cipher, record, record, SEAL_MAX);
}

static u64 now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (u64)time.tv_sec * 1000000000 + (u64)time.tv_nsec;
}

/* Of SEAL_MAX bytes, in ns. */
static u64 time_of(void (*work)(void))
{
    u64 best = ~0ULL;

    for (unsigned i = 0; i < TIMES; i++) {
        u64 start = now(), ns;

        work();
        ns = now() - start;
        best = MIN(best, ns);
    }
    return best;
}

int main(void)
{
    static const u8 key[SEAL_KEY], iv[SEAL_IV];

    static_assert(PAGES * PAGE_SIZE == SEAL_MAX, "a whole record");
    seal_init(&seal, key, iv, 0);
    for (enum chacha20_code code = 0; code < NR_CHACHA20; code++) {
        u64 record_ns, cipher_ns;

        if (!chacha20_has(code))
            continue;
        chacha20_use(code);
        record_ns = time_of(make_record);
        cipher_ns = time_of(encrypt);
        printf("%s: %lu MB/s sealed; cipher alone %lu MB/s, the rest (MAC) %lu %% of a record's time\n",
               chacha20_names[code], SEAL_MAX * 1000UL / record_ns, SEAL_MAX * 1000UL / cipher_ns,
               100 - cipher_ns * 100 / record_ns);
    }
    return 0;
}

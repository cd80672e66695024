/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "keys"
#include "tls/chacha20_choice.h"

#include <stdio.h>

#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"

#define TEXT 1024 /* bytes: a whole number of groups of blocks of each code */
#define TIMES 3   /* the best counts: an emulator translates the code in the first one, and may be interrupted */

static u64 rates[NR_CHACHA20];

/* Returns ns for TEXT bytes, at least 1. */
static u64 measure(enum chacha20_code code)
{
    static const u8 key[CHACHA20_KEY], nonce[CHACHA20_NONCE];
    u64 best = ~0ULL;
    struct chacha20 cipher;
    u8 text[TEXT] = { 0 };

    chacha20_begin(&cipher, key, nonce);
    chacha20_use(code);
    for (unsigned i = 0; i < TIMES; i++) {
        u64 start = rdtsc(), ticks;

        chacha20_crypt(&cipher, text, text, TEXT);
        ticks = rdtsc() - start;
        best = MIN(best, ticks);
    }
    best = clock_ticks_to_ns(best);
    return MAX(best, 1);
}

void chacha20_choose(void)
{
    enum chacha20_code fastest = CHACHA20_ANY;
    char words[128] = "";
    int len = 0;

    for (enum chacha20_code code = 0; code < NR_CHACHA20; code++) {
        if (!chacha20_has(code))
            continue;
        rates[code] = TEXT * 1000000000ULL / measure(code);
        if (rates[code] > rates[fastest])
            fastest = code;
        len += snprintf(words + len, sizeof(words) - (size_t)len, "%s %s %lu", len ? "," : "", chacha20_names[code],
                        rates[code] / 1000);
    }
    chacha20_use(fastest);
    pr_info("ChaCha20 by %s, of these in kB/s:%s", chacha20_names[fastest], words);
}

u64 chacha20_rate(enum chacha20_code code)
{
    return rates[code];
}

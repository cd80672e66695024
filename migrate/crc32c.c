/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC32C in two ways, eight bytes at a time: by SSE4.2's instruction, and by tables. Processors are several times
 * faster by the instruction; emulators, which carry it out bit by bit, by tables. So both are timed once, and the
 * faster one is used.
 */
#include "migrate/crc32c.h"

#include <string.h>

#include "hv/lib/bits.h"

#define POLYNOMIAL 0x82F63B78u /* bit-reversed */
#define CPUID_1_ECX_SSE42 (1u << 20)
#define DIGIT_BITS 13
#define DIGITS 5
#define DIGIT (BIT(DIGIT_BITS) - 1)
#define TRIAL_BYTES 1024
#define TRIALS 16 /* the first are slower: caches, and emulators translate */

/*
 * The CRC of eight bytes is the sum (exclusive or) of what each of their bits brings, so of what each digit of 13 bits
 * brings: five look-ups, in tables that stay in a second-level cache. table[k][d]: digit k is d.
 */
static u32 table[DIGITS][BIT(DIGIT_BITS)];

/* What bit `bit` of eight bytes brings, with nothing behind them. */
static u32 bit_crc(unsigned bit)
{
    u64 value = BIT(bit);

    for (unsigned i = 0; i < 64; i++)
        value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
    return (u32)value;
}

static void table_make(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        u32 *digit = table[bit / DIGIT_BITS], high = 1U << bit % DIGIT_BITS, crc = bit_crc(bit);

        /* Entries below `high` are there already. */
        for (u32 low = 0; low < high; low++)
            digit[high + low] = digit[low] ^ crc;
    }
}

static u32 by_table(u32 crc, const u8 *p, size_t len)
{
    u64 word;

    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        word ^= crc;
        crc = table[0][word & DIGIT] ^ table[1][word >> 13 & DIGIT] ^ table[2][word >> 26 & DIGIT] ^
              table[3][word >> 39 & DIGIT] ^ table[4][word >> 52];
    }
    for (; len; len--, p++) {
        crc ^= *p;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return crc;
}

static u32 by_instruction(u32 crc, const u8 *p, size_t len)
{
    u64 value = crc, word;

    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        __asm__("crc32q %1, %0" : "+r"(value) : "rm"(word));
    }
    for (; len; len--, p++)
        __asm__("crc32b %1, %k0" : "+r"(value) : "rm"(*p));
    return (u32)value;
}

/* TSC ticks for a kilobyte, the best of some trials. */
static __attribute__((noinline)) u64 time_of(u32 (*way)(u32 crc, const u8 *p, size_t len))
{
    static const u8 bytes[TRIAL_BYTES];
    u64 best = ~0ULL;

    for (unsigned i = 0; i < TRIALS; i++) {
        u64 start = __builtin_ia32_rdtsc();
        u32 crc = way(i, bytes, sizeof(bytes));

        __asm__ volatile("" : : "r"(crc));
        best = MIN(best, __builtin_ia32_rdtsc() - start);
    }
    return best;
}

bool crc32c_has_instruction(void)
{
    u32 eax = 1, ebx, ecx = 0, edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx & CPUID_1_ECX_SSE42;
}

u32 crc32c_instruction(u32 crc, const void *bytes, size_t len)
{
    return ~by_instruction(~crc, bytes, len);
}

u32 crc32c_table(u32 crc, const void *bytes, size_t len)
{
    if (!table[0][1])
        table_make();
    return ~by_table(~crc, bytes, len);
}

u32 crc32c(u32 crc, const void *bytes, size_t len)
{
    static u32 (*way)(u32 crc, const u8 *p, size_t len);

    if (!way) {
        table_make();
        way = crc32c_has_instruction() && time_of(by_instruction) < time_of(by_table) ? by_instruction : by_table;
    }
    return ~way(~crc, bytes, len);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC32C in two ways: SSE4.2's instruction, eight bytes at a time, and tables, eight bytes with eight look-ups
 * ("slicing by 8"). Processors are several times faster by the instruction; emulators, which carry it out bit by bit,
 * by tables. So both are timed once, and the faster one is used.
 */
#include "migrate/crc32c.h"

#include <string.h>

#include "hv/lib/bits.h"

#define POLYNOMIAL 0x82F63B78u /* bit-reversed */
#define CPUID_1_ECX_SSE42 (1u << 20)
#define SLICES 8
#define TRIAL_BYTES 1024
#define TRIALS 3

static u32 table[SLICES][256]; /* [k][b]: of the byte b with k zero bytes behind it */

static void table_make(void)
{
    for (u32 b = 0; b < 256; b++) {
        u32 value = b;

        for (unsigned bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
        table[0][b] = value;
    }
    for (u32 b = 0; b < 256; b++)
        for (unsigned k = 1; k < SLICES; k++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][(u8)table[k - 1][b]];
}

static u32 by_table(u32 crc, const u8 *p, size_t len)
{
    u64 word;

    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        word ^= crc;
        crc = 0;
#pragma GCC unroll 8
        for (unsigned k = 0; k < SLICES; k++)
            crc ^= table[SLICES - 1 - k][(u8)(word >> (8 * k))];
    }
    for (; len; len--, p++)
        crc = crc >> 8 ^ table[0][(u8)crc ^ *p];
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
static u64 time_of(u32 (*way)(u32 crc, const u8 *p, size_t len))
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
    if (!table[0][255])
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

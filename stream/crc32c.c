/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC32C in two ways, eight bytes at a time: by SSE4.2's instruction, and by folding. A processor is several times
 * faster with the instruction. An emulator carries the instruction out bit by bit, and is faster with folding, which
 * costs it few memory accesses. So both ways are timed once, and the faster one is used.
 */
#include "stream/crc32c.h"

#include <string.h>

#include "host/bits.h"

#define POLYNOMIAL 0x82F63B78u /* bit-reversed */
#define CPUID_1_ECX_SSE42 (1u << 20)
#define FOLD_BYTES 40 /* five words */
#define TRIAL_BYTES 1024
#define TRIALS 16 /* the first trials are slower: caches are cold, and emulators still translate */

/* What one byte adds to the CRC, with nothing behind it. */
static u32 table[256];

static void table_make(void)
{
    for (u32 byte = 0; byte < 256; byte++) {
        table[byte] = byte;
        for (unsigned bit = 0; bit < 8; bit++)
            table[byte] = table[byte] >> 1 ^ (table[byte] & 1 ? POLYNOMIAL : 0);
    }
}

static inline u64 read64(const u8 *p)
{
    u64 word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* What a word adds; the CRC before it is in its first bits already. */
static u32 of_word(u64 word)
{
    for (unsigned i = 0; i < sizeof(word); i++)
        word = word >> 8 ^ table[(u8)word];
    return (u32)word;
}

static u32 by_table(u32 crc, const u8 *p, size_t len)
{
    for (; len >= sizeof(u64); len -= sizeof(u64), p += sizeof(u64))
        crc = of_word(read64(p) ^ crc);
    for (; len; len--, p++)
        crc = crc >> 8 ^ table[(u8)crc ^ *p];
    return crc;
}

/*
 * A message is a polynomial over bits; its first bit is the highest coefficient. CRC32C's polynomial divides
 * x^297 + x^196 + x^192 + x^78 + x^42 + 1. So the CRC stays the same when a word is taken away and added again 101,
 * 105, 219, 255 and 297 bits behind its place: in the five words that follow. `a` is the word, b..e are the next four,
 * and afterwards `a` is what the fifth gets. The empty asm keeps the compiler from mixing the instructions for one word
 * with those for the next: there are not enough registers for two.
 */
#define FOLD(a, b, c, d, e)                                        \
    do {                                                           \
        u64 word = (a);                                            \
                                                                   \
        (a) = word >> 23;                                          \
        (b) ^= word << 37 ^ word << 41;                            \
        (c) ^= word >> 27 ^ word >> 23;                            \
        (d) ^= word << 27 ^ word << 63;                            \
        (e) ^= word >> 37 ^ word >> 1 ^ word << 41;                \
        __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e)); \
    } while (0)

/*
 * All five words are read before they are folded, because an emulator keeps few registers over a memory access. The
 * function lies in one page, because an emulator is slow where a loop crosses into another.
 */
static __attribute__((aligned(1024))) u32 by_folding(u32 crc, const u8 *p, size_t len)
{
    u64 a = crc, b = 0, c = 0, d = 0, e = 0;

    if (len < FOLD_BYTES)
        return by_table(crc, p, len);
    for (;; len -= FOLD_BYTES, p += FOLD_BYTES) {
        a ^= read64(p);
        b ^= read64(p + 8);
        c ^= read64(p + 16);
        d ^= read64(p + 24);
        e ^= read64(p + 32);
        if (len < 2 * FOLD_BYTES)
            break;
        FOLD(a, b, c, d, e);
        FOLD(b, c, d, e, a);
        FOLD(c, d, e, a, b);
        FOLD(d, e, a, b, c);
        FOLD(e, a, b, c, d);
    }
    crc = of_word(a);
    crc = of_word(b ^ crc);
    crc = of_word(c ^ crc);
    crc = of_word(d ^ crc);
    crc = of_word(e ^ crc);
    return by_table(crc, p + FOLD_BYTES, len - FOLD_BYTES);
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

u32 crc32c_folding(u32 crc, const void *bytes, size_t len)
{
    if (!table[1])
        table_make();
    return ~by_folding(~crc, bytes, len);
}

u32 crc32c(u32 crc, const void *bytes, size_t len)
{
    static u32 (*way)(u32 crc, const u8 *p, size_t len);

    if (!way) {
        table_make();
        way = crc32c_has_instruction() && time_of(by_instruction) < time_of(by_folding) ? by_instruction : by_folding;
    }
    return ~way(~crc, bytes, len);
}

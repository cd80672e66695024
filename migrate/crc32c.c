/* SPDX-License-Identifier: BSD-2-Clause */
/* CRC32C: eight bytes an instruction where SSE4.2 is, a byte a table look-up elsewhere. */
#include "migrate/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82F63B78u /* bit-reversed */
#define CPUID_1_ECX_SSE42 (1u << 20)

static bool have_instruction(void)
{
    static int known; /* 0: not asked yet; the answer is the same on every CPU, so a race is harmless */
    int answer = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (!answer) {
        u32 eax = 1, ebx, ecx = 0, edx;

        __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        answer = ecx & CPUID_1_ECX_SSE42 ? 1 : -1;
        __atomic_store_n(&known, answer, __ATOMIC_RELAXED);
    }
    return answer > 0;
}

static u32 table_entry(u32 value)
{
    for (unsigned bit = 0; bit < 8; bit++)
        value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
    return value;
}

u32 crc32c_table(u32 crc, const void *bytes, size_t len)
{
    static u32 table[256]; /* every filler writes the same, the last entry last */
    const u8 *p = bytes;

    if (!__atomic_load_n(&table[255], __ATOMIC_ACQUIRE))
        for (unsigned i = 0; i < 256; i++)
            __atomic_store_n(&table[i], table_entry(i), __ATOMIC_RELEASE);
    crc = ~crc;
    while (len--)
        crc = crc >> 8 ^ table[(u8)crc ^ *p++];
    return ~crc;
}

u32 crc32c(u32 crc, const void *bytes, size_t len)
{
    const u8 *p = bytes;
    u64 value = (u32)~crc, word;

    if (!have_instruction())
        return crc32c_table(crc, bytes, len);
    for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        __asm__("crc32q %1, %0" : "+r"(value) : "rm"(word));
    }
    for (; len; len--, p++)
        __asm__("crc32b %1, %k0" : "+r"(value) : "rm"(*p));
    return ~(u32)value;
}

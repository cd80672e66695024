/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/cpu_words.c hv/cpuid_policy.c */
/*
 * libFuzzer entry for what a peer says that its guest was shown of its processor: words as they are, or changes to
 * those of a policy. What is taken the host has, and says the same words again; what is refused is refused in words.
 */
#include "tests/fuzz/fuzz.h"

#include "stream/cpu_words.h"

#define CHANGES 12

static struct cpuid_policy host_policy(u8 kind)
{
    struct cpuid_policy p = { .xsave_forms = 15, .xsave_avx = { .eax = 256, .ebx = 576 }, .xcr0 = kind & 1 ? 7 : 3 };
    bool amd = kind & 2;

    p.basic[0] = (struct cpuid_regs){ .eax = 13 };
    memcpy(&p.basic[0].ebx, amd ? "Auth" : "Genu", 4);
    memcpy(&p.basic[0].edx, amd ? "enti" : "ineI", 4);
    memcpy(&p.basic[0].ecx, amd ? "cAMD" : "ntel", 4);
    p.basic[1] = (struct cpuid_regs){ .eax = 0x60FB1, .ecx = 0xFFFA3203, .edx = 0x78BFBFF };
    p.basic[7] = (struct cpuid_regs){ .ebx = 0xFFFFFFFF, .ecx = 0xFF };
    p.basic[13] = (struct cpuid_regs){ .eax = (u32)p.xcr0, .ebx = 832, .ecx = 832 };
    p.extended[0].eax = 0x80000008;
    p.extended[1] = (struct cpuid_regs){ .ecx = 0x1FF, .edx = 0x2C100800 };
    p.extended[8].eax = 48;
    if (kind & 4)
        p.basic[1].ecx &= ~(1U << 26 | 1U << 28); /* without XSAVE and AVX */
    if (kind & 4)
        p.xcr0 = 0;
    return p;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    u8 kinds = fuzz_u8(&fuzz);
    struct cpuid_policy host = host_policy(kinds & 7), shown = host_policy(kinds >> 3 & 7), policy, again;
    struct wire_cpuid words[WIRE_CPUID] = { 0 }, back[WIRE_CPUID];
    char reason[WIRE_REASON];
    unsigned count;

    if (kinds & 0x40) {
        count = cpu_words_make(&shown, words);
        REQUIRE(count <= WIRE_CPUID);
        for (unsigned i = 0; i < CHANGES && fuzz.size; i++)
            ((u8 *)words)[fuzz_number(&fuzz, 2) % (count * sizeof(*words))] ^= fuzz_u8(&fuzz);
    } else {
        count = fuzz_u8(&fuzz) % (WIRE_CPUID + 1);
        fuzz_bytes(&fuzz, words, count * sizeof(*words));
    }
    memset(reason, 'x', sizeof(reason));
    if (!cpu_words_take(words, count, &host, &policy, reason)) {
        REQUIRE(memchr(reason, 0, sizeof(reason)) && reason[0]);
        return 0;
    }
    REQUIRE(memcmp(&policy.basic[0].ebx, &host.basic[0].ebx, 12) == 0);
    REQUIRE(!(policy.xcr0 & ~host.xcr0));
    count = cpu_words_make(&policy, back);
    REQUIRE(count <= WIRE_CPUID && cpu_words_take(back, count, &host, &again, reason));
    REQUIRE(memcmp(&policy, &again, sizeof(policy)) == 0);
    return 0;
}

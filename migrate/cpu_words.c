/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/cpu_words.h"

#include <stdio.h>
#include <string.h>

#include "hv/lib/bits.h"

#define LEAF_XSAVE 0xD
#define LEAF_EXTENDED 0x80000000u
#define SUBLEAF_FORMS 1
#define SUBLEAF_AVX 2

enum word { EAX, EBX, ECX, EDX };

/* Names of the features that docs/cpuid.md lists, by where they stand. */
static const struct feature {
    u32 leaf;
    u8 word, bit;
    const char *name;
} features[] = {
    { 1, ECX, 0, "SSE3" },
    { 1, ECX, 1, "PCLMULQDQ" },
    { 1, ECX, 9, "SSSE3" },
    { 1, ECX, 12, "FMA" },
    { 1, ECX, 13, "CX16" },
    { 1, ECX, 19, "SSE4.1" },
    { 1, ECX, 20, "SSE4.2" },
    { 1, ECX, 22, "MOVBE" },
    { 1, ECX, 23, "POPCNT" },
    { 1, ECX, 25, "AES" },
    { 1, ECX, 26, "XSAVE" },
    { 1, ECX, 28, "AVX" },
    { 1, ECX, 29, "F16C" },
    { 1, ECX, 30, "RDRAND" },
    { 7, EBX, 0, "FSGSBASE" },
    { 7, EBX, 3, "BMI1" },
    { 7, EBX, 5, "AVX2" },
    { 7, EBX, 7, "SMEP" },
    { 7, EBX, 8, "BMI2" },
    { 7, EBX, 9, "ERMS" },
    { 7, EBX, 18, "RDSEED" },
    { 7, EBX, 19, "ADX" },
    { 7, EBX, 20, "SMAP" },
    { 7, EBX, 23, "CLFLUSHOPT" },
    { 7, EBX, 24, "CLWB" },
    { 7, EBX, 29, "SHA" },
    { 7, ECX, 2, "UMIP" },
    { 7, EDX, 4, "FSRM" },
    { 0xD, EAX, 0, "XSAVEOPT" },
    { 0xD, EAX, 1, "XSAVEC" },
    { 0xD, EAX, 2, "XGETBV1" },
    { 0x80000001, ECX, 0, "LAHF" },
    { 0x80000001, ECX, 5, "ABM" },
    { 0x80000001, ECX, 8, "PREFETCHW" },
    { 0x80000001, EDX, 11, "SYSCALL" },
    { 0x80000001, EDX, 20, "NX" },
    { 0x80000001, EDX, 26, "1-GiB pages" },
    { 0x80000001, EDX, 27, "RDTSCP" },
};

static void put(struct wire_cpuid words[WIRE_CPUID], unsigned *count, u32 leaf, u32 subleaf,
                const struct cpuid_regs *regs)
{
    if (*count < WIRE_CPUID)
        words[(*count)++] = (struct wire_cpuid){
            .leaf = leaf, .subleaf = subleaf, .eax = regs->eax, .ebx = regs->ebx, .ecx = regs->ecx, .edx = regs->edx
        };
}

unsigned cpu_words_make(const struct cpuid_policy *policy, struct wire_cpuid words[WIRE_CPUID])
{
    const struct cpuid_regs xcr0 = { .eax = (u32)policy->xcr0, .edx = (u32)(policy->xcr0 >> 32) };
    const struct cpuid_regs forms = { .eax = policy->xsave_forms };
    unsigned count = 0;

    for (u32 leaf = 0; leaf < CPUID_BASIC; leaf++)
        if (leaf != LEAF_XSAVE)
            put(words, &count, leaf, 0, &policy->basic[leaf]);
    for (u32 leaf = 0; leaf < CPUID_EXTENDED; leaf++)
        put(words, &count, LEAF_EXTENDED + leaf, 0, &policy->extended[leaf]);
    put(words, &count, LEAF_XSAVE, 0, &xcr0);
    put(words, &count, LEAF_XSAVE, SUBLEAF_FORMS, &forms);
    put(words, &count, LEAF_XSAVE, SUBLEAF_AVX, &policy->xsave_avx);
    return count;
}

/* False: a leaf that is not part of a policy. */
static bool take(const struct wire_cpuid *word, struct cpuid_policy *policy)
{
    const struct cpuid_regs regs = { .eax = word->eax, .ebx = word->ebx, .ecx = word->ecx, .edx = word->edx };

    if (word->leaf == LEAF_XSAVE && word->subleaf == 0)
        policy->xcr0 = (u64)word->edx << 32 | word->eax;
    else if (word->leaf == LEAF_XSAVE && word->subleaf == SUBLEAF_FORMS)
        policy->xsave_forms = word->eax;
    else if (word->leaf == LEAF_XSAVE && word->subleaf == SUBLEAF_AVX)
        policy->xsave_avx = regs;
    else if (word->subleaf == 0 && word->leaf < CPUID_BASIC && word->leaf != LEAF_XSAVE)
        policy->basic[word->leaf] = regs;
    else if (word->subleaf == 0 && word->leaf - LEAF_EXTENDED < CPUID_EXTENDED)
        policy->extended[word->leaf - LEAF_EXTENDED] = regs;
    else
        return false;
    return true;
}

/* A register whose bits are features: what the guest was shown, and what the host has of it. */
struct bits {
    u32 leaf;
    enum word word;
    u32 shown, host;
};

static bool check_bits(const struct bits *bits, char reason[WIRE_REASON])
{
    static const char *const words[] = { "EAX", "EBX", "ECX", "EDX" };
    u32 missing = bits->shown & ~bits->host;
    unsigned bit;

    if (!missing)
        return true;
    bit = (unsigned)__builtin_ctz(missing);
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (features[i].leaf == bits->leaf && features[i].word == bits->word && features[i].bit == bit) {
            snprintf(reason, WIRE_REASON, "the guest was shown %s, which this processor lacks", features[i].name);
            return false;
        }
    snprintf(reason, WIRE_REASON, "the guest was shown CPUID leaf %#x %s bit %u, which this processor lacks",
             bits->leaf, words[bits->word], bit);
    return false;
}

static bool check_features(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    const struct bits all[] = {
        { 1, ECX, shown->basic[1].ecx, host->basic[1].ecx },
        { 1, EDX, shown->basic[1].edx, host->basic[1].edx },
        { 6, EAX, shown->basic[6].eax, host->basic[6].eax },
        { 7, EBX, shown->basic[7].ebx, host->basic[7].ebx },
        { 7, ECX, shown->basic[7].ecx, host->basic[7].ecx },
        { 7, EDX, shown->basic[7].edx, host->basic[7].edx },
        { LEAF_XSAVE, EAX, shown->xsave_forms, host->xsave_forms },
        { LEAF_EXTENDED + 1, ECX, shown->extended[1].ecx, host->extended[1].ecx },
        { LEAF_EXTENDED + 1, EDX, shown->extended[1].edx, host->extended[1].edx },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (!check_bits(&all[i], reason))
            return false;
    return true;
}

static void vendor(const struct cpuid_policy *policy, char name[13])
{
    const struct cpuid_regs *leaf = &policy->basic[0];

    memcpy(name, &leaf->ebx, 4);
    memcpy(name + 4, &leaf->edx, 4);
    memcpy(name + 8, &leaf->ecx, 4);
    name[12] = '\0';
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c >= 0x7F)
            *c = '?';
}

/* Kernels choose instructions (SYSENTER or SYSCALL, MSRs, errata) by vendor at their boot, once. */
static bool check_vendor(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    char theirs[13], ours[13];

    vendor(shown, theirs);
    vendor(host, ours);
    if (!strcmp(theirs, ours))
        return true;
    snprintf(reason, WIRE_REASON, "the guest was shown a processor of vendor %s, and this one is of %s", theirs, ours);
    return false;
}

static bool check_xsave(const struct cpuid_policy *shown, const struct cpuid_policy *host, char reason[WIRE_REASON])
{
    if (shown->xcr0 & ~host->xcr0) {
        snprintf(reason, WIRE_REASON, "the guest was shown XSAVE component %u, which this processor lacks",
                 (unsigned)__builtin_ctzll(shown->xcr0 & ~host->xcr0));
        return false;
    }
    if (memcmp(&shown->xsave_avx, &host->xsave_avx, sizeof(host->xsave_avx)) != 0 && shown->xsave_avx.eax) {
        snprintf(reason, WIRE_REASON, "this processor saves AVX state at another place than the guest was shown");
        return false;
    }
    return true;
}

bool cpu_words_take(const struct wire_cpuid *words, unsigned count, const struct cpuid_policy *host,
                    struct cpuid_policy *policy, char reason[WIRE_REASON])
{
    memset(policy, 0, sizeof(*policy));
    for (unsigned i = 0; i < count; i++)
        if (!take(&words[i], policy)) {
            snprintf(reason, WIRE_REASON, "CPUID leaf %#x.%u, which the guest was shown, is unknown here",
                     words[i].leaf, words[i].subleaf);
            return false;
        }
    if (policy->basic[0].eax != host->basic[0].eax || policy->extended[0].eax != host->extended[0].eax ||
        policy->extended[8].eax != host->extended[8].eax) {
        snprintf(reason, WIRE_REASON, "the guest was shown other CPUID leaves or address widths than are known here");
        return false;
    }
    return check_vendor(policy, host, reason) && check_features(policy, host, reason) &&
           check_xsave(policy, host, reason);
}

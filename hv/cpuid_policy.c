/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cuts a host's CPUID to the list of features, once, at boot. Bits that we emulate are added on every host.
 * Topology, APIC ids and OSXSAVE depend on the vcpu and are filled in when asked (cpuid.c).
 */
#include <string.h>

#include "host/x86.h"
#include "hv/cpuid.h"
#include "hv/cpuid_features.h"
#include "mm/guest_walk.h"

#define X2APIC BIT(21)
#define TSC_DEADLINE BIT(24)
#define HYPERVISOR BIT(31)
#define LEAF1_ECX_EMULATED (X2APIC | TSC_DEADLINE | HYPERVISOR)
#define CLFLUSH_BYTES 64U
#define ARAT BIT(2) /* leaf 6 EAX */
#define EXT1_EDX_AMD_ALIAS 0x0183F3FFU

#define POLICY_XCR0 (XCR0_X87 | XCR0_SSE | XCR0_AVX)
#define AVX_BYTES 256U
#define XSAVE_AREA_MAX 4096U

#define MAX_BASIC 0xDU
#define MAX_EXTENDED 0x80000008U

_Static_assert(MAX_BASIC + 1 == CPUID_BASIC && (MAX_EXTENDED & 0xFF) + 1 == CPUID_EXTENDED, "leaves of a policy");

static const struct {
    u8 word, bit, needs;
    const char *name;
} features[NR_FEATURES] = {
#define X(name, word, bit, needs, text) [FEATURE_##name] = { word, bit, FEATURE_##needs, text },
    CPUID_FEATURES(X)
#undef X
};

static u32 *word_of(struct cpuid_policy *policy, enum cpuid_word word)
{
    u32 *const words[NR_CPUID_WORDS] = {
        [LEAF1_ECX] = &policy->basic[1].ecx,   [LEAF1_EDX] = &policy->basic[1].edx,
        [LEAF7_EBX] = &policy->basic[7].ebx,   [LEAF7_ECX] = &policy->basic[7].ecx,
        [LEAF7_EDX] = &policy->basic[7].edx,   [XSAVE_EAX] = &policy->xsave_forms,
        [EXT1_ECX] = &policy->extended[1].ecx, [EXT1_EDX] = &policy->extended[1].edx,
    };

    return words[word];
}

u32 cpuid_word_get(const struct cpuid_policy *policy, enum cpuid_word word)
{
    return *word_of((struct cpuid_policy *)policy, word);
}

bool cpuid_has(const struct cpuid_policy *policy, enum cpuid_feature feature)
{
    return cpuid_word_get(policy, features[feature].word) & BIT(features[feature].bit);
}

static void drop(struct cpuid_policy *policy, enum cpuid_feature feature)
{
    *word_of(policy, features[feature].word) &= ~(u32)BIT(features[feature].bit);
}

const char *cpuid_feature_name(enum cpuid_feature feature)
{
    return features[feature].name;
}

/* SDM 1 "XSAVE-Managed State": AVX state is 256 bytes, somewhere behind the header. */
void cpuid_policy_settle(struct cpuid_policy *policy)
{
    const struct cpuid_regs *avx = &policy->xsave_avx;
    bool placed = avx->eax == AVX_BYTES && avx->ebx >= XSAVE_LEGACY_BYTES && avx->ebx <= XSAVE_AREA_MAX - AVX_BYTES;

    if (!cpuid_xcr0_legal(policy->xcr0))
        drop(policy, FEATURE_XSAVE);
    if (!(policy->xcr0 & XCR0_AVX) || !placed)
        drop(policy, FEATURE_AVX);
    for (unsigned i = 0; i < NR_FEATURES; i++) /* a needed feature stands before those that need it */
        if (!cpuid_has(policy, features[i].needs))
            drop(policy, i);
    if (!cpuid_has(policy, FEATURE_XSAVE))
        policy->xcr0 = 0;
    if (!cpuid_has(policy, FEATURE_AVX)) {
        policy->xcr0 &= ~XCR0_AVX;
        policy->xsave_avx = (struct cpuid_regs){ 0 };
    }
}

static u32 listed(enum cpuid_word word)
{
    u32 mask = 0;

    for (unsigned i = 0; i < NR_FEATURES; i++)
        if (features[i].word == word)
            mask |= BIT(features[i].bit);
    return mask;
}

static void make_extended(struct cpuid_policy *policy, struct cpuid_regs (*read)(u32 leaf, u32 subleaf))
{
    static const char brand[48] = "Godwit virtual processor";
    struct cpuid_regs *vendor = &policy->basic[0], *extended = policy->extended;

    extended[0] =
        (struct cpuid_regs){ .eax = MAX_EXTENDED, .ebx = vendor->ebx, .ecx = vendor->ecx, .edx = vendor->edx };
    extended[1] = read(0x80000001, 0);
    extended[1].ebx = 0;
    memcpy(&extended[2], brand, sizeof(brand));
    /*
     * Linux divides by what AMD's family 15h says of its level-1 cache. No leaf says which vcpus share a level-3 cache,
     * so none is shown.
     */
    if (read(0x80000000, 0).eax >= 0x80000006) {
        extended[5] = read(0x80000005, 0);
        extended[6] = read(0x80000006, 0);
        extended[6].edx = 0;
    }
    extended[8].eax = GUEST_MAXPHYADDR | 48 << 8;
}

void cpuid_policy_make(struct cpuid_policy *policy, struct cpuid_regs (*read)(u32 leaf, u32 subleaf))
{
    struct cpuid_regs *basic = policy->basic;
    u32 last = read(0, 0).eax, extended;

    memset(policy, 0, sizeof(*policy));
    basic[0] = read(0, 0);
    basic[0].eax = MAX_BASIC;
    basic[1] = read(1, 0);
    basic[1].ebx = CLFLUSH_BYTES / 8 << 8;
    basic[6].eax = ARAT;
    if (last >= 7)
        basic[7] = read(7, 0);
    basic[7].eax = 0;
    if (last >= 0xD) {
        policy->xcr0 = read(0xD, 0).eax & POLICY_XCR0;
        policy->xsave_forms = read(0xD, 1).eax;
        policy->xsave_avx = read(0xD, 2);
    }
    make_extended(policy, read);
    extended = policy->extended[1].edx;
    for (unsigned word = 0; word < NR_CPUID_WORDS; word++)
        *word_of(policy, word) &= listed(word);
    cpuid_policy_settle(policy);
    /* "AuthenticAMD" repeats basic features in the extended leaf; Intel has zeros there. */
    policy->extended[1].edx |= extended & basic[1].edx & EXT1_EDX_AMD_ALIAS;
    basic[1].ecx |= LEAF1_ECX_EMULATED;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/cpu_words.c hv/cpuid_policy.c */
/* What a guest was shown of its processor: it is kept, or refused by the name of what is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpuid_features.h"
#include "stream/cpu_words.h"

static struct cpuid_policy shown, host, taken;
static struct wire_cpuid words[WIRE_CPUID];
static char reason[WIRE_REASON];

#define VENDOR                                                              \
    {                                                                       \
        .eax = 0xD, .ebx = 0x68747541, .edx = 0x69746E65, .ecx = 0x444D4163 \
    } /* AuthenticAMD */

/* A processor: what its CPUID answers, the words of features apart. */
static u32 word[NR_CPUID_WORDS];
static u64 xcr0;

static struct cpuid_regs processor(u32 leaf, u32 subleaf)
{
    if (leaf == 0)
        return (struct cpuid_regs)VENDOR;
    if (leaf == 1)
        return (struct cpuid_regs){ .eax = 0x60FB1, .ebx = 0x800, .ecx = word[LEAF1_ECX], .edx = word[LEAF1_EDX] };
    if (leaf == 7)
        return (struct cpuid_regs){ 1, .ebx = word[LEAF7_EBX], .ecx = word[LEAF7_ECX], .edx = word[LEAF7_EDX] };
    if (leaf == 0x80000001)
        return (struct cpuid_regs){ .eax = 0x60FB1, .ecx = word[EXT1_ECX], .edx = word[EXT1_EDX] };
    if (leaf == 0xD && subleaf == 0)
        return (struct cpuid_regs){ .eax = (u32)xcr0, .ebx = 0xA88 };
    if (leaf == 0xD && subleaf == 1)
        return (struct cpuid_regs){ .eax = word[XSAVE_EAX], .ebx = 0x340 };
    if (leaf == 0xD && subleaf == 2)
        return (struct cpuid_regs){ .eax = 256, .ebx = 576 };
    return (struct cpuid_regs){ 0 };
}

static const struct {
    enum cpuid_word word;
    unsigned bit;
} place[NR_FEATURES] = {
#define X(name, word, bit, needs, text) { word, bit },
    CPUID_FEATURES(X)
#undef X
};

/* What a processor that has everything but one feature (NR_FEATURES: all) shows to guests. */
static struct cpuid_policy policy_without(unsigned feature)
{
    struct cpuid_policy policy;

    memset(word, 0xFF, sizeof(word));
    xcr0 = 0xFF;
    if (feature < NR_FEATURES)
        word[place[feature].word] &= ~(1U << place[feature].bit);
    cpuid_policy_make(&policy, processor);
    return policy;
}

static int setup(void **state)
{
    (void)state;
    shown = host = policy_without(NR_FEATURES);
    return 0;
}

static bool take(void)
{
    unsigned count = cpu_words_make(&shown, words);

    assert_in_range(count, 1, WIRE_CPUID);
    return cpu_words_take(words, count, &host, &taken, reason);
}

/* On a host that has more, the guest still sees what it saw. */
static void test_kept(void **state)
{
    (void)state;
    shown = policy_without(FEATURE_RDRAND);
    shown.basic[7].ebx &= ~(1U << 20);
    host.basic[1].eax = 0x999;
    assert_true(take());
    assert_memory_equal(&taken, &shown, sizeof(taken));
}

/*
 * A guest of a host that lacks one feature goes to one that has all, from there to any third that has what it was
 * shown, and home. Where what it was shown is missing, that is named.
 */
static void test_every_feature_on_three_hosts(void **state)
{
    (void)state;
    for (unsigned home = 0; home <= NR_FEATURES; home++) {
        const struct cpuid_policy full = policy_without(NR_FEATURES), at_home = policy_without(home);

        shown = at_home;
        host = full;
        assert_true(take());
        for (unsigned third = 0; third < NR_FEATURES; third++) {
            char words_of[WIRE_REASON];

            shown = taken = at_home;
            host = policy_without(third);
            assert_false(cpuid_has(&host, third));
            if (!cpuid_has(&shown, third)) {
                assert_true(take());
                assert_memory_equal(&taken, &at_home, sizeof(taken));
                continue;
            }
            assert_false(take());
            snprintf(words_of, sizeof(words_of), "the guest was shown %s, which this processor lacks",
                     cpuid_feature_name(third));
            assert_string_equal(reason, words_of);
        }
        host = shown = at_home;
        assert_true(take());
    }
}

/* A host that lacks a feature shows none that needs it: its own policy is one that any host takes for possible. */
static void test_lacking_takes_along(void **state)
{
    struct cpuid_policy policy = policy_without(FEATURE_XSAVE);

    (void)state;
    assert_false(cpuid_has(&policy, FEATURE_AVX) || cpuid_has(&policy, FEATURE_AVX2));
    assert_false(cpuid_has(&policy, FEATURE_FMA) || cpuid_has(&policy, FEATURE_F16C));
    assert_false(cpuid_has(&policy, FEATURE_XSAVEOPT) || policy.xcr0 || policy.xsave_avx.eax);
    policy = policy_without(FEATURE_AVX);
    assert_int_equal(policy.xcr0, 3);
    assert_false(cpuid_has(&policy, FEATURE_AVX2) || policy.xsave_avx.eax);
    assert_true(cpuid_has(&policy, FEATURE_XSAVE));
}

/* What no processor has, whatever this host has. */
static void test_xcr0(void **state)
{
    (void)state;
    for (u64 value = 0; value < 8; value++) {
        shown.xcr0 = value;
        assert_int_equal(take(), value == 7);
        if (value && (!(value & 1) || value == 5))
            assert_non_null(strstr(reason, ", which no processor takes"));
    }
}

/* Take one bit out of the words that are sent, and leave what needs it. */
static void words_drop(unsigned count, unsigned feature)
{
    static const struct {
        u32 leaf, subleaf;
        size_t reg;
    } where[NR_CPUID_WORDS] = {
        [LEAF1_ECX] = { 1, 0, offsetof(struct wire_cpuid, ecx) },
        [LEAF1_EDX] = { 1, 0, offsetof(struct wire_cpuid, edx) },
        [LEAF7_EBX] = { 7, 0, offsetof(struct wire_cpuid, ebx) },
        [LEAF7_ECX] = { 7, 0, offsetof(struct wire_cpuid, ecx) },
        [LEAF7_EDX] = { 7, 0, offsetof(struct wire_cpuid, edx) },
        [XSAVE_EAX] = { 0xD, 1, offsetof(struct wire_cpuid, eax) },
        [EXT1_ECX] = { 0x80000001, 0, offsetof(struct wire_cpuid, ecx) },
        [EXT1_EDX] = { 0x80000001, 0, offsetof(struct wire_cpuid, edx) },
    };

    for (unsigned i = 0; i < count; i++)
        if (words[i].leaf == where[place[feature].word].leaf && words[i].subleaf == where[place[feature].word].subleaf)
            *(u32 *)((u8 *)&words[i] + where[place[feature].word].reg) &= ~(1U << place[feature].bit);
}

static void test_feature_without_what_it_needs(void **state)
{
    (void)state;
    for (unsigned feature = 0; feature < NR_FEATURES; feature++) {
        struct cpuid_policy without = policy_without(feature);
        unsigned gone = 0, count = cpu_words_make(&shown, words);

        for (unsigned i = 0; i < NR_FEATURES; i++)
            gone += !cpuid_has(&without, i);
        words_drop(count, feature);
        assert_int_equal(cpu_words_take(words, count, &host, &taken, reason), gone == 1);
        if (gone > 1)
            assert_non_null(strstr(reason, "without what"));
    }
}

static void test_sizes(void **state)
{
    static const struct {
        u32 size, offset;
    } wrong[] = { { 0, 576 }, { 255, 576 }, { 256, 512 }, { 256, 4096 }, { 256, 0xFFFFFFFF }, { 0x10000, 576 } };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        shown.xsave_avx.eax = host.xsave_avx.eax = wrong[i].size;
        shown.xsave_avx.ebx = host.xsave_avx.ebx = wrong[i].offset;
        assert_false(take());
        assert_non_null(strstr(reason, "AVX without what that needs"));
    }
}

static void test_refused_by_name(void **state)
{
    static const struct {
        void *word;
        u32 bits;
        const char *says;
    } missing[] = {
        { &host.basic[1].ecx, 1U << 25, "the guest was shown AES, which this processor lacks" },
        { &host.basic[1].ecx, 1U << 31,
          "the guest was shown bits 0x80000000 of CPUID word 0, which are unknown there" },
        { &host.xsave_avx.ebx, 64, "this processor saves AVX state at another place than the guest was shown" },
        { &host.basic[0].eax, 1, "the guest was shown other CPUID leaves or address widths than are known there" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        u32 *bits = missing[i].word;

        *bits &= ~missing[i].bits;
        assert_false(take());
        assert_string_equal(reason, missing[i].says);
        *bits |= missing[i].bits;
    }
    assert_true(take());
}

static void test_vendor(void **state)
{
    (void)state;
    memcpy(&host.basic[0].ebx, "Genu", 4);
    memcpy(&host.basic[0].edx, "ineI", 4);
    memcpy(&host.basic[0].ecx, "ntel", 4);
    assert_false(take());
    assert_string_equal(reason,
                        "the guest was shown a processor of vendor AuthenticAMD, and this one is of GenuineIntel");
    memset(&shown.basic[0].ebx, 1, 4); /* what doesn't print is not printed */
    assert_false(take());
    assert_non_null(strstr(reason, "vendor ????"));
}

static void test_unknown_leaf(void **state)
{
    unsigned count = cpu_words_make(&shown, words);

    (void)state;
    words[count - 1].leaf = 0x12345678;
    assert_false(cpu_words_take(words, count, &host, &taken, reason));
    assert_string_equal(reason, "CPUID leaf 0x12345678.2, which the guest was shown, is unknown there");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_kept, setup),
        cmocka_unit_test_setup(test_every_feature_on_three_hosts, setup),
        cmocka_unit_test_setup(test_lacking_takes_along, setup),
        cmocka_unit_test_setup(test_xcr0, setup),
        cmocka_unit_test_setup(test_feature_without_what_it_needs, setup),
        cmocka_unit_test_setup(test_sizes, setup),
        cmocka_unit_test_setup(test_refused_by_name, setup),
        cmocka_unit_test_setup(test_vendor, setup),
        cmocka_unit_test_setup(test_unknown_leaf, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

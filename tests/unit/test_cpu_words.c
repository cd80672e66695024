/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/cpu_words.c */
/* What a guest was shown of its processor: it is kept, or refused by the name of what is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "migrate/cpu_words.h"

static struct cpuid_policy shown, host, taken;
static struct wire_cpuid words[WIRE_CPUID];
static char reason[WIRE_REASON];

static int setup(void **state)
{
    (void)state;
    memset(&shown, 0, sizeof(shown));
    memcpy(&shown.basic[0].ebx, "Auth", 4);
    memcpy(&shown.basic[0].edx, "enti", 4);
    memcpy(&shown.basic[0].ecx, "cAMD", 4);
    shown.basic[0].eax = 13;
    shown.basic[1] = (struct cpuid_regs){ .eax = 0x60FB1, .ecx = 1U << 25 | 1 << 28, .edx = 0x78BFBFF };
    shown.basic[7].ebx = 1 << 7;
    shown.extended[0].eax = 0x80000008;
    shown.extended[1].edx = 1 << 20;
    shown.extended[8].eax = 40;
    shown.xcr0 = 7;
    shown.xsave_forms = 1;
    shown.xsave_avx = (struct cpuid_regs){ .eax = 256, .ebx = 576 };
    host = shown;
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
    host.basic[1].ecx |= 1 << 30;
    host.basic[7].ebx |= 1 << 20;
    host.basic[1].eax = 0x999;
    host.xsave_forms = 7;
    assert_true(take());
    assert_memory_equal(&taken, &shown, sizeof(taken));
}

static void test_refused_by_name(void **state)
{
    static const struct {
        void *word;
        u32 bits;
        const char *says;
    } missing[] = {
        { &host.basic[1].ecx, 1U << 25, "the guest was shown AES, which this processor lacks" },
        { &host.basic[7].ebx, 1 << 7, "the guest was shown SMEP, which this processor lacks" },
        { &host.extended[1].edx, 1 << 20, "the guest was shown NX, which this processor lacks" },
        { &host.basic[1].edx, 1, "the guest was shown CPUID leaf 0x1 EDX bit 0, which this processor lacks" },
        { &host.xsave_forms, 1, "the guest was shown XSAVEOPT, which this processor lacks" },
        { &host.xcr0, 4, "the guest was shown XSAVE component 2, which this processor lacks" },
        { &host.xsave_avx.ebx, 64, "this processor saves AVX state at another place than the guest was shown" },
        { &host.basic[0].eax, 1, "the guest was shown other CPUID leaves or address widths than are known here" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        u32 *word = missing[i].word;

        *word &= ~missing[i].bits;
        assert_false(take());
        assert_string_equal(reason, missing[i].says);
        *word |= missing[i].bits;
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
    assert_string_equal(reason, "CPUID leaf 0x12345678.2, which the guest was shown, is unknown here");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_kept, setup),
        cmocka_unit_test_setup(test_refused_by_name, setup),
        cmocka_unit_test_setup(test_vendor, setup),
        cmocka_unit_test_setup(test_unknown_leaf, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

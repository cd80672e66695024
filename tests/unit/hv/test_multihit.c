/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/vmx/caps.c tests/unit/stubs.c */
/* On which processors large EPT pages may be executed, by their CPUID as Intel and others have published it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/asm.h"
#include "hv/vmx/vmx.h"

#define PSCHANGE_MC_NO (1 << 6) /* of IA32_ARCH_CAPABILITIES */

static const struct cpuid_regs intel = { .ebx = 0x756E6547, .edx = 0x49656E69, .ecx = 0x6C65746E };
static const struct cpuid_regs zhaoxin = { .ebx = 0x68532020, .edx = 0x68676E61, .ecx = 0x20206961 };

static void test_cores_without_the_bit_are_affected(void **unused)
{
    static const u32 signatures[] = {
        0x206C2, /* Westmere */
        0x306C3, /* Haswell */
        0x406E3, /* Skylake */
        0x50654, /* Skylake-SP, also Bochs' */
        0x906EA, /* Coffee Lake */
    };

    (void)unused;
    for (unsigned i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        assert_false(multihit_safe(&intel, signatures[i], 0));
        assert_false(multihit_safe(&intel, signatures[i], ~(u64)PSCHANGE_MC_NO));
        assert_true(multihit_safe(&intel, signatures[i], PSCHANGE_MC_NO));
    }
}

static void test_atom_and_phi_are_not(void **unused)
{
    static const u32 signatures[] = {
        0x406D8, /* Avoton */
        0x406C4, /* Braswell */
        0x506C9, /* Apollo Lake */
        0x706A8, /* Gemini Lake Refresh */
        0x80664, /* Snow Ridge */
        0x50671, /* Knights Landing */
    };

    (void)unused;
    for (unsigned i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
        assert_true(multihit_safe(&intel, signatures[i], 0));
}

static void test_nor_are_other_makers_and_families(void **unused)
{
    (void)unused;
    assert_true(multihit_safe(&zhaoxin, 0x50654, 0));
    assert_true(multihit_safe(&intel, 0xF41, 0)); /* a Pentium 4, family 15 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores_without_the_bit_are_affected),
        cmocka_unit_test(test_atom_and_phi_are_not),
        cmocka_unit_test(test_nor_are_other_makers_and_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

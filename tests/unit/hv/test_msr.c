/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* Which MSRs a guest has, and what it may write there: SDM 4 and APM 2 appendix A say so, docs/cpuid.md lists them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/msr_index.h"
#include "tests/unit/guest_rig.h"

static bool is_in(const u32 *list, unsigned count, u32 msr)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == msr)
            return true;
    return false;
}

static bool is_passthrough(u32 msr)
{
    unsigned count;
    const u32 *list = msr_passthrough(&count);

    return is_in(list, count, msr);
}

static void assert_holds(u32 msr, u64 value)
{
    u64 read;

    assert_int_equal(guest_wrmsr(msr, value), NO_FAULT);
    assert_int_equal(guest_rdmsr(msr, &read), NO_FAULT);
    assert_int_equal(read, value);
}

/* A refused write faults and changes nothing. */
static void assert_refuses(u32 msr, u64 value)
{
    u64 before, after;

    assert_int_equal(guest_rdmsr(msr, &before), NO_FAULT);
    assert_int_equal(guest_wrmsr(msr, value), VECTOR_GP);
    assert_int_equal(guest_rdmsr(msr, &after), NO_FAULT);
    assert_int_equal(after, before);
}

/* --- Which there are ------------------------------------------------------------------------------------------- */

/* Those that docs/cpuid.md names but for the APIC's and the clock's, which dev brings. */
static const struct {
    u32 first, last;
    bool writable;
} documented[] = {
    { MSR_TSC, MSR_TSC, true },
    { MSR_PLATFORM_ID, MSR_PLATFORM_ID, false },
    { MSR_TSC_ADJUST, MSR_TSC_ADJUST, true },
    { MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, true },
    { MSR_MTRRCAP, MSR_MTRRCAP, false },
    { MSR_MCG_CAP, MSR_MCG_CAP, false },
    { MSR_MCG_STATUS, MSR_MCG_STATUS, true },
    { MSR_MISC_ENABLE, MSR_MISC_ENABLE, true },
    { 0x200, 0x20F, true }, /* MTRRs: eight pairs, then the fixed ones */
    { 0x250, 0x250, true },
    { 0x258, 0x259, true },
    { 0x268, 0x26F, true },
    { MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, true },
    { MSR_PAT, MSR_PAT, true },
    { MSR_EFER, MSR_EFER, false }, /* zero would leave long mode */
    { MSR_TSC_AUX, MSR_TSC_AUX, true },
    { MSR_SYSCFG, MSR_SYSCFG, false },
    { MSR_HWCR, MSR_HWCR, true },
    { MSR_NB_CFG, MSR_NB_CFG, true },
    { MSR_INT_PENDING, MSR_INT_PENDING, false },
};

static void test_all_others_fault(void **state)
{
    static const u32 ranges[] = { 0, 0x40000000, 0x4B564D00, 0xC0000000, 0xC0010000, 0xC0011000, 0xFFFFF000 };

    (void)state;
    for (unsigned range = 0; range < ARRAY_SIZE(ranges); range++) {
        for (u64 msr = ranges[range]; msr < ranges[range] + 0x1000ULL; msr++) {
            bool readable = false, writable = false;
            u64 value;

            if (is_passthrough(msr))
                continue;
            for (unsigned i = 0; i < ARRAY_SIZE(documented); i++) {
                bool inside = msr >= documented[i].first && msr <= documented[i].last;

                readable |= inside;
                writable |= inside && documented[i].writable;
            }
            assert_int_equal(guest_rdmsr(msr, &value), readable ? NO_FAULT : VECTOR_GP);
            assert_int_equal(guest_wrmsr(msr, 0), writable ? NO_FAULT : VECTOR_GP);
        }
    }
}

/* An MSR may be passed through only if the processor or the backend gives each vcpu its own: VMLOAD and VMSAVE switch
 * these (APM 2 "VMSAVE and VMLOAD Instructions"); on VT-x they are in the guest-state area (SDM 3C "Guest Register
 * State"), or hv/vmx/setup.c loads them with the vcpu. Any other one would be the host's, or another guest's. */
static void test_passthrough_is_switched(void **state)
{
    static const u32 switched[] = { MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,         MSR_LSTAR,
                                    MSR_CSTAR,   MSR_FMASK,   MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };
    unsigned count;
    const u32 *list = msr_passthrough(&count);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        assert_true(is_in(switched, ARRAY_SIZE(switched), list[i]));
    assert_int_equal(count, ARRAY_SIZE(switched)); /* Linux needs each of them */
}

static u8 missing_bit;
static u32 missing_leaf;

static void without_one(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == missing_leaf)
        r->edx &= ~(1U << missing_bit);
}

/* Features that promise an MSR: who is shown the feature uses the MSR without a net. */
static void test_features_have_their_msrs(void **state)
{
    static const struct {
        u32 leaf;
        u8 bit; /* of EDX */
        u32 msr;
    } promises[] = {
        { 1, 4, MSR_TSC },
        { 1, 11, MSR_SYSENTER_CS },
        { 1, 12, MSR_MTRRCAP },
        { 1, 14, MSR_MCG_CAP },
        { 1, 16, MSR_PAT },
        { 0x80000001, 11, MSR_STAR },
        { 0x80000001, 27, MSR_TSC_AUX },
        { 0x80000001, 29, MSR_FS_BASE },
        { 1, 5, MSR_EFER },
    };
    u64 value;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(promises); i++) {
        assert_true(guest_cpuid(promises[i].leaf, 0).edx >> promises[i].bit & 1);
        if (!is_passthrough(promises[i].msr))
            assert_int_equal(guest_rdmsr(promises[i].msr, &value), NO_FAULT);
    }
    /* Without RDTSCP there is no TSC_AUX: the processor may have none to load. */
    missing_leaf = 0x80000001;
    missing_bit = 27;
    rig.vm.identity.cpuid = guest_rig_policy(without_one);
    assert_int_equal(guest_rdmsr(MSR_TSC_AUX, &value), VECTOR_GP);
    assert_int_equal(guest_wrmsr(MSR_TSC_AUX, 0), VECTOR_GP);
}

/* --- MTRRs and PAT: SDM 3A "Memory Cache Control" ---------------------------------------------------------------- */

static const bool mtrr_type[256] = { [0] = true, [1] = true, [4] = true, [5] = true, [6] = true };

static void test_mtrr_types(void **state)
{
    (void)state;
    for (u64 type = 0; type < 256; type++) {
        if (mtrr_type[type]) {
            assert_holds(0x200, MiB(1) | type);
            assert_holds(MSR_MTRR_DEF_TYPE, 0xC00 | type);
        } else {
            assert_refuses(0x200, MiB(1) | type);
            assert_refuses(MSR_MTRR_DEF_TYPE, 0xC00 | type);
        }
        for (unsigned byte = 0; byte < 8; byte++) {
            u64 value = 0x0606060606060606 ^ (6 ^ type) << (8 * byte);

            if (mtrr_type[type])
                assert_holds(0x26F, value);
            else
                assert_refuses(0x26F, value);
            if (mtrr_type[type] || type == 7)
                assert_holds(MSR_PAT, value);
            else
                assert_refuses(MSR_PAT, value);
        }
    }
}

/* Bits 11:8 of a base and 10:0 of a mask, bits at or above the physical address width of both, and those of DEF_TYPE
 * that are neither E, FE nor the type. */
static void test_mtrr_reserved_bits(void **state)
{
    unsigned width = guest_cpuid(0x80000008, 0).eax & 0xFF;

    (void)state;
    for (u32 pair = 0x200; pair < 0x210; pair += 2) {
        for (unsigned bit = 8; bit < 64; bit++) {
            if (bit >= 12 && bit < width)
                assert_holds(pair, BIT(bit) | 6);
            else
                assert_refuses(pair, BIT(bit) | 6);
        }
        for (unsigned bit = 0; bit < 64; bit++) {
            if (bit >= 11 && bit < width)
                assert_holds(pair + 1, BIT(bit));
            else
                assert_refuses(pair + 1, BIT(bit));
        }
    }
    for (unsigned bit = 8; bit < 64; bit++) {
        if (bit == 10 || bit == 11)
            assert_holds(MSR_MTRR_DEF_TYPE, BIT(bit) | 6);
        else
            assert_refuses(MSR_MTRR_DEF_TYPE, BIT(bit) | 6);
    }
}

/* As many MTRRs as MTRRCAP says, each for itself. */
static void test_mtrrs_are_apart(void **state)
{
    static const u32 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F };
    u64 cap, value;

    (void)state;
    assert_int_equal(guest_rdmsr(MSR_MTRRCAP, &cap), NO_FAULT);
    assert_true(cap & BIT(8)); /* fixed ones */
    for (u32 i = 0; i < 2 * (cap & 0xFF); i++)
        assert_int_equal(guest_wrmsr(0x200 + i, (i + 1) * MiB(1)), NO_FAULT);
    for (u32 i = 0; i < ARRAY_SIZE(fixed); i++)
        assert_int_equal(guest_wrmsr(fixed[i], i % 2 ? 6ULL << 8 * (i % 8) : 5ULL << 8 * (i % 7)), NO_FAULT);
    for (u32 i = 0; i < 2 * (cap & 0xFF); i++) {
        assert_int_equal(guest_rdmsr(0x200 + i, &value), NO_FAULT);
        assert_int_equal(value, (i + 1) * MiB(1));
    }
    for (u32 i = 0; i < ARRAY_SIZE(fixed); i++) {
        assert_int_equal(guest_rdmsr(fixed[i], &value), NO_FAULT);
        assert_int_equal(value, i % 2 ? 6ULL << 8 * (i % 8) : 5ULL << 8 * (i % 7));
    }
    vcpu_restart(rig.vcpu); /* a machine reset forgets them */
    assert_int_equal(guest_rdmsr(0x200, &value), NO_FAULT);
    assert_int_equal(value, 0);
}

/* What a guest has set goes with it to another machine, and nothing that it could not have set comes from there. */
static void test_stored_move(void **state)
{
    unsigned count;
    const u32 *list = msr_stored_list(&count);

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        u64 value;

        assert_int_equal(guest_wrmsr(list[i], 0x0000000500000000), list[i] == MSR_MTRR_DEF_TYPE ? VECTOR_GP : NO_FAULT);
        assert_int_equal(guest_rdmsr(list[i], &value), NO_FAULT);
        assert_int_equal(msr_stored_get(rig.vcpu, list[i]), value);
        assert_int_equal(msr_stored_set(rig.vcpu, list[i], 0), 0);
        assert_int_equal(msr_stored_get(rig.vcpu, list[i]), 0);
    }
    assert_int_equal(msr_stored_set(rig.vcpu, 0x200, 2), -EINVAL);
    assert_int_equal(msr_stored_set(rig.vcpu, 0x26F, 7), -EINVAL);
    assert_int_equal(msr_stored_set(rig.vcpu, MSR_MTRRCAP, 0), -EINVAL);
    assert_int_equal(msr_stored_set(rig.vcpu, MSR_EFER, 0), -EINVAL);
    for (unsigned i = 0; i < ARRAY_SIZE(documented); i++)
        for (u32 msr = documented[i].first; msr <= documented[i].last; msr++)
            if ((msr >= 0x200 && msr <= MSR_MTRR_DEF_TYPE && msr != MSR_PAT) || msr == MSR_TSC_ADJUST)
                assert_true(is_in(list, count, msr));
}

/* A guest of an earlier version could write bits without a meaning. It comes with them, and is told of them when it
 * asks; but no guest can write them any more. */
static void test_bits_without_meaning_come(void **state)
{
    (void)state;
    for (u32 msr = 0x200; msr < 0x210; msr++) {
        const u64 old = BIT(40) | BIT(9) | MiB(2) | 6;
        u64 value;

        assert_int_equal(guest_wrmsr(msr, old), VECTOR_GP);
        assert_int_equal(msr_stored_set(rig.vcpu, msr, old), 0);
        assert_int_equal(guest_rdmsr(msr, &value), NO_FAULT);
        assert_int_equal(value, old);
        assert_int_equal(msr_stored_get(rig.vcpu, msr), old);
        assert_int_equal(guest_wrmsr(msr, value), VECTOR_GP);
    }
}

/* --- The others ------------------------------------------------------------------------------------------------ */

/* SDM 3A "IA32_EFER", APM 2 "Extended Feature Enable Register": LMA is the processor's. */
static void test_efer(void **state)
{
    const u64 now = EFER_LME | EFER_LMA;

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        switch (BIT(bit)) {
        case EFER_LME: assert_refuses(MSR_EFER, now & ~(u64)EFER_LME); break; /* paging is on */
        case EFER_LMA: break;
        case EFER_SCE:
        case EFER_NXE:
            assert_holds(MSR_EFER, now | BIT(bit));
            assert_holds(MSR_EFER, now);
            break;
        default: assert_refuses(MSR_EFER, now | BIT(bit)); break;
        }
    }
    assert_int_equal(guest_wrmsr(MSR_EFER, EFER_LME), NO_FAULT);
    assert_int_equal(rig.state->efer, now);
    rig.state->cr0 &= ~(u64)CR0_PG;
    rig.state->efer = 0;
    assert_holds(MSR_EFER, EFER_LME);
    assert_int_equal(guest_wrmsr(MSR_EFER, now), NO_FAULT);
    assert_int_equal(rig.state->efer, EFER_LME);
    assert_holds(MSR_EFER, 0);
}

static void assert_tsc(u64 tsc, u64 adjust)
{
    u64 value;

    assert_int_equal(guest_rdmsr(MSR_TSC, &value), NO_FAULT);
    assert_int_equal(value, tsc);
    assert_int_equal(guest_rdmsr(MSR_TSC_ADJUST, &value), NO_FAULT);
    assert_int_equal(value, adjust);
}

/* SDM 3B "Time-Stamp Counter Adjustment": a write of the counter adds the difference to the adjustment, and the
 * reverse; the counter goes on from there, and timers learn of it. */
static void test_tsc(void **state)
{
    u64 start;

    (void)state;
    assert_int_equal(guest_rdmsr(MSR_TSC, &start), NO_FAULT);
    assert_tsc(start, 0);
    assert_int_equal(guest_wrmsr(MSR_TSC_ADJUST, 1000), NO_FAULT);
    assert_tsc(start + 1000, 1000);
    assert_int_equal(guest_wrmsr(MSR_TSC_ADJUST, -1000ULL), NO_FAULT);
    assert_tsc(start - 1000, -1000ULL);
    assert_int_equal(guest_wrmsr(MSR_TSC, 77), NO_FAULT);
    assert_tsc(77, 77 - start);
    rig.tsc += 500;
    assert_tsc(577, 77 - start);
    assert_int_equal(guest_wrmsr(MSR_TSC_ADJUST, 0), NO_FAULT);
    assert_tsc(start + 500, 0);
    assert_int_equal(rig.tsc_changes, 4);
    assert_int_equal(rig.clock_changes, 4);
}

/* SDM 4: the upper half of TSC_AUX is reserved. */
static void test_tsc_aux(void **state)
{
    (void)state;
    assert_holds(MSR_TSC_AUX, 0x12345678);
    assert_holds(MSR_TSC_AUX, 0xFFFFFFFF);
    for (unsigned bit = 32; bit < 64; bit++)
        assert_refuses(MSR_TSC_AUX, BIT(bit));
}

/* Constants that drivers write to without a look: nothing comes of it. */
static void test_constants(void **state)
{
    static const u32 ignoring[] = { MSR_BIOS_SIGN_ID, MSR_MCG_STATUS, MSR_MISC_ENABLE, MSR_NB_CFG, MSR_HWCR };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ignoring); i++) {
        u64 before, after;

        assert_int_equal(guest_rdmsr(ignoring[i], &before), NO_FAULT);
        assert_int_equal(guest_wrmsr(ignoring[i], ~0ULL), NO_FAULT);
        assert_int_equal(guest_rdmsr(ignoring[i], &after), NO_FAULT);
        assert_int_equal(after, before);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_others_fault),
        TEST(test_passthrough_is_switched),
        TEST(test_features_have_their_msrs),
        TEST(test_mtrr_types),
        TEST(test_mtrr_reserved_bits),
        TEST(test_mtrrs_are_apart),
        TEST(test_stored_move),
        TEST(test_bits_without_meaning_come),
        TEST(test_efer),
        TEST(test_tsc),
        TEST(test_tsc_aux),
        TEST(test_constants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

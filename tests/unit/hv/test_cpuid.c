/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* What a guest reads by CPUID fits together, as SDM 2 "CPUID" and APM 3 appendix E say, and shows nothing that the
 * hypervisor could not carry out or carry to another machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/guest_abi.h"
#include "host/asm.h"
#include "tests/unit/guest_rig.h"

enum { EAX, EBX, ECX, EDX };

static u32 word(u32 leaf, u32 subleaf, unsigned reg)
{
    struct cpuid_regs r = guest_cpuid(leaf, subleaf);

    return reg == EAX ? r.eax : reg == EBX ? r.ebx : reg == ECX ? r.ecx : r.edx;
}

static void assert_nothing(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = guest_cpuid(leaf, subleaf);

    assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

/* The highest leaf of each range is as said, and there is nothing beyond it. */
static void test_ranges(void **state)
{
    u32 basic = word(0, 0, EAX), hypervisor = word(GODWIT_CPUID_BASE, 0, EAX), extended = word(0x80000000, 0, EAX);

    (void)state;
    assert_in_range(basic, 0xD, 0xFF);
    assert_in_range(extended, 0x80000008, 0x800000FF);
    for (u32 i = 1; i < 0x100; i++) {
        assert_nothing(basic + i, 0);
        assert_nothing(extended + i, 0);
        assert_nothing(0x40000200 + i, 0);
    }
    for (u32 leaf = GODWIT_CPUID_BASE + 1; leaf < hypervisor; leaf++)
        assert_nothing(leaf, 0);
    assert_nothing(0x3FFFFFFF, 0);
    assert_nothing(0x7FFFFFFF, 0);
    assert_nothing(~0u, 0);
}

static void test_names(void **state)
{
    char brand[49] = "";

    (void)state;
    for (unsigned i = 0; i < 12; i++)
        memcpy(brand + 4 * i, &(u32){ word(0x80000002 + i / 4, 0, i % 4) }, 4);
    assert_string_equal(brand, "Godwit virtual processor");
    assert_true(word(1, 0, ECX) & BIT(31)); /* a hypervisor is here */
    assert_int_equal(word(GODWIT_CPUID_BASE, 0, EBX), 0x77646F47);
    assert_int_equal(word(KVM_CPUID_BASE, 0, EBX), 0x4B4D564B); /* "KVMKVMKVM", as Linux looks for it */
    assert_int_equal(word(KVM_CPUID_BASE, 0, ECX), 0x564B4D56);
    assert_int_equal(word(KVM_CPUID_BASE, 0, EDX), 0x4D);
    assert_true(word(KVM_CPUID_BASE, 0, EAX) >= KVM_CPUID_FEATURES);
    assert_true(word(KVM_CPUID_FEATURES, 0, EAX) & BIT(3));       /* its clock */
    assert_int_equal(word(GODWIT_CPUID_TIMING, 0, EAX), 2000000); /* kHz of the TSC */
}

/* Of any vcpu, of a VM of any size: the id is the same everywhere it is shown, no two have the same, and the widths say
 * that all are cores of one package (SDM 3A "Hierarchical Mapping of Shared Resources"). */
static void test_topology(void **state)
{
    (void)state;
    for (u32 count = 1; count <= CONFIG_MAX_VCPUS; count++) {
        rig.vm.nr_vcpus = count;
        for (u32 id = 0; id < count; id++) {
            u32 shift;

            rig.vcpu->id = id;
            assert_int_equal(word(1, 0, EBX) >> 24, id);
            assert_int_equal(word(1, 0, EBX) >> 16 & 0xFF, count);
            assert_int_equal(word(1, 0, EDX) >> 28 & 1, count > 1); /* HTT: that count holds */
            for (u32 level = 0; level < 4; level++) {
                assert_int_equal(word(0xB, level, EDX), id);
                assert_int_equal(word(0xB, level, ECX) & 0xFF, level);
                assert_int_equal(word(0xB, level, ECX) >> 8, level < 2 ? level + 1 : 0);
            }
            assert_int_equal(word(0xB, 0, EAX), 0);
            assert_int_equal(word(0xB, 0, EBX), 1);
            shift = word(0xB, 1, EAX);
            assert_int_equal(id >> shift, 0);
            assert_true(shift == 0 || count > 1U << (shift - 1)); /* and is no wider than needed */
            assert_int_equal(word(0xB, 1, EBX), count);
            assert_int_equal(word(0xB, 2, EAX) | word(0xB, 2, EBX), 0);
        }
    }
    rig.vcpu->id = 0;
}

/* What would need registers, instructions or exits that we do not have. */
static void test_not_shown(void **state)
{
    static const struct {
        u32 leaf, subleaf;
        u8 reg, bit;
    } hidden[] = {
        { 1, 0, ECX, 2 },   { 1, 0, ECX, 3 },  { 1, 0, ECX, 5 },  { 1, 0, ECX, 6 },
        { 1, 0, ECX, 7 },   { 1, 0, ECX, 8 },  { 1, 0, ECX, 15 }, { 1, 0, ECX, 17 },
        { 1, 0, ECX, 18 },  { 1, 0, EDX, 18 }, { 1, 0, EDX, 21 }, { 1, 0, EDX, 22 },
        { 1, 0, EDX, 29 },  { 7, 0, EBX, 1 },  { 7, 0, EBX, 2 },  { 7, 0, EBX, 4 },
        { 7, 0, EBX, 10 },  { 7, 0, EBX, 11 }, { 7, 0, EBX, 12 }, { 7, 0, EBX, 14 },
        { 7, 0, EBX, 15 },  { 7, 0, EBX, 16 }, { 7, 0, EBX, 25 }, { 7, 0, ECX, 3 },
        { 7, 0, ECX, 4 },   { 7, 0, ECX, 5 },  { 7, 0, ECX, 7 },  { 7, 0, ECX, 16 },
        { 7, 0, ECX, 30 },  { 7, 0, EDX, 20 }, { 7, 0, EDX, 26 }, { 7, 0, EDX, 27 },
        { 7, 0, EDX, 28 },  { 7, 0, EDX, 29 }, { 7, 0, EDX, 31 }, { 0xD, 1, EAX, 3 } /* XSAVES */,
        { 0xD, 1, EAX, 4 },
    };
    static const u8 hidden_amd[] = { 2, 3, 10, 12, 13, 15, 16, 21, 23, 24, 26, 27, 28, 29 }; /* SVM, LWP, IBS ... */

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++)
        assert_int_equal(word(hidden[i].leaf, hidden[i].subleaf, hidden[i].reg) >> hidden[i].bit & 1, 0);
    for (unsigned i = 0; i < sizeof(hidden_amd); i++)
        assert_int_equal(word(0x80000001, 0, ECX) >> hidden_amd[i] & 1, 0);
    /* MONITOR, power, caches' quality, performance monitoring, and in 6 all but a LAPIC timer that never stops. */
    assert_nothing(5, 0);
    assert_nothing(9, 0);
    assert_nothing(0xA, 0);
    assert_int_equal(word(6, 0, EAX), BIT(2));
    assert_int_equal(word(6, 0, EBX) | word(6, 0, ECX) | word(6, 0, EDX), 0);
    for (u32 subleaf = 1; subleaf < 4; subleaf++)
        assert_nothing(7, subleaf);
    assert_int_equal(word(7, 0, EAX), 0);
}

static void without_anything(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf)
        *r = (struct cpuid_regs){ 0 };
}

/* What every guest is shown, whatever the processor has: we emulate it. */
static void test_always_shown(void **state)
{
    (void)state;
    rig.vm.identity.cpuid = guest_rig_policy(without_anything);
    assert_true(word(1, 0, ECX) & BIT(21));             /* x2APIC */
    assert_true(word(1, 0, ECX) & BIT(24));             /* TSC deadline */
    assert_int_equal(word(1, 0, EBX) & 0xFF00, 8 << 8); /* CLFLUSH: 64 bytes */
    assert_int_equal(word(0x80000008, 0, EAX), 40 | 48 << 8);
}

/* SDM 2 "CPUID", leaf 01H: OSXSAVE is the CR4 bit. */
static void test_osxsave(void **state)
{
    (void)state;
    assert_false(word(1, 0, ECX) & BIT(27));
    assert_int_equal(guest_write_cr(4, guest_read_cr(4) | CR4_OSXSAVE), NO_FAULT);
    assert_true(word(1, 0, ECX) & BIT(27));
    assert_int_equal(guest_write_cr(4, guest_read_cr(4) & ~(u64)CR4_OSXSAVE), NO_FAULT);
    assert_false(word(1, 0, ECX) & BIT(27));
}

/* SDM 1 "XSAVE-Managed State": 512 bytes, a header of 64, and AVX at its offset if XCR0 has it. */
static void test_xsave_sizes(void **state)
{
    static const struct {
        u64 xcr0;
        u32 bytes;
    } sizes[] = { { 1, 576 }, { 3, 576 }, { 7, 832 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        rig.vcpu->xcr0 = sizes[i].xcr0;
        assert_int_equal(word(0xD, 0, EAX), 7);
        assert_int_equal(word(0xD, 0, EBX), sizes[i].bytes);
        assert_int_equal(word(0xD, 0, ECX), 832);
        assert_int_equal(word(0xD, 0, EDX), 0);
        assert_int_equal(word(0xD, 1, EBX), sizes[i].bytes); /* XSAVEC's form */
        assert_int_equal(word(0xD, 1, ECX) | word(0xD, 1, EDX), 0);
        assert_int_equal(word(0xD, 2, EAX), 256);
        assert_int_equal(word(0xD, 2, EBX), 576);
    }
    for (u32 subleaf = 3; subleaf < 64; subleaf++)
        assert_nothing(0xD, subleaf);
}

static void without_avx(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == 1)
        r->ecx &= ~(u32)BIT(28);
}

static void without_xsave(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == 1)
        r->ecx &= ~(u32)BIT(26);
}

static void test_xsave_without_avx(void **state)
{
    (void)state;
    rig.vm.identity.cpuid = guest_rig_policy(without_avx);
    rig.vcpu->xcr0 = 3;
    assert_int_equal(word(0xD, 0, EAX), 3);
    assert_int_equal(word(0xD, 0, EBX), 576);
    assert_int_equal(word(0xD, 0, ECX), 576);
    assert_nothing(0xD, 2);
    rig.vm.identity.cpuid = guest_rig_policy(without_xsave);
    for (u32 subleaf = 0; subleaf < 3; subleaf++)
        assert_nothing(0xD, subleaf);
}

/* APM 3 "Function 8000_0001h": EDX repeats bits of function 1. Intel has zeros there. */
#define REPEATED 0x0183F3FFu

static void intel(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == 0x80000001)
        r->edx &= ~REPEATED;
}

static void without_pge(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == 1)
        r->edx &= ~(u32)BIT(13);
}

static void test_repeated_features(void **state)
{
    void (*const processors[])(u32, u32, struct cpuid_regs *) = { NULL, without_pge };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(processors); i++) {
        rig.vm.identity.cpuid = guest_rig_policy(processors[i]);
        assert_int_equal(word(0x80000001, 0, EDX) & REPEATED, word(1, 0, EDX) & REPEATED);
    }
    rig.vm.identity.cpuid = guest_rig_policy(intel);
    assert_int_equal(word(0x80000001, 0, EDX) & REPEATED, 0);
}

/* APM 3 "Function 8000_0005h" and "8000_0006h". Linux divides by the ways of the level-1 instruction cache on AMD's
 * family 15h. */
static u32 last_extended;

static void with_caches(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    (void)subleaf;
    if (leaf == 0x80000000)
        r->eax = last_extended;
    if (leaf == 0x80000005)
        *r = (struct cpuid_regs){ 0xFF18FF18, 0xFF20FF20, 0x10040140, 0x40020140 };
    if (leaf == 0x80000006)
        *r = (struct cpuid_regs){ 0x64006400, 0x64004200, 0x08008140, 0x0040C140 };
}

static void test_caches(void **state)
{
    (void)state;
    last_extended = 0x80000008;
    rig.vm.identity.cpuid = guest_rig_policy(with_caches);
    assert_int_equal(word(0x80000005, 0, ECX), 0x10040140);
    assert_int_equal(word(0x80000005, 0, EDX), 0x40020140);
    assert_int_equal(word(0x80000006, 0, ECX), 0x08008140);
    assert_int_equal(word(0x80000006, 0, EDX), 0); /* no leaf says who shares a level-3 cache */
    last_extended = 0x80000004;                    /* then the processor answers anything */
    rig.vm.identity.cpuid = guest_rig_policy(with_caches);
    assert_nothing(0x80000005, 0);
    assert_nothing(0x80000006, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ranges),
        TEST(test_names),
        TEST(test_topology),
        TEST(test_not_shown),
        TEST(test_always_shown),
        TEST(test_osxsave),
        TEST(test_xsave_sizes),
        TEST(test_xsave_without_avx),
        TEST(test_repeated_features),
        TEST(test_caches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/exit.c hv/exit_cr.c hv/exit_io.c hv/exit_npf.c hv/cpuid.c hv/cpuid_policy.c hv/msr.c hv/vcpu.c */
/* sources: hv/inject.c hv/fetch.c hv/linear.c hv/insn.c hv/insn_opcodes.c hv/insn_exec.c hv/bus.c hv/guest_tsc.c */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c host/trace.c */
/* sources: mm/guest_missing.c hv/page_wait.c */
/* sources: tests/unit/guest_rig.c tests/unit/processor.c tests/unit/ram.c tests/unit/stubs.c */
/* A guest writes control registers: what SDM 3A "Control Registers" and SDM 2 "MOV--Move to/from Control Registers"
 * refuse is #GP and changes nothing, what they allow is there afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/fixup.h"
#include "host/msr_index.h"
#include "tests/unit/guest_rig.h"
#include "tests/unit/processor.h"

#define CR0_LONG (CR0_PE | CR0_ET | CR0_NE | CR0_PG) /* of the rig's guest */
#define PDPTES 0x3000

static void assert_refuses(u8 cr, u64 value)
{
    struct vcpu_state before = *rig.state;

    assert_int_equal(guest_write_cr(cr, value), VECTOR_GP);
    assert_memory_equal(rig.state, &before, sizeof(before));
}

static void assert_takes(u8 cr, u64 value, u64 reads)
{
    assert_int_equal(guest_write_cr(cr, value), NO_FAULT);
    assert_int_equal(guest_read_cr(cr), reads);
}

/* A 32-bit guest without paging. */
static void protected_mode(void)
{
    rig.state->cr0 = CR0_PE | CR0_ET;
    rig.state->cr4 = rig.state->efer = 0;
    rig.state->seg[SEG_CS].attr = 0xC09B;
}

static void test_cr0(void **state)
{
    (void)state;
    assert_refuses(0, CR0_LONG & ~(u64)CR0_PE);
    assert_refuses(0, CR0_LONG | CR0_NW);
    assert_refuses(0, CR0_LONG & ~(u64)CR0_PG); /* in 64-bit code */
    for (unsigned bit = 32; bit < 64; bit++)
        assert_refuses(0, CR0_LONG | BIT(bit));
    for (unsigned bit = 0; bit < 32; bit++) {
        bool defined = BIT(bit) & (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_CD | CR0_PG);

        if (BIT(bit) != CR0_NW)
            assert_takes(0, CR0_LONG | BIT(bit), CR0_LONG | (defined ? BIT(bit) : 0));
    }
    assert_takes(0, CR0_LONG | CR0_CD | CR0_NW, CR0_LONG | CR0_CD | CR0_NW);
    assert_takes(0, CR0_LONG & ~(u64)CR0_ET, CR0_LONG); /* fixed to 1 */
}

/* Into long mode and out of it: SDM 3A "Initializing IA-32e Mode". */
static void test_long_mode(void **state)
{
    u64 efer;

    (void)state;
    protected_mode();
    rig.state->efer = EFER_LME;
    assert_refuses(0, CR0_LONG); /* without PAE */
    rig.state->cr4 = CR4_PAE;
    rig.state->seg[SEG_CS].attr |= SEG_L;
    assert_refuses(0, CR0_LONG);
    rig.state->seg[SEG_CS].attr &= ~SEG_L;
    assert_takes(0, CR0_LONG, CR0_LONG);
    assert_int_equal(guest_rdmsr(MSR_EFER, &efer), NO_FAULT);
    assert_int_equal(efer, EFER_LME | EFER_LMA);
    assert_takes(0, CR0_PE | CR0_ET, CR0_PE | CR0_ET); /* from compatibility mode */
    assert_int_equal(guest_rdmsr(MSR_EFER, &efer), NO_FAULT);
    assert_int_equal(efer, EFER_LME);
    rig.state->efer = rig.state->cr4 = 0;
    assert_takes(0, CR0_LONG, CR0_LONG);
    assert_int_equal(guest_rdmsr(MSR_EFER, &efer), NO_FAULT);
    assert_int_equal(efer, 0);
}

/* SDM 3A "Control Registers": which CPUID bit allows which bit of CR4. */
static const struct {
    u64 cr4;
    u32 leaf;
    char reg;
    u8 bit;
} by_feature[] = {
    { CR4_VME, 1, 'd', 1 },         { CR4_PVI, 1, 'd', 1 },      { CR4_TSD, 1, 'd', 4 },  { CR4_DE, 1, 'd', 2 },
    { CR4_PSE, 1, 'd', 3 },         { CR4_MCE, 1, 'd', 7 },      { CR4_PGE, 1, 'd', 13 }, { CR4_OSFXSR, 1, 'd', 24 },
    { CR4_OSXMMEXCPT, 1, 'd', 25 }, { CR4_OSXSAVE, 1, 'c', 26 }, { CR4_UMIP, 7, 'c', 2 }, { CR4_FSGSBASE, 7, 'b', 0 },
    { CR4_SMEP, 7, 'b', 7 },        { CR4_SMAP, 7, 'b', 20 },
};
static unsigned lacks;

static void without_feature(u32 leaf, u32 subleaf, struct cpuid_regs *r)
{
    u32 *reg = by_feature[lacks].reg == 'b' ? &r->ebx : by_feature[lacks].reg == 'c' ? &r->ecx : &r->edx;

    (void)subleaf;
    if (leaf == by_feature[lacks].leaf)
        *reg &= ~(1U << by_feature[lacks].bit);
}

static void test_cr4(void **state)
{
    u64 possible = CR4_PAE | CR4_PCE;

    (void)state;
    assert_refuses(4, 0); /* PAE off in long mode */
    for (unsigned i = 0; i < ARRAY_SIZE(by_feature); i++)
        possible |= by_feature[i].cr4;
    for (unsigned bit = 0; bit < 64; bit++) {
        if (possible & BIT(bit))
            assert_takes(4, CR4_PAE | BIT(bit), CR4_PAE | BIT(bit));
        else
            assert_refuses(4, CR4_PAE | BIT(bit));
    }
    for (lacks = 0; lacks < ARRAY_SIZE(by_feature); lacks++) {
        rig.vm.identity.cpuid = guest_rig_policy(without_feature);
        assert_takes(4, CR4_PAE, CR4_PAE);
        assert_refuses(4, CR4_PAE | by_feature[lacks].cr4);
    }
}

/* SDM 3A "Paging": bits above the width are reserved in long mode, and no 32-bit guest can name them. */
static void test_cr3(void **state)
{
    unsigned width = guest_cpuid(0x80000008, 0).eax & 0xFF;

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        if (bit < width)
            assert_takes(3, BIT(bit), BIT(bit));
        else
            assert_refuses(3, BIT(bit));
    }
    protected_mode();
    assert_takes(3, 0xFFFFF018, 0xFFFFF018);
}

static void test_cr8(void **state)
{
    (void)state;
    for (u64 value = 0; value < 16; value++)
        assert_takes(8, value, value);
    for (unsigned bit = 4; bit < 64; bit++) {
        assert_int_equal(guest_write_cr(8, BIT(bit)), VECTOR_GP);
        assert_int_equal(rig.cr8, 15);
    }
}

static void pdptes_put(u64 first, u64 last)
{
    const u64 entries[4] = { first, 0, 0, last };

    guest_poke(PDPTES, entries, sizeof(entries));
}

/* SDM 3A "PAE Paging": the processor loads four entries when CR3 is written, when paging or PAE is turned on, and when
 * CR4's paging bits change. A present one with a reserved bit is #GP; one that is not present may hold anything. */
static void test_pae_entries(void **state)
{
    static const u8 reserved[] = { 1, 2, 5, 6, 7, 8, 40, 51, 52, 62, 63 };

    (void)state;
    protected_mode();
    rig.state->cr4 = CR4_PAE;
    rig.state->cr3 = PDPTES;
    pdptes_put(0x5001, ~1ULL);
    assert_takes(0, CR0_LONG, CR0_LONG);
    assert_int_equal(rig.state->pdpte[0], 0x5001);
    for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (reserved[i] == 5) /* QEMU's accessed bit, which guest_pdptes_read forgives */
            continue;
        pdptes_put(0x5001, 0x7001 | BIT(reserved[i]));
        assert_refuses(3, PDPTES);
        assert_refuses(4, CR4_PAE | CR4_PGE);
        assert_refuses(4, CR4_PAE | CR4_PSE);
        assert_refuses(4, CR4_PAE | CR4_SMEP);
        assert_takes(0, CR0_LONG | CR0_TS, CR0_LONG | CR0_TS); /* this write does not load them */
        assert_refuses(0, CR0_LONG | CR0_CD);
        assert_int_equal(rig.state->pdpte[3], ~1ULL & rig.state->pdpte[3]);
    }
    pdptes_put(0x6001, 0x7001);
    assert_takes(4, CR4_PAE | CR4_TSD, CR4_PAE | CR4_TSD); /* nor does this one */
    assert_int_equal(rig.state->pdpte[0], 0x5001);
    assert_takes(3, PDPTES, PDPTES);
    assert_int_equal(rig.state->pdpte[0], 0x6001);
    assert_int_equal(rig.state->pdpte[3], 0x7001);
    assert_refuses(3, 0xD0000000); /* not RAM: reads as ones */
}

/* SDM 2 "XSETBV". */
static void test_xcr0(void **state)
{
    (void)state;
    for (u64 value = 0; value < 16; value++) {
        bool legal = value == 1 || value == 3 || value == 7;

        processor.xcr0 = 0x55;
        assert_int_equal(guest_xsetbv(0, value), legal ? NO_FAULT : VECTOR_GP);
        assert_int_equal(processor.xcr0, legal ? value : 0x55);
    }
    assert_int_equal(guest_xsetbv(1, 1), VECTOR_GP);
    for (unsigned bit = 3; bit < 64; bit++)
        assert_int_equal(guest_xsetbv(0, 1 | BIT(bit)), VECTOR_GP);
    rig.vm.identity.cpuid.xcr0 = 3; /* the guest was shown no AVX */
    assert_int_equal(guest_xsetbv(0, 7), VECTOR_GP);
    assert_int_equal(guest_xsetbv(0, 3), NO_FAULT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guest_rig_setup, guest_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cr0), TEST(test_long_mode),   TEST(test_cr4),  TEST(test_cr3),
        TEST(test_cr8), TEST(test_pae_entries), TEST(test_xcr0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's page tables in software: every paging mode, every reason to fault with its error code, accessed and dirty
 * bits. */
/* sources: mm/guest_walk.c mm/guest_mem.c mm/guest_missing.c mm/dirty.c mm/npt.c mm/npt_log.c */
/* sources: host/frame.c tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/x86.h"
#include "host/frame.h"
#include "mm/guest_walk.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define OK 0xFFFFFFFFu /* no fault */

/* Where the tests keep their tables, by level. */
#define L4 MiB(1)
#define L3 (MiB(1) + KiB(4))
#define L2 (MiB(1) + KiB(8))
#define L1 (MiB(1) + KiB(12))

#define PWU (PTE_P | PTE_W | PTE_U)

static struct npt npt;
static struct guest_mem mem;
static struct walk_context ctx;
static gpa_t found;

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(16));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(8)), 0);
    ctx = (struct walk_context){ .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = L4 };
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    guest_mem_fini(&mem);
    npt_fini(&npt);
    ram_fini();
    return 0;
}

static void put(gpa_t table, unsigned index, u64 entry)
{
    unsigned bytes = ctx.cr4 & CR4_PAE ? 8 : 4;

    assert_int_equal(guest_write(&mem, table + index * bytes, &entry, bytes), 0);
}

static u64 get(gpa_t table, unsigned index)
{
    unsigned bytes = ctx.cr4 & CR4_PAE ? 8 : 4;
    u64 entry = 0;

    assert_int_equal(guest_read(&mem, table + index * bytes, &entry, bytes), 0);
    return entry;
}

/* The error code of the access, or OK with the address in `found`. */
static u32 walk(gva_t gva, enum walk_access access)
{
    u32 error = OK;
    int rc = guest_walk(&mem, &ctx, gva, access, &found, &error);

    assert_int_equal(rc, error == OK ? 0 : -EFAULT);
    return error;
}

/* The linear address whose page is entry [1][2][3][4] of the four levels. */
#define GVA64 (1ULL << 39 | 2ULL << 30 | 3ULL << 21 | 4ULL << 12)

static void long_mode(u64 leaf)
{
    ctx.cr4 = CR4_PAE;
    ctx.efer = EFER_LME | EFER_LMA | EFER_NXE;
    put(L4, 1, L3 | PWU);
    put(L3, 2, L2 | PWU);
    put(L2, 3, L1 | PWU);
    put(L1, 4, leaf);
}

static void test_no_paging(void **unused)
{
    (void)unused;
    ctx.cr0 = CR0_PE;
    assert_int_equal(walk(0x100001234, WALK_WRITE), OK);
    assert_int_equal(found, 0x1234);
}

static void test_32bit(void **unused)
{
    gva_t gva = 5ULL << 22 | 7ULL << 12 | 0x123;

    (void)unused;
    put(L4, 5, L1 | PWU);
    put(L1, 7, 0xABCDE000 | PWU);
    assert_int_equal(walk(gva, WALK_READ), OK);
    assert_int_equal(found, 0xABCDE123);
    assert_int_equal(walk(gva | 1ULL << 32, WALK_READ), OK);
    assert_int_equal(walk(6ULL << 22, WALK_READ), 0);
    assert_int_equal(walk(gva + PAGE_SIZE, WALK_WRITE), PF_WRITE);

    /* No NX bit and no SMEP: the error code doesn't tell a fetch. */
    assert_int_equal(walk(gva + PAGE_SIZE, WALK_FETCH), 0);
    ctx.cr4 = CR4_SMEP;
    assert_int_equal(walk(gva + PAGE_SIZE, WALK_FETCH), PF_FETCH);
}

static void test_32bit_large_pages(void **unused)
{
    gva_t gva = 5ULL << 22 | 0x312345;

    (void)unused;
    put(L4, 5, 0x00C00000 | 0x9AULL << 13 | PTE_PS | PWU);
    ctx.cr4 = CR4_PSE;
    assert_int_equal(walk(gva, WALK_WRITE), OK);
    assert_int_equal(found, 0x9A00C00000 + 0x312345);
    assert_int_equal(get(L4, 5) & (PTE_A | PTE_D), PTE_A | PTE_D);
    put(L4, 5, 0x00E00000 | PTE_PS | PWU);
    assert_int_equal(walk(gva, WALK_READ), PF_PRESENT | PF_RSVD);

    /* Without PSE the bit means nothing, and the entry points to a table. */
    ctx.cr4 = 0;
    put(L4, 5, L1 | PTE_PS | PWU);
    put(L1, 0x312, 0x5000 | PWU);
    assert_int_equal(walk(gva, WALK_READ), OK);
    assert_int_equal(found, 0x5345);
}

static void test_pae(void **unused)
{
    gva_t gva = 3ULL << 30 | 5ULL << 21 | 7ULL << 12 | 0x123;

    (void)unused;
    ctx.cr4 = CR4_PAE;
    ctx.cr3 = 0; /* the registers count, not memory */
    ctx.pdpte[3] = L2 | PTE_P;
    put(L2, 5, L1 | PWU);
    put(L1, 7, 0x9ABCDE0000 | PWU);
    assert_int_equal(walk(gva, WALK_WRITE), OK);
    assert_int_equal(found, 0x9ABCDE0123);
    assert_int_equal(walk(2ULL << 30, WALK_WRITE), PF_WRITE);

    put(L2, 6, 0x8000600000 | PTE_PS | PWU);
    assert_int_equal(walk(gva + MiB(2), WALK_READ), OK);
    assert_int_equal(found, 0x8000600000 + 0x7123);
    put(L2, 6, 0x8000602000 | PTE_PS | PWU);
    assert_int_equal(walk(gva + MiB(2), WALK_READ), PF_PRESENT | PF_RSVD);

    /* Bits 62..52 are ignored in long mode and reserved here. */
    put(L1, 7, 0x5000 | BIT(52) | PWU);
    assert_int_equal(walk(gva, WALK_READ), PF_PRESENT | PF_RSVD);
    put(L1, 7, 0x5000 | PTE_NX | PWU);
    assert_int_equal(walk(gva, WALK_READ), PF_PRESENT | PF_RSVD);
    ctx.efer = EFER_NXE;
    assert_int_equal(walk(gva, WALK_READ), OK);
    assert_int_equal(walk(gva, WALK_FETCH), PF_PRESENT | PF_FETCH);
}

static void test_long_mode(void **unused)
{
    (void)unused;
    long_mode(0xFEDCBA9000 | PWU | BIT(52) | BIT(62));
    assert_int_equal(walk(GVA64 + 0x678, WALK_READ), OK);
    assert_int_equal(found, 0xFEDCBA9678);

    /* The upper half: entry 511 of the root. */
    put(L4, 511, L3 | PWU);
    assert_int_equal(walk(0xFFFFFF8000000000 | (GVA64 & BITS(38, 0)), WALK_READ), OK);
    assert_int_equal(found, 0xFEDCBA9000);

    put(L2, 3, 0x8000600000 | BIT(12) | PTE_PS | PWU); /* PAT is not an address bit */
    assert_int_equal(walk(GVA64 + 0x678, WALK_READ), OK);
    assert_int_equal(found, 0x8000600000 + 0x4678);

    put(L3, 2, 0x8040000000 | PTE_PS | PWU);
    assert_int_equal(walk(GVA64 + 0x678, WALK_READ), OK);
    assert_int_equal(found, 0x8040000000 + 0x604678);
}

static void test_long_mode_reserved_bits(void **unused)
{
    static const struct {
        gpa_t table;
        unsigned index;
        u64 entry;
    } bad[] = {
        { L4, 1, L3 | PWU | PTE_PS },      { L4, 1, L3 | PWU | BIT(40) },     { L3, 2, L2 | PWU | BIT(51) },
        { L3, 2, PWU | PTE_PS | BIT(13) }, { L3, 2, PWU | PTE_PS | BIT(29) }, { L2, 3, PWU | PTE_PS | BIT(20) },
        { L1, 4, PWU | BIT(45) },
    };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        long_mode(0x5000 | PWU);
        assert_int_equal(walk(GVA64, WALK_WRITE), OK);
        put(bad[i].table, bad[i].index, bad[i].entry);
        assert_int_equal(walk(GVA64, WALK_WRITE), PF_PRESENT | PF_RSVD | PF_WRITE);
    }

    /* NX is reserved while EFER.NXE is off, and then no fetch is told either. */
    long_mode(0x5000 | PWU | PTE_NX);
    ctx.efer &= ~EFER_NXE;
    ctx.cpl = 3;
    assert_int_equal(walk(GVA64, WALK_FETCH), PF_PRESENT | PF_RSVD | PF_USER);
}

static void test_absent_at_each_level(void **unused)
{
    static const struct {
        gpa_t table;
        unsigned index;
    } at[] = { { L4, 1 }, { L3, 2 }, { L2, 3 }, { L1, 4 } };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
        long_mode(0x5000 | PWU);
        put(at[i].table, at[i].index, ~PTE_P); /* whatever else it says */
        assert_int_equal(walk(GVA64, WALK_READ), 0);
        assert_int_equal(walk(GVA64, WALK_FETCH), PF_FETCH);
    }
}

static void test_write_rights(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PWU);
    put(L3, 2, L2 | PTE_P | PTE_U); /* one level without W is enough */
    assert_int_equal(walk(GVA64, WALK_READ), OK);
    assert_int_equal(walk(GVA64, WALK_WRITE), PF_PRESENT | PF_WRITE);
    ctx.cr0 &= ~CR0_WP;
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    ctx.cpl = 3;
    assert_int_equal(walk(GVA64, WALK_WRITE), PF_PRESENT | PF_WRITE | PF_USER);
}

static void test_user_rights(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PTE_P | PTE_W);
    assert_int_equal(walk(GVA64, WALK_READ), OK);
    ctx.cpl = 3;
    assert_int_equal(walk(GVA64, WALK_READ), PF_PRESENT | PF_USER);
    put(L1, 4, 0x5000 | PWU);
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    put(L4, 1, L3 | PTE_P | PTE_W);
    assert_int_equal(walk(GVA64, WALK_FETCH), PF_PRESENT | PF_USER | PF_FETCH);
}

static void test_no_execute(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PWU);
    put(L2, 3, L1 | PWU | PTE_NX);
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    assert_int_equal(walk(GVA64, WALK_FETCH), PF_PRESENT | PF_FETCH);
}

static void test_smep_and_smap(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PWU);
    ctx.cr4 |= CR4_SMEP;
    assert_int_equal(walk(GVA64, WALK_FETCH), PF_PRESENT | PF_FETCH);
    assert_int_equal(walk(GVA64, WALK_READ), OK);
    ctx.cr4 ^= CR4_SMEP | CR4_SMAP;
    assert_int_equal(walk(GVA64, WALK_FETCH), OK);
    assert_int_equal(walk(GVA64, WALK_READ), PF_PRESENT);
    assert_int_equal(walk(GVA64, WALK_WRITE), PF_PRESENT | PF_WRITE);
    ctx.rflags = RFLAGS_AC;
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);

    /* Neither concerns user accesses and supervisor pages. */
    ctx.rflags = 0;
    ctx.cr4 |= CR4_SMEP;
    ctx.cpl = 3;
    assert_int_equal(walk(GVA64, WALK_READ), OK);
    assert_int_equal(walk(GVA64, WALK_FETCH), OK);
    ctx.cpl = 0;
    put(L1, 4, 0x5000 | PTE_P | PTE_W);
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    assert_int_equal(walk(GVA64, WALK_FETCH), OK);
}

static void test_accessed_and_dirty(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PWU);
    assert_int_equal(walk(GVA64, WALK_READ), OK);
    assert_int_equal(get(L4, 1), L3 | PWU | PTE_A);
    assert_int_equal(get(L3, 2), L2 | PWU | PTE_A);
    assert_int_equal(get(L2, 3), L1 | PWU | PTE_A);
    assert_int_equal(get(L1, 4), 0x5000 | PWU | PTE_A);
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    assert_int_equal(get(L2, 3), L1 | PWU | PTE_A);
    assert_int_equal(get(L1, 4), 0x5000 | PWU | PTE_A | PTE_D);

    /* Nothing is written that says nothing new, and a refused write leaves no dirty bit. */
    mem.bytes_written = 0;
    assert_int_equal(walk(GVA64, WALK_WRITE), OK);
    assert_int_equal(mem.bytes_written, 0);
    put(L1, 4, 0x5000 | PTE_P);
    assert_int_equal(walk(GVA64, WALK_WRITE), PF_PRESENT | PF_WRITE);
    assert_int_equal(get(L1, 4) & PTE_D, 0);
}

static void test_32bit_accessed_and_dirty_leave_the_neighbour_alone(void **unused)
{
    (void)unused;
    put(L4, 0, L1 | PWU);
    put(L1, 0, 0x5000 | PWU);
    put(L1, 1, 0x6000 | PWU);
    assert_int_equal(walk(PAGE_SIZE, WALK_WRITE), OK);
    assert_int_equal(get(L1, 0), 0x5000 | PWU);
    assert_int_equal(get(L1, 1), 0x6000 | PWU | PTE_A | PTE_D);
}

/* QEMU marks the top entries of PAE paging as accessed; a processor that loads them takes no such bit. */
static void test_pae_top_entries(void **unused)
{
    u64 pdpte[4];

    (void)unused;
    ctx.cr4 = CR4_PAE;
    for (unsigned i = 0; i < 4; i++)
        put(L4 + 32, i, L1 | PTE_P | PTE_A | i << 9);
    assert_int_equal(guest_pdptes_read(&mem, L4 + 32 + 7, pdpte), 0); /* bits 4 to 0 of CR3 are no address */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pdpte[i], L1 | PTE_P | i << 9);
    assert_int_equal(guest_pdptes_read(&mem, MiB(64), pdpte), -EFAULT);
}

static void test_tables_outside_ram_read_all_ones(void **unused)
{
    (void)unused;
    long_mode(0x5000 | PWU);
    ctx.cr3 = MiB(64);
    assert_int_equal(walk(GVA64, WALK_READ), PF_PRESENT | PF_RSVD);

    /* 32-bit paging has no reserved bit in a 4 KiB entry: all ones is a page. */
    ctx.cr4 = 0;
    ctx.efer = 0;
    assert_int_equal(walk(0x123, WALK_WRITE), OK);
    assert_int_equal(found, 0xFFFFF123);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_paging),
        TEST(test_32bit),
        TEST(test_32bit_large_pages),
        TEST(test_pae),
        TEST(test_pae_top_entries),
        TEST(test_long_mode),
        TEST(test_long_mode_reserved_bits),
        TEST(test_absent_at_each_level),
        TEST(test_write_rights),
        TEST(test_user_rights),
        TEST(test_no_execute),
        TEST(test_smep_and_smap),
        TEST(test_accessed_and_dirty),
        TEST(test_32bit_accessed_and_dirty_leave_the_neighbour_alone),
        TEST(test_tables_outside_ram_read_all_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

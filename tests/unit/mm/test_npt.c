/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables in both formats, against a flat array (what should be mapped) and against a second walker that
 * reads the tables as the manuals tell the processor to.
 */
/* sources: mm/npt.c mm/npt_log.c host/frame.c tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/frame.h"
#include "mm/npt_entry.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define ADDRESS BITS(51, 12)

static struct npt npt;

static void start(void **format, u64 ram)
{
    ram_init_full(ram);
    assert_int_equal(npt_init(&npt, *format), 0);
}

/* All tables, and nothing else, must come back. */
static int teardown(void **unused)
{
    (void)unused;
    npt_fini(&npt);
    assert_int_equal(ram_free(), frame_stats().total);
    ram_fini();
    return 0;
}

/* What the processor does with gpa; sets A and D as it does. Returns the leaf's entry, NULL on a nested page fault. */
static u64 *hardware_walk(gpa_t gpa, unsigned access, hpa_t *address)
{
    bool ept = npt.format.exec != 0;
    u64 *table = frame_window(npt.root);

    for (unsigned level = 4;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        u64 *entry = &table[gpa >> shift & 511], e = *entry;
        bool leaf = level == 1 || (level < 4 && (e & BIT(7)));
        unsigned rights = ept ? e & 7 : (e & 1) | (e & 2) | (e & BIT(63) ? 0 : 4);

        if (ept ? (e & 7) == 0 : (e & 1) == 0)
            return NULL;
        if (ept) /* else misconfigured: write without read, memory type of a leaf, reserved bits of a table */
            assert_true((rights & 1) && (leaf ? (e >> 3 & 7) == 6 : (e & BITS(7, 3)) == 0));
        else
            assert_true(e & BIT(2));
        assert_true((e & BITS(62, 52) & ~npt.format.exec_large) == 0);
        if (npt.format.exec_large != npt.format.exec) /* what remembers X of a large page is nowhere else */
            assert_true(leaf && level > 1 ? !(e & npt.format.exec) : !(e & npt.format.exec_large));
        if (access & ~rights)
            return NULL;
        *entry |= npt.format.accessed;
        if (leaf) {
            assert_int_equal(e & ADDRESS & (BIT(shift) - 1), 0);
            if (access & NPT_W)
                *entry |= npt.format.dirty;
            *address = (e & ADDRESS) | (gpa & (BIT(shift) - 1));
            return entry;
        }
        table = frame_window(e & ADDRESS);
    }
}

/* The same, with what the hypervisor does about a fetch from a large page. */
static u64 *walk_or_open(gpa_t gpa, unsigned access, hpa_t *address)
{
    u64 *entry = hardware_walk(gpa, access, address);

    if (entry || !(access & NPT_X) || npt_exec_open(&npt, gpa) != 1)
        return entry;
    return hardware_walk(gpa, access, address);
}

static struct npt_leaf lookup(gpa_t gpa)
{
    struct npt_leaf leaf = { 0 };

    assert_true(npt_lookup(&npt, gpa, &leaf));
    return leaf;
}

static void test_largest_pages_are_used(void **format)
{
    struct npt_leaf leaf;

    start(format, MiB(1));
    assert_int_equal(
        npt_map(&npt, GiB(1) - MiB(2) - KiB(4), GiB(5) - MiB(2) - KiB(4), GiB(1) + MiB(2) + KiB(8), NPT_RWX), 0);
    assert_int_equal(lookup(GiB(1) - MiB(2) - KiB(4)).page_size, KiB(4));
    assert_int_equal(lookup(GiB(1) - 1).page_size, MiB(2));
    leaf = lookup(GiB(1) + 12345);
    assert_int_equal(leaf.page_size, GiB(1));
    assert_int_equal(leaf.frame, GiB(5));
    assert_int_equal(leaf.prot, NPT_RWX);
    assert_int_equal(lookup(GiB(2)).page_size, KiB(4));
    /* Root, one PDPT, page directories below 1 GiB and above 2 GiB, a page table in each. */
    assert_int_equal(npt.tables, 6);
    assert_int_equal(npt.generation, 0);
}

static void test_no_1g_pages_where_the_processor_has_none(void **format)
{
    struct npt_format small = *(const struct npt_format *)*format;
    void *given = &small;

    small.has_1g = false;
    start(&given, MiB(1));
    assert_int_equal(npt_map(&npt, 0, 0, GiB(1), NPT_RWX), 0);
    assert_int_equal(lookup(MiB(777)).page_size, MiB(2));
}

static void test_unaligned_frames_need_small_pages(void **format)
{
    start(format, MiB(8));
    assert_int_equal(npt_map(&npt, GiB(1), GiB(1) + MiB(2), GiB(1), NPT_RWX), 0);
    assert_int_equal(lookup(GiB(1)).page_size, MiB(2));
    assert_int_equal(npt_map(&npt, GiB(4), KiB(4), MiB(4), NPT_RWX), 0);
    assert_int_equal(lookup(GiB(4)).page_size, KiB(4));
    assert_int_equal(lookup(GiB(4) + MiB(3)).frame, MiB(3) + KiB(4));
}

static void test_nothing_is_mapped_twice(void **format)
{
    start(format, MiB(1));
    assert_int_equal(npt_map(&npt, MiB(2), MiB(2), MiB(2), NPT_RWX), 0);
    assert_int_equal(npt_map(&npt, MiB(3), 0, KiB(4), NPT_RWX), -EEXIST);
    assert_int_equal(npt_map(&npt, 0, 0, GiB(1), NPT_RWX), -EEXIST);
    assert_int_equal(lookup(MiB(3)).frame, MiB(2));
}

/* The A and D bits of the page at gpa. */
static u64 hardware_bits(gpa_t gpa)
{
    unsigned level;

    return entry_read(npt_entry_find(&npt, gpa, &level)) & (npt.format.accessed | npt.format.dirty);
}

static void test_split_keeps_translation_rights_and_bits(void **format)
{
    hpa_t address;

    start(format, MiB(1));
    assert_int_equal(npt_map(&npt, GiB(1), GiB(3), GiB(1), NPT_R | NPT_W), 0);
    assert_non_null(hardware_walk(GiB(1), NPT_R | NPT_W, &address));
    assert_int_equal(npt_unmap(&npt, GiB(1) + MiB(4), KiB(4)), 0);
    for (u64 size = MiB(2); size >= KiB(4); size /= 512) {
        gpa_t beside = GiB(1) + (size == MiB(2) ? MiB(7) : MiB(5));
        struct npt_leaf leaf = lookup(beside);

        assert_int_equal(leaf.page_size, size);
        assert_int_equal(leaf.frame, align_down(beside + GiB(2), size));
        assert_int_equal(leaf.prot, NPT_R | NPT_W);
        assert_int_equal(hardware_bits(beside), npt.format.accessed | npt.format.dirty);
    }
}

static void test_generation_counts_lost_rights_only(void **format)
{
    u64 before;

    start(format, MiB(1));
    assert_int_equal(npt_map(&npt, 0, 0, MiB(4), NPT_R), 0);
    assert_int_equal(npt_log_open(&npt, 0, NPT_TRACK_RIGHTS), KiB(4));
    assert_int_equal(npt_unmap(&npt, GiB(9), MiB(1)), 0);
    assert_int_equal(npt.generation, 0);

    before = npt.generation;
    assert_int_equal(npt_log_arm(&npt, KiB(8), KiB(4), NPT_TRACK_RIGHTS, false), 0);
    assert_true(npt.generation > before);
    before = npt.generation;
    assert_int_equal(npt_unmap(&npt, MiB(2), KiB(4)), 0);
    assert_true(npt.generation > before);
}

/* The first look tells nothing of the parts of a large page, the second one all. D bits and rights stay. */
static void test_which_pages_are_used(void **format)
{
    u64 used[2 * 512 / 64] = { 0 }, tables;
    hpa_t address;

    start(format, MiB(1));
    assert_int_equal(npt_map(&npt, GiB(1), GiB(3), MiB(6), NPT_R | NPT_W), 0);
    tables = npt.tables;
    assert_non_null(hardware_walk(GiB(1) + MiB(3), NPT_R | NPT_W, &address));
    assert_int_equal(npt_log_used(&npt, GiB(1), MiB(6), NULL, 0), 0);
    assert_int_equal(npt.tables, tables + 1); /* none for what is not used */
    assert_int_equal(npt.generation, 1);
    for (unsigned page = 512; page < 1024; page += 511)
        assert_non_null(hardware_walk(GiB(1) + page * PAGE_SIZE, page % 2 ? NPT_R : NPT_R | NPT_W, &address));
    for (unsigned look = 1; look <= 2; look++) {
        assert_int_equal(npt_log_used(&npt, GiB(1) + MiB(2), MiB(4), used, 0), 0);
        assert_int_equal(npt.generation, 2); /* the second look finds none */
        for (unsigned i = 0; i < ARRAY_SIZE(used); i++)
            assert_int_equal(used[i], i == 0 ? BIT(0) : i == 7 ? BIT(63) : 0);
    }
    assert_int_equal(hardware_bits(GiB(1) + MiB(2)), npt.format.dirty);
    assert_int_equal(lookup(GiB(1) + MiB(2)).prot, NPT_R | NPT_W);
}

/* A page of 1 GiB is split as far as it must be. */
static void test_which_of_a_gib_are_used(void **format)
{
    u64 *used = calloc(GiB(1) / PAGE_SIZE / 64, sizeof(u64));
    hpa_t address;

    start(format, MiB(8));
    assert_int_equal(npt_map(&npt, GiB(1), GiB(3), GiB(1), NPT_R | NPT_W), 0);
    assert_non_null(hardware_walk(GiB(1), NPT_R, &address));
    assert_int_equal(npt_log_used(&npt, GiB(1), GiB(1), used, 0), 0);
    assert_int_equal(lookup(GiB(1) + MiB(7)).page_size, PAGE_SIZE);
    assert_non_null(hardware_walk(GiB(1) + MiB(7), NPT_R, &address));
    assert_int_equal(npt_log_used(&npt, GiB(1), GiB(1), used, 0), 0);
    for (unsigned i = 0; i < GiB(1) / PAGE_SIZE / 64; i++)
        assert_int_equal(used[i], i == MiB(7) / PAGE_SIZE / 64 ? BIT(MiB(7) / PAGE_SIZE % 64) : 0);
    free(used);
}

static void test_cut_tables_look_absent_and_come_back(void **format)
{
    hpa_t address;
    u64 *pdpt, *pd;

    start(format, MiB(1));
    assert_int_equal(npt_map(&npt, GiB(1), KiB(4), KiB(8), NPT_RWX), 0);
    assert_int_equal(npt.tables, 4);
    pdpt = frame_window(*(u64 *)frame_window(npt.root) & ADDRESS);
    pd = frame_window(pdpt[1] & ADDRESS);
    assert_int_equal(npt_unmap(&npt, GiB(1), KiB(8)), 0);
    assert_null(hardware_walk(GiB(1), NPT_R, &address));

    /* A processor that still knows the old page directory finds nothing in it. */
    assert_int_equal(npt.tables, 4);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(pd[i] & npt.format.present, 0);
    npt_reap(&npt);
    assert_int_equal(npt.tables, 1);
}

static void test_memory_runs_out(void **format)
{
    unsigned rc = 0;

    start(format, KiB(4) * 8);
    for (u64 i = 0; rc == 0; i++)
        rc = (unsigned)-npt_map(&npt, i * GiB(1) + KiB(4), 0, KiB(4), NPT_RWX);
    assert_int_equal(rc, ENOMEM);
    assert_int_equal(npt_unmap(&npt, 0, GiB(10)), 0);
    npt_reap(&npt);
    assert_int_equal(npt.tables, 1);

    /* A split without memory changes nothing. */
    assert_int_equal(npt_map(&npt, 0, 0, GiB(1), NPT_RWX), 0);
    while (frame_alloc(0) != FRAME_NONE) {
    }
    assert_int_equal(npt_unmap(&npt, KiB(4), KiB(4)), -ENOMEM);
    assert_int_equal(lookup(KiB(4)).prot, NPT_RWX);
    for (hpa_t frame = 0; frame < KiB(4) * 8; frame += KiB(4)) {
        if (frame != npt.root && frame != (*(u64 *)frame_window(npt.root) & ADDRESS))
            frame_free(frame, 0);
    }
}

/* The model of the random test: pages from MODEL_BASE on, over a 1 GiB and an 512 GiB border. */
#define MODEL_BASE (GiB(512) - GiB(1) - MiB(64))
#define MODEL_PAGES (GiB(2) / PAGE_SIZE)

static struct {
    hpa_t frame;
    u8 prot; /* 0: not mapped */
} model[MODEL_PAGES];

static void compare(void)
{
    for (u64 i = 0; i < MODEL_PAGES;) {
        gpa_t gpa = MODEL_BASE + i * PAGE_SIZE;
        struct npt_leaf leaf = { .page_size = PAGE_SIZE };
        hpa_t address;
        bool mapped = npt_lookup(&npt, gpa, &leaf);
        u64 pages = leaf.page_size / PAGE_SIZE;

        assert_int_equal(mapped, model[i].prot != 0);
        assert_int_equal(mapped, walk_or_open(gpa, model[i].prot, &address) != NULL);
        for (u64 k = 0; mapped && k < pages && i + k < MODEL_PAGES; k++) {
            assert_int_equal(model[i + k].prot, leaf.prot);
            assert_int_equal(model[i + k].frame, leaf.frame + k * PAGE_SIZE);
        }
        if (mapped)
            assert_int_equal(address, model[i].frame);
        i += pages;
    }
}

/* A random range: sizes of all magnitudes, now and then aligned to a large page. */
static void random_range(u64 *first, u64 *count)
{
    *first = ram_random(MODEL_PAGES);
    *count = 1 + ram_random(BIT(ram_random(19)));
    if (ram_random(2))
        *first = align_down(*first, 512);
    if (ram_random(2))
        *count = align_up(*count, 512);
    *count = MIN(*count, MODEL_PAGES - *first);
}

static void random_map(u64 first, u64 count)
{
    gpa_t gpa = MODEL_BASE + first * PAGE_SIZE;
    hpa_t frame = ram_random(2) ? gpa : ram_random(BIT(20)) * PAGE_SIZE;
    unsigned prot = NPT_R | (unsigned)ram_random(4) * NPT_W;
    int expected = 0, rc = npt_map(&npt, gpa, frame, count * PAGE_SIZE, prot);

    /* Up to the first page that was mapped already, all is mapped now. */
    for (u64 i = first; i < first + count && expected == 0; i++) {
        if (model[i].prot) {
            expected = -EEXIST;
        } else {
            model[i].prot = (u8)prot;
            model[i].frame = frame + (i - first) * PAGE_SIZE;
        }
    }
    assert_int_equal(rc, expected);
}

static void random_unmap(u64 first, u64 count)
{
    assert_int_equal(npt_unmap(&npt, MODEL_BASE + first * PAGE_SIZE, count * PAGE_SIZE), 0);
    memset(&model[first], 0, count * sizeof(model[0]));
    npt_reap(&npt);
}

static void test_random_changes_against_a_model(void **format)
{
    start(format, MiB(64));
    memset(model, 0, sizeof(model));
    for (unsigned round = 0; round < 400; round++) {
        u64 first, count;

        random_range(&first, &count);
        if (ram_random(5) < 3)
            random_map(first, count);
        else
            random_unmap(first, count);
        if (round % 8 == 0)
            compare();
    }
    compare();
    random_unmap(0, MODEL_PAGES);
    assert_int_equal(npt.tables, 1);
}

/* Large pages are read and written whole; a fetch makes 4 KiB pages of the one it is from, and of no other. */
static void test_code_in_small_pages_only(void **unused)
{
    void *given = (void *)&format_ept_small_code;
    hpa_t address;

    (void)unused;
    start(&given, MiB(1));
    assert_int_equal(npt_map(&npt, 0, GiB(4), GiB(2), NPT_RWX), 0);
    assert_int_equal(npt_map(&npt, GiB(2), KiB(4), KiB(4), NPT_RWX), 0);
    assert_non_null(hardware_walk(MiB(5), NPT_R | NPT_W, &address));
    assert_non_null(hardware_walk(GiB(2), NPT_X, &address));
    assert_int_equal(npt_exec_open(&npt, GiB(2)), 0);
    assert_int_equal(npt_exec_open(&npt, GiB(3)), 0);

    assert_null(hardware_walk(MiB(5), NPT_X, &address));
    assert_int_equal(npt_exec_open(&npt, MiB(5)), 1);
    assert_non_null(hardware_walk(MiB(5), NPT_RWX, &address));
    assert_int_equal(address, GiB(4) + MiB(5));
    assert_int_equal(lookup(MiB(5)).page_size, KiB(4));
    assert_true(hardware_bits(MiB(5)) & npt.format.dirty);
    assert_int_equal(npt_exec_open(&npt, MiB(5)), 0);

    assert_int_equal(lookup(MiB(6)).page_size, MiB(2));
    assert_null(hardware_walk(MiB(6), NPT_X, &address));
    assert_int_equal(lookup(GiB(1)).page_size, GiB(1));
    assert_int_equal(npt.exec_splits, 2); /* of 1 GiB, then of 2 MiB */
    assert_int_equal(npt.generation, 0);
}

static void test_no_code_without_the_right(void **unused)
{
    void *given = (void *)&format_ept_small_code;
    hpa_t address;

    (void)unused;
    start(&given, MiB(1));
    assert_int_equal(npt_map(&npt, 0, 0, MiB(4), NPT_R | NPT_W), 0);
    assert_int_equal(npt_exec_open(&npt, 0), 0);
    assert_int_equal(npt_unmap(&npt, KiB(4), KiB(4)), 0);
    assert_null(hardware_walk(0, NPT_X, &address));
    assert_int_equal(npt_map(&npt, MiB(4), MiB(4), MiB(2), NPT_RWX), 0);
    assert_int_equal(npt_exec_open(&npt, MiB(4)), 1);
    assert_int_equal(npt.exec_splits, 1);
}

static void test_no_memory_to_split_for_code(void **unused)
{
    void *given = (void *)&format_ept_small_code;
    hpa_t frames[64], address;
    unsigned nr = 0;

    (void)unused;
    start(&given, KiB(4) * 64);
    assert_int_equal(npt_map(&npt, 0, 0, MiB(2), NPT_RWX), 0);
    while ((frames[nr] = frame_alloc(0)) != FRAME_NONE)
        nr++;
    assert_int_equal(npt_exec_open(&npt, 0), -ENOMEM);
    assert_null(hardware_walk(0, NPT_X, &address));
    assert_non_null(hardware_walk(0, NPT_R | NPT_W, &address));
    while (nr)
        frame_free(frames[--nr], 0);
}

#define TEST_FORMAT(function, format)                                                    \
    {                                                                                    \
#function " (" #format ")", function, NULL, teardown, (void *)(uintptr_t)&format \
    }
#define TEST(function) \
    TEST_FORMAT(function, format_ept), TEST_FORMAT(function, format_ept_small_code), TEST_FORMAT(function, format_amd)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_largest_pages_are_used),
        TEST(test_no_1g_pages_where_the_processor_has_none),
        TEST(test_unaligned_frames_need_small_pages),
        TEST(test_nothing_is_mapped_twice),
        TEST(test_split_keeps_translation_rights_and_bits),
        TEST(test_generation_counts_lost_rights_only),
        TEST(test_which_pages_are_used),
        TEST(test_which_of_a_gib_are_used),
        TEST(test_cut_tables_look_absent_and_come_back),
        TEST(test_memory_runs_out),
        TEST(test_random_changes_against_a_model),
        cmocka_unit_test_teardown(test_code_in_small_pages_only, teardown),
        cmocka_unit_test_teardown(test_no_code_without_the_right, teardown),
        cmocka_unit_test_teardown(test_no_memory_to_split_for_code, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages that are not here yet, in each nested format: who may see them, who asks for them, and how they come. */
/* sources: mm/guest_missing.c mm/guest_mem.c mm/guest_walk.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/cpu.h"
#include "host/frame.h"
#include "host/smp.h"
#include "host/x86.h"
#include "mm/guest_missing.h"
#include "mm/guest_walk.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define RAM MiB(8)
#define PAGES (RAM / PAGE_SIZE)

static unsigned kicks; /* of the host loop */

void cpu_kick(u32 index)
{
    assert_int_equal(index, 0);
    kicks++;
}

static struct npt npt;
static struct guest_mem mem;
static u8 page_of[256][PAGE_SIZE]; /* pages full of one byte */

/* The frames hold what was in them before, as on a machine. */
static void start(void **format)
{
    ram_init_empty(MiB(16));
    memset(frame_window(0), 0x55, MiB(16));
    frame_add(0, MiB(16));
    assert_int_equal(npt_init(&npt, *format), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(page_of); i++)
        memset(page_of[i], (int)i, PAGE_SIZE);
}

static int teardown(void **unused)
{
    (void)unused;
    guest_mem_fini(&mem);
    npt_fini(&npt);
    assert_int_equal(ram_free(), frame_stats().total);
    ram_fini();
    return 0;
}

static struct npt_leaf leaf_at(gpa_t gpa)
{
    struct npt_leaf leaf;

    assert_true(npt_lookup(&npt, gpa, &leaf));
    return leaf;
}

static void assert_page_is(u64 page, u8 byte)
{
    static u8 bytes[PAGE_SIZE];

    assert_int_equal(guest_read(&mem, page * PAGE_SIZE, bytes, PAGE_SIZE), 0);
    assert_memory_equal(bytes, page_of[byte], PAGE_SIZE);
}

static void assert_wanted(u64 page)
{
    u64 wanted;

    assert_true(guest_mem_wanted(&mem, &wanted));
    assert_int_equal(wanted, page);
}

static void assert_nothing_wanted(void)
{
    u64 page;

    assert_false(guest_mem_wanted(&mem, &page));
}

/* Pages that came into RAM which had been zeroed are not taken for zeros when the guest starts anew. */
static void test_what_came_is_gone_after_a_reset(void **format)
{
    start(format);
    assert_int_equal(guest_write(&mem, 0, page_of[1], PAGE_SIZE), 0);
    guest_mem_fini(&mem);
    for (unsigned life = 0; life < 4; life++) { /* until all frames have been somebody's */
        while (frame_scrub())
            ;
        assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
        assert_int_equal(guest_mem_expect(&mem, 0, PAGES), 0);
        for (u64 page = 0; page < PAGES; page += 3)
            assert_int_equal(guest_mem_supply(&mem, page, page_of[7]), 0);
        guest_mem_untouch(&mem);
        for (u64 page = 0; page < PAGES; page++)
            assert_page_is(page, 0);
        guest_mem_fini(&mem);
    }
    assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
}

/* All of the RAM is full of ones, and then some pages are missing: a hybrid move. */
static void test_a_page_that_was_here_before(void **format)
{
    u8 byte = 7;
    u64 len, generation;

    start(format);
    for (u64 page = 0; page < PAGES; page++)
        assert_int_equal(guest_write(&mem, page * PAGE_SIZE, page_of[1], PAGE_SIZE), 0);
    generation = npt.generation;
    assert_int_equal(guest_mem_expect(&mem, MiB(2) + 5 * PAGE_SIZE, 2), 0);
    assert_true(npt.generation > generation); /* translations to what is gone must be flushed */
    assert_int_equal(guest_mem_missing_count(&mem), 2);
    assert_true(guest_mem_missing(&mem, 512 + 5) && guest_mem_missing(&mem, 512 + 6));
    assert_false(guest_mem_missing(&mem, 512 + 4) || guest_mem_missing(&mem, 512 + 7));

    /* The guest may use the pages beside them, and only those. */
    assert_int_equal(leaf_at(MiB(2) + 4 * PAGE_SIZE).prot, NPT_RWX);
    assert_int_equal(leaf_at(MiB(2) + 5 * PAGE_SIZE).prot, NPT_UNTOUCHED);
    assert_int_equal(leaf_at(MiB(2) + 6 * PAGE_SIZE).prot, NPT_UNTOUCHED);
    assert_int_equal(leaf_at(MiB(2) + 7 * PAGE_SIZE).prot, NPT_RWX);
    assert_int_equal(leaf_at(0).page_size, MiB(2));
    assert_page_is(512 + 4, 1);
    assert_page_is(512 + 7, 1);

    /* So may the hypervisor. What it is refused, it has asked for. */
    assert_nothing_wanted();
    assert_int_equal(guest_read(&mem, MiB(2) + 6 * PAGE_SIZE - 1, &byte, 1), -EAGAIN);
    assert_int_equal(byte, 7);
    assert_int_equal(this_cpu()->page_asked, 512 + 5);
    assert_wanted(512 + 5);
    assert_nothing_wanted();
    assert_null(guest_ptr(&mem, MiB(2) + 6 * PAGE_SIZE, 1, &len));
    assert_int_equal(len, 0);
    assert_wanted(512 + 6);
    assert_int_equal(guest_mem_untouched(&mem, MiB(2) + 6 * PAGE_SIZE), 0);
    assert_int_equal(mem.requests, 2);

    assert_int_equal(guest_mem_supply(&mem, 512 + 5, page_of[9]), 0);
    assert_int_equal(leaf_at(MiB(2) + 5 * PAGE_SIZE).prot, NPT_RWX);
    assert_page_is(512 + 5, 9);
    assert_int_equal(guest_mem_supply(&mem, 512 + 5, page_of[8]), -EEXIST);
    assert_page_is(512 + 5, 9);
    assert_int_equal(guest_mem_supply(&mem, 512 + 4, page_of[8]), -EEXIST);
    assert_false(guest_mem_whole(&mem));

    /* Zeros need no copy, and what was there before does not come back. */
    assert_int_equal(guest_mem_supply(&mem, 512 + 6, NULL), 0);
    assert_true(guest_mem_whole(&mem));
    assert_int_equal(guest_mem_untouched(&mem, MiB(2) + 6 * PAGE_SIZE), PAGE_SIZE);
    assert_page_is(512 + 6, 0);
    assert_page_is(512 + 7, 1);
    assert_int_equal(guest_mem_missing_count(&mem), 0);
}

/* No part of a range is read or written before all of it is here, and all of it is asked for at once. */
static void test_a_range_is_all_or_nothing(void **format)
{
    static u8 bytes[4 * PAGE_SIZE];

    start(format);
    assert_int_equal(guest_write(&mem, 0, page_of[3], PAGE_SIZE), 0);
    assert_int_equal(guest_mem_expect(&mem, PAGE_SIZE, 3), 0);
    memset(bytes, 0xEE, sizeof(bytes));
    assert_int_equal(guest_read(&mem, 100, bytes, 2 * PAGE_SIZE), -EAGAIN);
    assert_int_equal(bytes[0], 0xEE);
    assert_int_equal(guest_write(&mem, 100, bytes, 2 * PAGE_SIZE), -EAGAIN);
    assert_int_equal(mem.bytes_written, PAGE_SIZE);
    assert_page_is(0, 3);
    assert_wanted(1);
    assert_wanted(2);
    assert_nothing_wanted();
    assert_int_equal(guest_mem_supply(&mem, 2, page_of[5]), 0);
    assert_int_equal(guest_read(&mem, 100, bytes, 2 * PAGE_SIZE), -EAGAIN);
    assert_int_equal(guest_mem_supply(&mem, 1, page_of[4]), 0);
    assert_int_equal(guest_write(&mem, 100, bytes, 2 * PAGE_SIZE), 0);
    assert_int_equal(guest_read(&mem, 99, bytes, 2), 0);
    assert_int_equal(bytes[0] << 8 | bytes[1], 0x03EE);
    assert_false(guest_cmpxchg(&mem, 3 * PAGE_SIZE, 0, 1, 8));
    assert_wanted(3);
    assert_int_equal(guest_read(&mem, RAM - 1, bytes, 2), -EFAULT);
    assert_int_equal(guest_read(&mem, RAM, bytes, 0), 0);
}

/* A large page that is missing as a whole is split when a part of it comes, by a table that was kept for that; beside
 * the missing pages RAM is touched as ever. */
static void test_large_pages_are_split_late(void **format)
{
    u64 tables;

    start(format);
    tables = npt.tables;
    assert_int_equal(guest_mem_expect(&mem, MiB(2), 600), 0);
    assert_int_equal(guest_mem_expect(&mem, MiB(2), 512), 0); /* once more: it counts once */
    assert_int_equal(npt.tables, tables + 2);
    assert_int_equal(leaf_at(MiB(2)).page_size, MiB(2));
    assert_int_equal(leaf_at(MiB(4)).page_size, PAGE_SIZE);
    assert_int_equal(guest_mem_supply(&mem, 700, NULL), 0);
    assert_page_is(700, 0);
    assert_int_equal(leaf_at(MiB(2)).page_size, PAGE_SIZE);
    assert_int_equal(guest_mem_supply(&mem, 600, page_of[6]), 0);
    assert_page_is(600, 6);
    assert_int_equal(npt.tables, tables + 2);
    assert_int_equal(leaf_at(599 * PAGE_SIZE).prot, NPT_UNTOUCHED);
    assert_int_equal(guest_mem_ask(&mem, 599 * PAGE_SIZE, 1), -EAGAIN);
    assert_page_is(0, 0);
    assert_int_equal(leaf_at(0).page_size, MiB(2));
    assert_int_equal(leaf_at(0).prot, NPT_RWX);
    assert_page_is(512 + 600, 0);
    assert_int_equal(leaf_at((512 + 601) * PAGE_SIZE).prot, NPT_UNTOUCHED);
    /* The same pages a second time: still missing, each counts once. */
    assert_int_equal(guest_mem_missing_count(&mem), 598);
    assert_int_equal(guest_mem_expect(&mem, MiB(2), 512), 0);
    assert_int_equal(guest_mem_missing_count(&mem), 600);
}

static void test_wishes_are_repeated_after_a_lost_link(void **format)
{
    start(format);
    assert_int_equal(guest_mem_expect(&mem, 0, PAGES), 0);
    assert_int_equal(guest_mem_ask(&mem, 70 * PAGE_SIZE, 1), -EAGAIN);
    assert_int_equal(guest_mem_ask(&mem, 5 * PAGE_SIZE, 1), -EAGAIN);
    assert_int_equal(guest_mem_ask(&mem, RAM - 1, 1), -EAGAIN);
    assert_wanted(5);
    assert_wanted(70);
    assert_int_equal(guest_mem_supply(&mem, 5, NULL), 0);
    guest_mem_ask_again(&mem);
    assert_wanted(70);
    assert_wanted(PAGES - 1);
    assert_nothing_wanted();
    /* A wish that is fulfilled before it was fetched is none. */
    assert_int_equal(guest_mem_ask(&mem, 9 * PAGE_SIZE, 1), -EAGAIN);
    assert_int_equal(guest_mem_supply(&mem, 9, NULL), 0);
    assert_nothing_wanted();
}

static void test_a_reset_makes_the_ram_whole(void **format)
{
    start(format);
    assert_int_equal(guest_mem_expect(&mem, PAGE_SIZE, PAGES - 2), 0);
    assert_int_equal(guest_mem_ask(&mem, PAGE_SIZE, 1), -EAGAIN);
    guest_mem_untouch(&mem);
    assert_true(guest_mem_whole(&mem));
    assert_nothing_wanted();
    assert_int_equal(guest_mem_supply(&mem, 1, page_of[1]), -EEXIST);
    assert_page_is(1, 0);
}

static void test_what_is_refused(void **format)
{
    start(format);
    assert_int_equal(guest_mem_expect(&mem, 1, 1), -EINVAL);
    assert_int_equal(guest_mem_expect(&mem, RAM, 0), -EINVAL);
    assert_int_equal(guest_mem_expect(&mem, RAM, 1), -EINVAL);
    assert_int_equal(guest_mem_expect(&mem, PAGE_SIZE, PAGES), -EINVAL);
    assert_int_equal(guest_mem_expect(&mem, 0, ~0ULL), -EINVAL);
    assert_true(guest_mem_whole(&mem));
}

/* A move learns that there is too little memory before it has handed over. */
static void test_without_memory_for_tables(void **format)
{
    static hpa_t taken[MiB(16) / PAGE_SIZE];
    unsigned n = 0;

    start(format);
    assert_int_equal(guest_mem_expect(&mem, 0, 512), 0);
    while ((taken[n] = frame_alloc(0)) != FRAME_NONE)
        n++;
    assert_int_equal(guest_mem_expect(&mem, MiB(2), 1), -ENOMEM);
    assert_int_equal(guest_mem_supply(&mem, 7, page_of[7]), 0);
    assert_page_is(7, 7);
    while (n)
        frame_free(taken[--n], 0);
}

/* A table that is missing is no bus without a device: the walk has to be done again, and has marked nothing. */
static void test_walks_meet_missing_tables(void **format)
{
    struct walk_context ctx = { .cr0 = CR0_PE | CR0_PG, .cr3 = MiB(1) };
    u32 directory = (u32)MiB(2) | PTE_P, entry = (u32)MiB(3) | PTE_P, error, table[PAGE_SIZE / 4] = { entry };
    u64 pdpte[4];
    gpa_t gpa;

    start(format);
    assert_int_equal(guest_write(&mem, MiB(1), &directory, 4), 0);
    assert_int_equal(guest_mem_expect(&mem, MiB(2), 1), 0);
    assert_int_equal(guest_walk(&mem, &ctx, 0, WALK_READ, &gpa, &error), -EAGAIN);
    assert_int_equal(guest_read(&mem, MiB(1), &entry, 4), 0);
    assert_int_equal(entry, directory);
    assert_wanted(512);
    assert_int_equal(guest_pdptes_read(&mem, MiB(2), pdpte), -EAGAIN);
    ctx.cr4 = CR4_PAE;
    ctx.pdptes_missing = true;
    assert_int_equal(guest_walk(&mem, &ctx, 0, WALK_READ, &gpa, &error), -EAGAIN);
    ctx.cr4 = 0;
    assert_int_equal(guest_mem_supply(&mem, 512, table), 0);
    assert_int_equal(guest_walk(&mem, &ctx, 0, WALK_READ, &gpa, &error), 0);
    assert_int_equal(gpa, MiB(3));
    assert_int_equal(guest_read(&mem, MiB(2), &entry, 4), 0);
    assert_true(entry & PTE_A);
}

/* What the test believes about each page. */
static bool missing[PAGES];
static u8 holds[PAGES];

static void random_access(u64 page)
{
    u8 byte = (u8)ram_random(256);
    int answer = guest_write(&mem, page * PAGE_SIZE, page_of[byte], PAGE_SIZE);

    assert_int_equal(answer, missing[page] ? -EAGAIN : 0);
    if (!missing[page])
        holds[page] = byte;
}

static void random_supply(u64 page)
{
    u8 byte = (u8)ram_random(3);
    int answer = guest_mem_supply(&mem, page, byte ? page_of[byte] : NULL);

    assert_int_equal(answer, missing[page] ? 0 : -EEXIST);
    if (missing[page])
        holds[page] = byte;
    missing[page] = false;
}

static void random_expect(u64 page)
{
    u64 pages = ram_random(ram_random(8) ? 4 : 1200) + 1;

    pages = MIN(pages, PAGES - page);
    assert_int_equal(guest_mem_expect(&mem, page * PAGE_SIZE, pages), 0);
    memset(&missing[page], true, pages);
}

static void test_at_random(void **format)
{
    start(format);
    memset(missing, 0, sizeof(missing));
    memset(holds, 0, sizeof(holds));
    for (unsigned i = 0; i < 20000; i++) {
        u64 page = ram_random(PAGES);

        switch (ram_random(i % 4000 < 40 ? 3 : 2)) {
        case 0: random_access(page); break;
        case 1: random_supply(page); break;
        default: random_expect(page); break;
        }
    }
    for (u64 page = 0; page < PAGES; page++) {
        assert_int_equal(guest_mem_missing(&mem, page), missing[page]);
        assert_int_equal(leaf_at(page * PAGE_SIZE).prot == NPT_RWX && missing[page], false);
        random_supply(page);
    }
    assert_true(guest_mem_whole(&mem));
    for (u64 page = 0; page < PAGES; page++)
        assert_page_is(page, holds[page]);
}

/* The first wish that nobody has fetched yet has the host loop come by, whoever had it. */
static void test_a_wish_is_told(void **format)
{
    start(format);
    assert_int_equal(guest_mem_expect(&mem, 0, 4), 0);
    kicks = 0;
    for (gpa_t gpa = 0; gpa < 2 * PAGE_SIZE; gpa += PAGE_SIZE)
        assert_int_equal(guest_mem_ask(&mem, gpa, 1), -EAGAIN);
    assert_int_equal(kicks, 1);
    assert_wanted(0);
    assert_wanted(1);
    assert_int_equal(guest_mem_ask(&mem, 0, 1), -EAGAIN); /* that is on its way */
    assert_int_equal(kicks, 1);
    assert_int_equal(guest_mem_ask(&mem, 2 * PAGE_SIZE, 1), -EAGAIN);
    assert_int_equal(kicks, 2);
}

/* Who looks whether a page is missing waits for nobody. */
static void test_a_look_takes_no_lock(void **format)
{
    start(format);
    assert_int_equal(guest_mem_expect(&mem, PAGE_SIZE, 2), 0);
    spin_lock(&mem.missing_lock);
    assert_false(guest_mem_missing(&mem, 0) || !guest_mem_missing(&mem, 1) || guest_mem_whole(&mem));
    assert_int_equal(guest_mem_ask(&mem, 0, PAGE_SIZE), 0);
    assert_nothing_wanted();
    spin_unlock(&mem.missing_lock);
}

/* RAM that was split for missing pages gets its large pages back once it is whole, and not for a log in between. */
static void test_large_pages_come_back(void **format)
{
    start(format);
    guest_write(&mem, 0, page_of[1], PAGE_SIZE);
    assert_int_equal(guest_mem_expect(&mem, 0, MiB(4) / PAGE_SIZE), 0);
    for (u64 page = 0; page < MiB(4) / PAGE_SIZE; page++) {
        assert_int_equal(leaf_at(page * PAGE_SIZE).page_size, page % 512 ? PAGE_SIZE : MiB(2));
        assert_int_equal(guest_mem_supply(&mem, page, page_of[page % 256]), 0);
    }
    assert_true(guest_mem_whole(&mem) && mem.split);
    assert_false(dirty_fold_part(&mem, 512));
    assert_int_equal(leaf_at(0).page_size, MiB(2));
    assert_int_equal(leaf_at(MiB(2)).page_size, PAGE_SIZE);
    assert_non_null(mem.missing);
    assert_true(dirty_fold_part(&mem, ~0ULL));
    assert_false(mem.split || mem.missing);
    assert_int_equal(leaf_at(MiB(2)).page_size, MiB(2));
    assert_int_equal(leaf_at(MiB(2)).prot, NPT_RWX);
    for (u64 page = 0; page < MiB(4) / PAGE_SIZE; page++)
        assert_page_is(page, page % 256);
}

/* A log that begins while large pages come back ends for all of RAM. */
static void test_a_log_begins_meanwhile(void **format)
{
    start(format);
    guest_write(&mem, 0, page_of[1], PAGE_SIZE);
    assert_int_equal(guest_mem_expect(&mem, 0, MiB(4) / PAGE_SIZE), 0);
    for (u64 page = 0; page < MiB(4) / PAGE_SIZE; page++)
        assert_int_equal(guest_mem_supply(&mem, page, page_of[2]), 0);
    assert_false(dirty_fold_part(&mem, 512));
    assert_int_equal(dirty_start(&mem, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_EAGER), 0);
    dirty_stop_part(&mem, ~0ULL);
    for (gpa_t gpa = 0; gpa < MiB(4); gpa += MiB(2)) {
        assert_int_equal(leaf_at(gpa).page_size, MiB(2));
        assert_int_equal(leaf_at(gpa).prot, NPT_RWX);
    }
    assert_false(mem.split);
}

#define IN_FORMAT(format, test)                                                                                        \
    {                                                                                                                  \
        .name = #test " in " #format, .test_func = test, .teardown_func = teardown, .initial_state = (void *)&(format) \
    }
#define IN_BOTH(test) IN_FORMAT(format_ept, test), IN_FORMAT(format_amd, test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(test_what_came_is_gone_after_a_reset),
        IN_BOTH(test_a_page_that_was_here_before),
        IN_BOTH(test_a_range_is_all_or_nothing),
        IN_BOTH(test_large_pages_are_split_late),
        IN_BOTH(test_wishes_are_repeated_after_a_lost_link),
        IN_BOTH(test_a_reset_makes_the_ram_whole),
        IN_BOTH(test_a_look_takes_no_lock),
        IN_BOTH(test_what_is_refused),
        IN_BOTH(test_without_memory_for_tables),
        IN_BOTH(test_walks_meet_missing_tables),
        IN_BOTH(test_a_wish_is_told),
        IN_BOTH(test_large_pages_come_back),
        IN_BOTH(test_a_log_begins_meanwhile),
        IN_BOTH(test_at_random),
        IN_FORMAT(format_ept_small_code, test_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

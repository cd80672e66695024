/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log in both formats, with each producer, against a processor that is as lazy as the manuals allow: it goes
 * on with cached translations and with cached ways into page tables until it is told to flush, and sets A and D bits
 * only where it must. Memory is a version a page; a migration copies versions.
 */
/* sources: mm/dirty.c mm/guest_mem.c mm/npt.c mm/npt_log.c host/frame.c tests/unit/ram.c tests/unit/stubs.c */
/* sources: mm/guest_missing.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/dirty.h"
#include "host/frame.h"
#include "mm/guest_mem.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define ADDRESS BITS(51, 12)
#define RAM (MiB(16) + KiB(12)) /* large pages, and three small ones behind them */
#define PAGES (RAM / PAGE_SIZE)
#define REGIONS ((RAM + MiB(2) - 1) / MiB(2))
#define PML_SIZE 512

struct variant {
    const struct npt_format *format;
    enum dirty_producer producer;
    enum dirty_split split;
};

static struct npt npt;
static struct guest_mem mem;
static u64 to_send[PAGES / 64 + 1];
static unsigned version[PAGES], copied[PAGES];

/* The processor. */
static struct {
    bool pml_on;
    u64 pml[PML_SIZE];
    unsigned nr_pml;
    u64 faults;
    u64 generation;                      /* flushed */
    u64 *table[PAGES / 512 + 1];         /* cached ways to page tables */
    bool cached[PAGES], writable[PAGES]; /* translations; a writable one has its D bit set */
} cpu;

/* It flushes when it is told to, and not otherwise. */
static void cpu_flush(void)
{
    if (cpu.generation == npt.generation)
        return;
    cpu.generation = npt.generation;
    memset(cpu.table, 0, sizeof(cpu.table));
    memset(cpu.cached, 0, sizeof(cpu.cached));
}

static void cpu_drain(void)
{
    if (cpu.nr_pml)
        dirty_pml_drain(&mem, cpu.pml, cpu.nr_pml);
    cpu.nr_pml = 0;
}

/* The entry that ends the walk; sets A on the way, but not above a table that it knows the way to. */
static u64 *cpu_walk(u64 page, u64 *page_size)
{
    u64 *table = cpu.table[page / 512];
    unsigned level = table ? 1 : 4;

    for (table = table ?: frame_window(npt.root);; level--) {
        u64 *entry = &table[page >> 9 * (level - 1) & 511];

        if (!(*entry & npt.format.present)) { /* the first access, which faults */
            assert_true(npt_touch(&npt, page * PAGE_SIZE));
            level++;
            continue;
        }
        *entry |= npt.format.accessed;
        *page_size = PAGE_SIZE << 9 * (level - 1);
        if (level == 1 || (*entry & npt.format.large))
            return entry;
        table = frame_window(*entry & ADDRESS);
        if (level == 2)
            cpu.table[page / 512] = table;
    }
}

static void cpu_fault(u64 page)
{
    cpu.table[page / 512] = NULL;
    cpu.cached[page] = false;
    cpu.faults++;
    cpu_drain();
    assert_true(dirty_write_fault(&mem, page * PAGE_SIZE));
}

static void cpu_write(u64 page)
{
    while (!cpu.cached[page] || !cpu.writable[page]) {
        u64 page_size, *entry = cpu_walk(page, &page_size);

        if ((*entry & npt.format.write) != npt.format.write) {
            cpu_fault(page);
            continue;
        }
        if (cpu.pml_on && !(*entry & npt.format.dirty)) {
            if (cpu.nr_pml == PML_SIZE)
                cpu_drain();
            cpu.pml[cpu.nr_pml++] = page * PAGE_SIZE + ram_random(PAGE_SIZE);
        }
        *entry |= npt.format.dirty;
        cpu.cached[page] = cpu.writable[page] = true;
    }
    version[page]++;
}

static void cpu_read(u64 page)
{
    u64 page_size;

    if (cpu.cached[page])
        return;
    cpu_walk(page, &page_size);
    cpu.cached[page] = true;
    cpu.writable[page] = false;
}

/* Code that is in a large page may have to be split out of it, whatever the log does. */
static void cpu_fetch(u64 page)
{
    u64 page_size;

    if (*cpu_walk(page, &page_size) & npt.format.exec || npt.format.exec_large == npt.format.exec)
        return;
    cpu.cached[page] = false;
    assert_int_equal(npt_exec_open(&npt, page * PAGE_SIZE), 1);
    assert_true(*cpu_walk(page, &page_size) & npt.format.exec);
}

static void start(const struct npt_format *format)
{
    ram_init_full(MiB(64));
    assert_int_equal(npt_init(&npt, format), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
    for (gpa_t gpa = 0; gpa < RAM; gpa += PAGE_SIZE)
        npt_touch(&npt, gpa);
    memset(&cpu, 0, sizeof(cpu));
    memset(version, 0, sizeof(version));
    memset(copied, 0, sizeof(copied));
    memset(to_send, 0, sizeof(to_send));
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

/* The processor is out of its guest, as the log demands; all its translations go afterwards. */
static void log_start(enum dirty_producer producer, enum dirty_split split)
{
    cpu_drain();
    assert_int_equal(dirty_start(&mem, producer, split), 0);
    cpu.pml_on = producer == DIRTY_PML;
    cpu_flush();
}

static void send(void)
{
    for (u64 page = 0; page < PAGES; page++) {
        if (bitmap_test(to_send, page))
            copied[page] = version[page];
    }
    memset(to_send, 0, sizeof(to_send));
}

static u64 harvest(void)
{
    u64 generation = npt.generation, before = mem.dirty.count.harvested;

    assert_true(dirty_harvest_part(&mem, to_send, ~0ULL));
    assert_true(npt.generation - generation <= 1);
    return mem.dirty.count.harvested - before;
}

/* The last round: the processor has stopped. */
static void final_round(void)
{
    cpu_drain();
    harvest();
    cpu_flush();
    send();
    for (u64 page = 0; page < PAGES; page++)
        assert_int_equal(copied[page], version[page]);
}

/* Half of all writes go to a few regions, so that others are left alone for a while. */
static u64 some_page(void)
{
    return ram_random(2) ? ram_random(PAGES) : ram_random(3) * 1024 + ram_random(40);
}

static void some_write(void)
{
    u64 page = some_page();

    switch (ram_random(8)) {
    case 0:
        assert_int_equal(guest_write(&mem, page * PAGE_SIZE + 8, &page, 8), 0);
        version[page]++;
        break;
    case 1: cpu_read(page); break;
    default: cpu_write(page);
    }
}

static void some_writes(u64 most)
{
    for (u64 n = ram_random(most); n > 0; n--)
        some_write();
}

static void live_rounds(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        some_writes(ram_random(4) ? 20 : 1500);
        if (frame_stats().free)
            cpu_fetch(some_page());
        if (ram_random(2))
            cpu_drain(); /* some exit */
        while (!dirty_harvest_part(&mem, to_send, ram_random(2) ? 1 : ~0ULL))
            some_writes(20); /* the guest runs between the parts */
        some_writes(20);     /* with what it has cached */
        cpu_drain();
        cpu_flush();
        some_writes(20); /* while we copy, and before */
        send();
    }
}

static void nothing_is_missed_after(unsigned writes, const struct variant *variant)
{
    start(variant->format);
    guest_mem_untouch(&mem);
    some_writes(writes);
    memcpy(copied, version, sizeof(copied));
    log_start(variant->producer, variant->split);
    for (unsigned i = 0; i < 4; i++) {
        live_rounds(20);
        final_round();
    }
}

static void test_nothing_is_missed(void **state)
{
    nothing_is_missed_after(500, *state);
}

/* The first use of most pages comes while the log is on. */
static void test_nothing_is_missed_of_untouched_ram(void **state)
{
    nothing_is_missed_after(2, *state);
}

static void test_change_of_producer_loses_nothing(void **state)
{
    const struct variant *variant = *state;

    start(variant->format);
    log_start(variant->producer, variant->split);
    for (enum dirty_producer next = DIRTY_WRITE_PROTECT; next <= DIRTY_PML; next++) {
        live_rounds(3);
        some_writes(100);
        log_start(next, variant->split);
        some_writes(100);
        log_start(variant->producer, variant->split);
        some_writes(10);
        final_round();
    }
}

/* One harvest brings what was written and nothing else, once. */
static void test_exact_sets(void **state)
{
    static const u64 pages[] = { 0, 1, 513, 1023, 1024, PAGES - 1 };
    const struct variant *variant = *state;

    start(variant->format);
    cpu_write(2);
    log_start(variant->producer, variant->split);
    for (unsigned round = 0; round < 3; round++) {
        memset(to_send, 0, sizeof(to_send));
        for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
            cpu_write(pages[i]);
            cpu_write(pages[i]);
        }
        cpu_read(3000);
        cpu_drain();
        assert_int_equal(harvest(), ARRAY_SIZE(pages));
        for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
            assert_true(bitmap_test(to_send, pages[i]));
        cpu_flush();
    }
    assert_int_equal(harvest(), 0);
    /* A fault a page and round under write protection; under the others one a large page at most. */
    if (variant->producer == DIRTY_WRITE_PROTECT)
        assert_int_equal(cpu.faults, 3 * ARRAY_SIZE(pages));
    else
        assert_int_equal(cpu.faults, variant->split == DIRTY_SPLIT_LAZY ? 3 : 0);
}

static void test_large_pages_come_back(void **state)
{
    const struct variant *variant = *state;
    struct npt_leaf leaf;
    u64 tables;

    start(variant->format);
    tables = npt.tables;
    log_start(variant->producer, variant->split);
    some_writes(500);
    assert_true(npt_lookup(&npt, 0, &leaf) && leaf.page_size == PAGE_SIZE);
    dirty_stop_part(&mem, ~0ULL);
    cpu_flush();
    assert_int_equal(npt.tables, tables);
    for (gpa_t gpa = 0; gpa < RAM; gpa += leaf.page_size) {
        assert_true(npt_lookup(&npt, gpa, &leaf));
        assert_int_equal(leaf.page_size, gpa < MiB(16) ? MiB(2) : KiB(4));
        assert_int_equal(leaf.prot, NPT_RWX);
    }
    cpu.pml_on = false;
    some_writes(100);
    assert_false(dirty_write_fault(&mem, 0));
    for (u64 page = 0; page < PAGES; page++)
        assert_false(bitmap_test(mem.dirty.log, page));
}

/* The cost of a scan goes with the regions in use. */
static void test_scan_leaves_idle_regions_alone(void **state)
{
    const struct dirty_counters *count = &mem.dirty.count;
    u64 entries;

    start(*state);
    log_start(DIRTY_DBIT, DIRTY_SPLIT_EAGER);
    for (u64 page = 0; page < PAGES; page++)
        cpu_write(page);
    for (unsigned i = 0; i < 3; i++) {
        harvest();
        cpu_flush();
    }
    entries = count->scanned_entries;
    harvest();
    assert_true(count->scanned_entries - entries <= REGIONS);

    cpu_write(700);
    entries = count->scanned_entries;
    assert_int_equal(harvest(), 1);
    assert_true(count->scanned_entries - entries <= 512 + REGIONS);
}

/* Reading is enough for a processor to know its way into a table: that must be flushed before the table is left alone.
 */
static void test_way_into_a_table_is_flushed(void **state)
{
    start(*state);
    log_start(DIRTY_DBIT, DIRTY_SPLIT_EAGER);
    cpu_read(700);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(harvest(), 0);
        cpu_flush();
    }
    cpu_write(700);
    assert_int_equal(harvest(), 1);
}

/* The end of the log, a part at a time: the guest runs and writes in between, and all is as if it had been at once. */
static void test_it_ends_in_parts(void **state)
{
    const struct variant *variant = *state;
    struct npt_leaf leaf;
    u64 tables, parts = 0;

    start(variant->format);
    tables = npt.tables;
    log_start(variant->producer, variant->split);
    some_writes(500);
    for (bool off = false; !off; parts++) {
        u64 before;

        some_writes(50);
        cpu_drain();
        before = npt.tables;
        off = dirty_stop_part(&mem, 1024);
        assert_in_range(before - npt.tables, 0, 1024 / 512 + 1); /* the tables of two large pages, and one above */
        cpu_flush();
    }
    assert_int_equal(parts, (PAGES + 1023) / 1024);
    assert_int_equal(mem.dirty.producer, DIRTY_OFF);
    assert_int_equal(npt.tables, tables);
    for (gpa_t gpa = 0; gpa < RAM; gpa += leaf.page_size) {
        assert_true(npt_lookup(&npt, gpa, &leaf));
        assert_int_equal(leaf.prot, NPT_RWX);
    }
    cpu.pml_on = false;
}

/* A harvest, a part at a time: each takes the pages of a few regions, and together they take all. */
static void test_it_is_harvested_in_parts(void **state)
{
    const struct variant *variant = *state;
    u64 parts = 1;

    start(variant->format);
    log_start(variant->producer, variant->split);
    for (u64 page = 0; page < PAGES; page++)
        cpu_write(page);
    cpu_drain();
    for (u64 before = 0; !dirty_harvest_part(&mem, to_send, 1); before = mem.dirty.count.harvested, parts++)
        assert_in_range(mem.dirty.count.harvested - before, 1, 1024);
    assert_int_equal(parts, (PAGES + 1023) / 1024);
    assert_int_equal(mem.dirty.count.harvested, PAGES);
    assert_int_equal(mem.dirty.count.harvests, 1);
    cpu_flush();
    final_round();
}

static void test_no_memory_for_tables(void **state)
{
    const struct variant *variant = *state;
    static hpa_t taken[MiB(64) / PAGE_SIZE];
    unsigned n = 0;

    start(variant->format);
    log_start(variant->producer, DIRTY_SPLIT_LAZY);
    while ((taken[n] = frame_alloc(0)) != FRAME_NONE)
        n++;
    live_rounds(10);
    final_round();
    dirty_stop_part(&mem, ~0ULL);
    assert_int_equal(dirty_start(&mem, variant->producer, DIRTY_SPLIT_EAGER), -ENOMEM);
    assert_int_equal(mem.dirty.producer, DIRTY_OFF);
    while (n > 0)
        frame_free(taken[--n], 0);
}

static void test_without_d_bits(void **state)
{
    struct npt_format plain = *(const struct npt_format *)*state;

    plain.accessed = plain.dirty = 0;
    start(&plain);
    assert_int_equal(dirty_start(&mem, DIRTY_DBIT, DIRTY_SPLIT_LAZY), -ENOTSUP);
    assert_int_equal(dirty_start(&mem, DIRTY_PML, DIRTY_SPLIT_LAZY), -ENOTSUP);
    assert_int_equal(dirty_start(&mem, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY), 0);
}

#define VARIANT(format, producer, split) (&(struct variant){ &(format), (producer), (split) })

#define TEST_VARIANT(function, format, producer, split)                                                            \
    {                                                                                                              \
#function " " #format " " #producer " " #split, function, NULL, teardown, VARIANT(format, producer, split) \
    }
#define TEST_PRODUCERS(function, format, split)                                                                    \
    TEST_VARIANT(function, format, DIRTY_WRITE_PROTECT, split), TEST_VARIANT(function, format, DIRTY_DBIT, split), \
        TEST_VARIANT(function, format, DIRTY_PML, split)
#define TEST(function)                                                                                               \
    TEST_PRODUCERS(function, format_ept, DIRTY_SPLIT_LAZY), TEST_PRODUCERS(function, format_ept, DIRTY_SPLIT_EAGER), \
        TEST_PRODUCERS(function, format_ept_small_code, DIRTY_SPLIT_LAZY),                                           \
        TEST_PRODUCERS(function, format_amd, DIRTY_SPLIT_LAZY),                                                      \
        TEST_PRODUCERS(function, format_amd, DIRTY_SPLIT_EAGER)
#define TEST_FORMATS(function)                                             \
    { #function " (EPT)", function, NULL, teardown, (void *)&format_ept }, \
    {                                                                      \
#function " (AMD)", function, NULL, teardown, (void *)&format_amd  \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_missed),
        TEST(test_nothing_is_missed_of_untouched_ram),
        TEST(test_change_of_producer_loses_nothing),
        TEST(test_exact_sets),
        TEST(test_large_pages_come_back),
        TEST(test_it_ends_in_parts),
        TEST(test_it_is_harvested_in_parts),
        TEST_FORMATS(test_scan_leaves_idle_regions_alone),
        TEST_FORMATS(test_way_into_a_table_is_flushed),
        TEST(test_no_memory_for_tables),
        TEST_FORMATS(test_without_d_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

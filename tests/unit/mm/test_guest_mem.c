/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest RAM: backing, the PCI hole, and the door through which the hypervisor reads and writes it. */
/* sources: mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c stream/ram_window.c tests/unit/ram.c */
/* sources: mm/guest_missing.c */
/* sources: tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/ram_window.h"
#include "host/frame.h"
#include "mm/guest_mem.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

static struct npt npt;
static struct guest_mem mem;

static void start(u64 ram)
{
    ram_init_full(ram);
    assert_int_equal(npt_init(&npt, &format_ept), 0);
}

/* Ends the guest of every test, and finds what it kept. */
static int teardown(void **unused)
{
    (void)unused;
    guest_mem_fini(&mem);
    npt_fini(&npt);
    assert_int_equal(ram_free(), frame_stats().total);
    ram_fini();
    return 0;
}

static u64 page_size_at(gpa_t gpa)
{
    struct npt_leaf leaf;

    return npt_lookup(&npt, gpa, &leaf) ? leaf.page_size : 0;
}

/* Leave the allocator with single frames only, no two of them neighbours: every second page of the first `size` bytes.
 */
static void fragment(u64 size)
{
    ram_init_empty(size);
    for (hpa_t frame = 0; frame < size; frame += 2 * PAGE_SIZE)
        frame_add(frame, PAGE_SIZE);
    assert_int_equal(npt_init(&npt, &format_amd), 0);
}

static void test_ram_is_in_large_pages_and_reads_as_zeros(void **unused)
{
    static char page[PAGE_SIZE], zero[PAGE_SIZE];

    (void)unused;
    ram_init_empty(MiB(32));
    memset(frame_window(0), 0x55, MiB(32));
    frame_add(0, MiB(32));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(16) + KiB(12)), 0);
    assert_int_equal(mem.size, MiB(16) + KiB(12));
    assert_int_equal(mem.pages_2m, 8);
    assert_int_equal(mem.pages_4k, 3);
    for (gpa_t gpa = 0; gpa < mem.size; gpa += PAGE_SIZE) {
        assert_int_equal(guest_read(&mem, gpa, page, PAGE_SIZE), 0);
        assert_memory_equal(page, zero, PAGE_SIZE);
    }
}

/* What one guest has left is no other's, however much of it has been zeroed in the meantime; nor its own after a reset.
 */
static void test_what_others_left_reads_as_zeros(void **unused)
{
    static char page[PAGE_SIZE], zero[PAGE_SIZE], full[PAGE_SIZE];

    (void)unused;
    memset(full, 0x55, sizeof(full));
    ram_init_empty(MiB(10));
    memset(frame_window(0), 0x55, MiB(10));
    frame_add(0, MiB(10));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    for (unsigned life = 0; life < 40; life++) {
        assert_int_equal(guest_mem_init(&mem, &npt, MiB(6)), 0);
        for (unsigned round = 0; round < 2; round++) {
            for (gpa_t gpa = 0; gpa < mem.size; gpa += (1 + ram_random(100)) * PAGE_SIZE) {
                assert_int_equal(guest_read(&mem, gpa, page, PAGE_SIZE), 0);
                assert_memory_equal(page, zero, PAGE_SIZE);
                assert_int_equal(guest_write(&mem, gpa, full, PAGE_SIZE), 0);
            }
            if (life % 2)
                guest_mem_untouch(&mem);
            else
                break;
        }
        guest_mem_fini(&mem);
        for (u64 slices = ram_random(100); slices > 0; slices--)
            frame_scrub();
    }
}

static void test_small_pages_when_memory_is_fragmented(void **unused)
{
    (void)unused;
    fragment(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    assert_int_equal(mem.pages_4k, 1024);
    assert_int_equal(mem.pages_2m, 0);
}

static void test_nothing_is_kept_without_memory(void **unused)
{
    u64 before;

    (void)unused;
    start(MiB(16));
    before = ram_free();
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(17)), -ENOMEM);
    assert_int_equal(ram_free(), before);
    assert_int_equal(npt.tables, 1);
    assert_int_equal(mem.size, 0);
    assert_false(guest_mem_valid(&mem, 0, 1));
    /* Frames for all of the RAM, but not for the tables beside it. */
    assert_int_equal(guest_mem_init(&mem, &npt, before * PAGE_SIZE), -ENOMEM);
    assert_int_equal(ram_free(), before);
}

static void test_nothing_of_a_refused_block_stays_mapped(void **unused)
{
    u64 before;

    (void)unused;
    start(MiB(16));
    before = ram_free();
    assert_int_equal(npt_map(&npt, MiB(3), MiB(64), KiB(4), NPT_R), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), -EEXIST);
    assert_int_equal(page_size_at(0), 0);
    assert_int_equal(page_size_at(MiB(2)), 0);
    assert_int_equal(ram_free(), before);
}

static void test_pointers_for_reading_in_place(void **unused)
{
    const void *at;
    u64 len;

    (void)unused;
    start(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    assert_int_equal(guest_write(&mem, MiB(2) - 4, "abcdefgh", 8), 0);
    at = guest_ptr(&mem, MiB(2) - 4, 8, &len);
    assert_int_equal(len, 4); /* up to the end of the page mapping */
    assert_memory_equal(at, "abcd", 4);
    at = guest_ptr(&mem, MiB(2), 3, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(at, "efg", 3);
    assert_non_null(guest_ptr(&mem, MiB(4) - 1, 100, &len));
    assert_int_equal(len, 1);
    assert_null(guest_ptr(&mem, MiB(4), 1, &len));
    assert_null(guest_ptr(&mem, ~0ULL, 1, &len));
}

static void test_access_over_page_borders(void **unused)
{
    static u8 out[3 * PAGE_SIZE], in[3 * PAGE_SIZE];

    (void)unused;
    fragment(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (u8)(i * 7 + i / 256);
    for (u64 len = 1; len <= sizeof(out); len = len * 3 + 1) {
        gpa_t gpa = MiB(1) - len / 2;

        assert_int_equal(guest_write(&mem, gpa, out, len), 0);
        memset(in, 0, sizeof(in));
        for (u64 i = 0; i < len; i++)
            assert_int_equal(guest_read(&mem, gpa + i, &in[i], 1), 0);
        assert_memory_equal(in, out, len);
        memset(in, 0, sizeof(in));
        assert_int_equal(guest_read(&mem, gpa, in, len), 0);
        assert_memory_equal(in, out, len);
    }
    mem.bytes_written = 0;
    assert_int_equal(guest_write(&mem, KiB(4) - 3, out, 8), 0);
    assert_int_equal(mem.bytes_written, 8);
}

static void test_out_of_ram_copies_nothing(void **unused)
{
    char buffer[32] = "unchanged";

    (void)unused;
    start(MiB(8));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    assert_int_equal(guest_write(&mem, MiB(4) - 8, "12345678", 8), 0);
    assert_int_equal(guest_write(&mem, MiB(4) - 8, "abcdefghi", 9), -EFAULT);
    assert_int_equal(guest_read(&mem, MiB(4) - 8, buffer, 9), -EFAULT);
    assert_string_equal(buffer, "unchanged");
    assert_int_equal(guest_read(&mem, MiB(4) - 8, buffer, 8), 0);
    assert_memory_equal(buffer, "12345678", 8);

    assert_false(guest_mem_valid(&mem, MiB(4), 1));
    assert_false(guest_mem_valid(&mem, 0, ~0ULL));
    assert_false(guest_mem_valid(&mem, MiB(4) - 1, ~0ULL));
    assert_false(guest_mem_valid(&mem, ~0ULL, 2));
    assert_true(guest_mem_valid(&mem, 0, MiB(4)));
    assert_int_equal(guest_read(&mem, ~0ULL - 3, buffer, 8), -EFAULT);
}

static void test_write_protection_is_the_guests_alone(void **unused)
{
    u32 value = 0;

    (void)unused;
    start(MiB(8));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    npt_touch(&npt, 0);
    assert_int_equal(npt_log_arm(&npt, 0, KiB(8), NPT_TRACK_RIGHTS, true), 0);
    assert_int_equal(guest_write(&mem, KiB(4), &(u32){ 42 }, 4), 0);
    assert_int_equal(guest_read(&mem, KiB(4), &value, 4), 0);
    assert_int_equal(value, 42);
}

static void test_compare_and_exchange(void **unused)
{
    u64 value = 0x1111222233334444;

    (void)unused;
    start(MiB(8));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    assert_int_equal(guest_write(&mem, 64, &value, 8), 0);
    assert_true(guest_cmpxchg(&mem, 64, value, 5, 8));
    assert_false(guest_cmpxchg(&mem, 64, value, 6, 8));
    assert_true(guest_cmpxchg(&mem, 68, 0, 7, 4));
    assert_int_equal(guest_read(&mem, 64, &value, 8), 0);
    assert_int_equal(value, 7ULL << 32 | 5);
    assert_int_equal(mem.bytes_written, 8 + 8 + 4);
    assert_false(guest_cmpxchg(&mem, MiB(4), 0, 1, 8));
}

static void test_split_ram_is_freed_whole(void **unused)
{
    (void)unused;
    start(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(8)), 0);
    npt_touch(&npt, MiB(2));
    assert_int_equal(npt_log_arm(&npt, MiB(2), MiB(2), NPT_TRACK_RIGHTS, true), 0);
    assert_int_equal(page_size_at(MiB(2)), KiB(4));
    guest_mem_fini(&mem);
    assert_int_equal(npt.tables, 1);
    assert_int_equal(ram_free(), MiB(16) / PAGE_SIZE - 1);
}

/*
 * 4 GiB of RAM without 4 GiB of memory: in the blocks of 1 GiB every 2 MiB is the same host memory, but for the blocks'
 * first pages, where the allocator chains them. It is mapped at once: a million page faults would take ten seconds.
 */
static void alias_blocks(hpa_t base, unsigned blocks)
{
    int memory = memfd_create("alias", 0);

    assert_true(memory >= 0 && ftruncate(memory, (off_t)MiB(2)) == 0);
    for (hpa_t at = base; at < base + blocks * GiB(1); at += MiB(2)) {
        u64 keep = is_aligned(at, GiB(1)) ? PAGE_SIZE : 0;

        assert_ptr_not_equal(mmap((char *)frame_window(at) + keep, MiB(2) - keep, PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_FIXED | MAP_POPULATE, memory, (off_t)keep),
                             MAP_FAILED);
    }
    close(memory);
}

static void test_pci_hole_stays_empty(void **unused)
{
    u64 value = 0;

    (void)unused;
    ram_init_empty(GiB(5));
    alias_blocks(GiB(1), 4);
    frame_add(0, MiB(1));
    frame_add(GiB(1), GiB(4));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, GiB(4)), 0);
    assert_int_equal(mem.pages_1g, 4);
    assert_int_equal(mem.slot[0].size, GUEST_PCI_HOLE_BASE);
    assert_int_equal(mem.slot[1].size, GiB(4) - GUEST_PCI_HOLE_BASE);

    assert_int_equal(page_size_at(GUEST_PCI_HOLE_BASE - 1), GiB(1));
    assert_int_equal(page_size_at(GUEST_PCI_HOLE_BASE), 0);
    assert_int_equal(page_size_at(GUEST_PCI_HOLE_END - 1), 0);
    assert_int_equal(page_size_at(GUEST_PCI_HOLE_END), GiB(1));
    assert_int_equal(page_size_at(GiB(5)), 0);

    assert_true(guest_mem_valid(&mem, GUEST_PCI_HOLE_END, GiB(1)));
    assert_int_equal(guest_write(&mem, GUEST_PCI_HOLE_BASE - 4, &value, 8), -EFAULT);
    assert_int_equal(guest_write(&mem, GUEST_PCI_HOLE_END - 4, &value, 8), -EFAULT);
    assert_int_equal(guest_write(&mem, GUEST_PCI_HOLE_END, &(u64){ 99 }, 8), 0);
    assert_int_equal(guest_read(&mem, GUEST_PCI_HOLE_END, &value, 8), 0);
    assert_int_equal(value, 99);
    guest_mem_untouch(&mem); /* so that a block of 1 GiB is freed whole */
    assert_int_equal(page_size_at(GUEST_PCI_HOLE_END), GiB(1));
}

/* A part frees no more than it was told, of single pages as of large ones, and in the end all is free. */
static void test_ram_is_freed_in_parts(void **unused)
{
    u64 before, parts = 0;

    (void)unused;
    start(MiB(64));
    before = ram_free();
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(12) + PAGE_SIZE), 0);
    npt_touch(&npt, MiB(4));
    assert_int_equal(npt_log_arm(&npt, MiB(4), MiB(2), NPT_TRACK_RIGHTS, true), 0);
    for (bool done = false; !done; parts++) {
        u64 free = ram_free(), tables = npt.tables;

        done = guest_mem_fini_part(&mem, 3);
        assert_in_range(ram_free() - free, 1, 3 * 512 + tables - npt.tables);
    }
    assert_in_range(parts, (5 + 512 + 1) / 3, (5 + 512 + 1) / 3 + 2);
    assert_int_equal(ram_free(), before);
    assert_int_equal(mem.size, 0);
    assert_true(guest_mem_fini_part(&mem, 3));
}

/* 2 MiB are touched at a time, and what lies around them is still known to be zeros. */
static void test_only_what_is_accessed_is_touched(void **unused)
{
    struct npt_leaf leaf;

    (void)unused;
    start(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(8) + KiB(8)), 0);
    assert_int_equal(guest_mem_untouched(&mem, MiB(2) + KiB(12)), MiB(2) - KiB(12));
    assert_int_equal(guest_mem_untouched(&mem, MiB(8) + KiB(4)), KiB(4));
    assert_int_equal(guest_write(&mem, MiB(4) - 1, "ab", 2), 0);
    assert_true(npt_touch(&npt, MiB(8)));
    assert_false(npt_touch(&npt, MiB(8)));
    assert_int_equal(guest_mem_untouched(&mem, 0), MiB(2));
    assert_int_equal(guest_mem_untouched(&mem, MiB(2)), 0);
    assert_int_equal(guest_mem_untouched(&mem, MiB(4)), 0);
    assert_int_equal(guest_mem_untouched(&mem, MiB(6)), MiB(2));
    assert_int_equal(guest_mem_untouched(&mem, MiB(8)), 0);
    assert_int_equal(guest_mem_untouched(&mem, MiB(8) + KiB(4)), KiB(4));
    assert_true(npt_lookup(&npt, MiB(2), &leaf) && leaf.prot == NPT_RWX && leaf.page_size == MiB(2));
}

/* A guest that starts anew finds zeros in large pages, and all of its RAM has been written. */
static void test_ram_is_untouched_again_after_a_reset(void **unused)
{
    static u8 page[PAGE_SIZE], zero[PAGE_SIZE];
    struct ram_window window = { .id = 0 };
    u64 tables, generation;

    (void)unused;
    start(MiB(32));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(8)), 0);
    tables = npt.tables;
    memset(page, 1, sizeof(page));
    for (gpa_t gpa = 0; gpa < MiB(4); gpa += PAGE_SIZE)
        guest_write(&mem, gpa, page, PAGE_SIZE);
    assert_null(ram_window_page(&window, &mem, MiB(4)));
    assert_int_equal(*ram_window_page(&window, &mem, MiB(2)), 1);
    assert_int_equal(dirty_start(&mem, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY), 0);
    assert_true(dirty_write_fault(&mem, KiB(4)));
    generation = npt.generation;
    guest_mem_untouch(&mem);
    assert_true(npt.generation > generation);
    assert_int_equal(npt.tables, tables);
    assert_int_equal(mem.dirty.count.by_fault + mem.dirty.count.by_hypervisor, MiB(8) / PAGE_SIZE);
    assert_null(ram_window_page(&window, &mem, MiB(2)));
    for (gpa_t gpa = 0; gpa < MiB(8); gpa += PAGE_SIZE) {
        assert_int_equal(guest_read(&mem, gpa, page, PAGE_SIZE), 0);
        assert_memory_equal(page, zero, PAGE_SIZE);
    }
    assert_true(dirty_write_fault(&mem, KiB(4))); /* the log goes on */
}

/* The allocator may have no frame for a table: then more is zeroed at once. */
static void test_touch_needs_no_memory(void **unused)
{
    hpa_t frame[4];
    u64 value = 1, frames = 0;

    (void)unused;
    ram_init_empty(GiB(2));
    alias_blocks(GiB(1), 1);
    frame_add(0, KiB(16));
    frame_add(GiB(1), GiB(1));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, GiB(1)), 0);
    while ((frame[frames] = frame_alloc(0)) != FRAME_NONE)
        frames++;
    assert_int_equal(guest_read(&mem, MiB(6), &value, 8), 0);
    assert_int_equal(value, 0);
    assert_int_equal(guest_mem_untouched(&mem, 0), 0);
    while (frames)
        frame_free(frame[--frames], 0);
}

/* A guest that has ended and is started again has other frames: what a move of its last life remembers of them is no
 * place of its RAM, but maybe of somebody else's. */
static void test_window_ends_with_the_ram(void **unused)
{
    struct ram_window window = { .id = 0 };
    const u8 *before;
    hpa_t taken;
    u64 len;

    (void)unused;
    start(MiB(16));
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    npt_touch(&npt, 0);
    before = ram_window_page(&window, &mem, 0);
    guest_mem_fini(&mem);
    taken = frame_alloc(9); /* somebody takes its place */
    assert_true(taken != FRAME_NONE);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(4)), 0);
    assert_ptr_not_equal(guest_ptr(&mem, 0, 1, &len), before);
    assert_ptr_equal(ram_window_page(&window, &mem, 0), guest_ptr(&mem, 0, 1, &len));
    frame_free(taken, 9);
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ram_is_in_large_pages_and_reads_as_zeros),
        TEST(test_what_others_left_reads_as_zeros),
        TEST(test_small_pages_when_memory_is_fragmented),
        TEST(test_nothing_is_kept_without_memory),
        TEST(test_nothing_of_a_refused_block_stays_mapped),
        TEST(test_pointers_for_reading_in_place),
        TEST(test_access_over_page_borders),
        TEST(test_out_of_ram_copies_nothing),
        TEST(test_write_protection_is_the_guests_alone),
        TEST(test_compare_and_exchange),
        TEST(test_split_ram_is_freed_whole),
        TEST(test_pci_hole_stays_empty),
        TEST(test_ram_is_freed_in_parts),
        TEST(test_only_what_is_accessed_is_touched),
        TEST(test_ram_is_untouched_again_after_a_reset),
        TEST(test_touch_needs_no_memory),
        TEST(test_window_ends_with_the_ram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

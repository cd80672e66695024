/* SPDX-License-Identifier: BSD-2-Clause */
/* The frame allocator: nothing is given out twice, everything comes back whole, misuse is found. */
/* sources: host/frame.c tests/unit/ram.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/frame.h"
#include "tests/unit/ram.h"

#define FRAMES(size) ((size) / PAGE_SIZE)

static int teardown(void **unused)
{
    (void)unused;
    ram_fini();
    return 0;
}

static void test_all_memory_can_be_had_and_returned(void **unused)
{
    (void)unused;
    ram_init_full(MiB(8));
    for (unsigned round = 0; round < 2; round++) {
        static bool seen[FRAMES(MiB(8))];

        memset(seen, 0, sizeof(seen));
        for (u64 i = 0; i < FRAMES(MiB(8)); i++) {
            hpa_t frame = frame_alloc(0);

            assert_true(is_aligned(frame, PAGE_SIZE) && frame < MiB(8));
            assert_false(seen[frame / PAGE_SIZE]);
            seen[frame / PAGE_SIZE] = true;
        }
        assert_int_equal(frame_alloc(0), FRAME_NONE);
        assert_null(frame_alloc_page());
        assert_int_equal(ram_free(), 0);
        for (u64 i = 0; i < FRAMES(MiB(8)); i++)
            frame_free(i * PAGE_SIZE, 0);
    }
    /* Freed one by one, and yet whole again. */
    assert_int_equal(frame_alloc(11), 0);
}

static void test_add_takes_any_range(void **unused)
{
    struct frame_stats stats;

    (void)unused;
    ram_init_empty(MiB(16));
    frame_add(MiB(1) + KiB(4), MiB(9) + KiB(20));
    frame_add(MiB(12), KiB(4));
    stats = frame_stats();
    assert_int_equal(stats.free, FRAMES(MiB(9) + KiB(24)));
    assert_int_equal(stats.total, stats.free);
    assert_int_equal(stats.bookkeeping, 1);

    /* The aligned 2 MiB blocks inside are there: at 2, 4, 6 and 8 MiB. */
    for (unsigned i = 0; i < 4; i++) {
        hpa_t block = frame_alloc(FRAME_ORDER_2M);

        assert_true(is_aligned(block, MiB(2)) && block >= MiB(2) && block <= MiB(8));
    }
    assert_int_equal(frame_alloc(FRAME_ORDER_2M), FRAME_NONE);

    /* What comes later joins what is there: the used frames between 1 MiB and 1 MiB + 4 KiB were missing. */
    frame_add(MiB(1), KiB(4));
    assert_int_equal(frame_alloc(8), MiB(1));
}

static void test_big_memory_is_added_at_once(void **unused)
{
    (void)unused;
    ram_init_empty(GiB(64));
    frame_add(MiB(1), GiB(64) - MiB(1));
    for (unsigned i = 0; i < 63; i++)
        assert_true(is_aligned(frame_alloc(FRAME_ORDER_1G), GiB(1)));
    assert_int_equal(frame_alloc(FRAME_ORDER_1G), FRAME_NONE);
    assert_int_equal(ram_free(), FRAMES(GiB(1) - MiB(1)));
}

static void test_a_block_is_freed_in_pieces(void **unused)
{
    (void)unused;
    ram_init_full(MiB(2));
    assert_int_equal(frame_alloc(FRAME_ORDER_2M), 0);
    frame_free(MiB(1), 8);
    for (u64 i = 0; i < FRAMES(MiB(1)); i++)
        frame_free((i * 37 % FRAMES(MiB(1))) * PAGE_SIZE, 0);
    assert_int_equal(frame_alloc(FRAME_ORDER_2M), 0);
}

static void test_what_is_free_longest_is_taken_first(void **unused)
{
    (void)unused;
    ram_init_empty(MiB(4));
    frame_add(0, MiB(2));
    frame_add(MiB(2), KiB(4)); /* no block of theirs is joined with another */
    frame_add(MiB(2) + KiB(8), KiB(4));
    assert_int_equal(frame_alloc(0), MiB(2));
    frame_free(MiB(2), 0);
    assert_int_equal(frame_alloc(0), MiB(2) + KiB(8));
    assert_int_equal(frame_alloc(0), MiB(2));
}

static void test_page_is_zeroed(void **unused)
{
    static const char zero[PAGE_SIZE];
    void *page;

    (void)unused;
    ram_init_full(KiB(4));
    for (unsigned round = 0; round < 2; round++) {
        page = frame_alloc_page();
        assert_memory_equal(page, zero, PAGE_SIZE);
        memset(page, 1, PAGE_SIZE);
        frame_free_page(page);
    }
}

static bool is_zeros(hpa_t frame, unsigned order)
{
    const u64 *words = frame_window(frame);

    for (u64 i = 0; i < (PAGE_SIZE << order) / sizeof(u64); i++)
        if (words[i])
            return false;
    return true;
}

static void scrub_all(void)
{
    while (frame_scrub())
        ;
}

static void test_what_was_freed_is_zeroed_in_slices(void **unused)
{
    hpa_t block;
    unsigned slices = 1;

    (void)unused;
    ram_init_full(MiB(4));
    assert_false(frame_scrub()); /* what nobody has had stays as it is */
    block = frame_alloc(FRAME_ORDER_2M);
    memset(frame_window(block), 1, MiB(2));
    frame_free(block, FRAME_ORDER_2M);
    while (frame_scrub())
        slices++;
    assert_int_equal(slices, MiB(2) / KiB(64));
    assert_int_equal(frame_alloc_unclaimed(FRAME_ORDER_2M + 1), 0);
    assert_true(is_zeros(block, FRAME_ORDER_2M));
    assert_true(frame_claim(block, FRAME_ORDER_2M));
    assert_false(frame_claim(block ^ MiB(2), FRAME_ORDER_2M)); /* it was never zeroed */
}

static void test_what_is_taken_before_its_turn_is_not_zeros(void **unused)
{
    hpa_t block;

    (void)unused;
    ram_init_full(MiB(2));
    block = frame_alloc(FRAME_ORDER_2M);
    memset(frame_window(block), 1, MiB(2));
    frame_free(block, FRAME_ORDER_2M);
    assert_true(frame_scrub());
    block = frame_alloc_unclaimed(FRAME_ORDER_2M);
    assert_false(frame_scrub()); /* nor is it touched in use */
    assert_true(frame_claim(block, 4));
    assert_false(frame_claim(block + KiB(64), 0));
    assert_int_equal(*(u8 *)frame_window(block + KiB(64)), 1);
}

static void test_what_was_claimed_is_not_zeros(void **unused)
{
    hpa_t block;

    (void)unused;
    ram_init_full(MiB(2));
    frame_free(frame_alloc(FRAME_ORDER_2M), FRAME_ORDER_2M);
    scrub_all();
    block = frame_alloc_unclaimed(FRAME_ORDER_2M);
    assert_true(frame_claim(block + KiB(8), 0));
    assert_false(frame_claim(block + KiB(8), 0));
    assert_false(frame_claim(block, 2));
    assert_true(frame_claim(block + KiB(16), 2));
    memset(frame_window(block + KiB(8)), 1, PAGE_SIZE);
    frame_free(block, FRAME_ORDER_2M);
    assert_false(frame_scrub()); /* the rest was never claimed */
    assert_true(frame_claim(frame_alloc_unclaimed(FRAME_ORDER_2M), FRAME_ORDER_2M));
    assert_true(is_zeros(block, FRAME_ORDER_2M));
}

/* Random allocations of all orders: each block lies on free frames of the model, and what counts as zeros is. */
static void test_random_use(void **unused)
{
    enum { TOTAL = FRAMES(MiB(16)), BLOCKS = 200 };
    static bool used[TOTAL];
    struct {
        hpa_t base;
        unsigned order;
    } block[BLOCKS];
    unsigned live = 0;
    u64 free = TOTAL, found = 0;

    (void)unused;
    ram_init_full(MiB(16));
    for (unsigned round = 0; round < 20000; round++) {
        if (live < BLOCKS && ram_random(2)) {
            unsigned order = (unsigned)ram_random(8);
            hpa_t base = frame_alloc_unclaimed(order);

            if (base == FRAME_NONE)
                continue;
            bool zeros = is_zeros(base, order), known = frame_claim(base, order);

            assert_true(zeros || !known);
            found += known;
            assert_true(is_aligned(base, PAGE_SIZE << order));
            for (u64 i = base / PAGE_SIZE; i < base / PAGE_SIZE + BIT(order); i++) {
                assert_false(used[i]);
                used[i] = true;
            }
            block[live].base = base;
            block[live++].order = order;
            free -= BIT(order);
        } else if (live > 0) {
            unsigned i = (unsigned)ram_random(live);

            memset(frame_window(block[i].base), (int)round, PAGE_SIZE);
            memset(&used[block[i].base / PAGE_SIZE], 0, BIT(block[i].order));
            frame_free(block[i].base, block[i].order);
            free += BIT(block[i].order);
            block[i] = block[--live];
        }
        assert_int_equal(ram_free(), free);
        if (ram_random(2))
            frame_scrub();
    }
    assert_true(found > 100);
    while (live-- > 0)
        frame_free(block[live].base, block[live].order);
    assert_int_equal(frame_alloc(12), 0);
}

static void test_double_free_is_a_bug(void **unused)
{
    hpa_t frame;

    (void)unused;
    ram_init_full(MiB(2));
    frame = frame_alloc(0);
    frame_free(frame, 0); /* now inside a free block of 2 MiB */
    expect_assert_failure(frame_free(frame, 0));
}

static void test_double_free_inside_a_block_is_a_bug(void **unused)
{
    (void)unused;
    ram_init_full(MiB(2));
    expect_assert_failure(frame_free(MiB(1) + KiB(8), 0));
}

static void test_misaligned_free_is_a_bug(void **unused)
{
    (void)unused;
    ram_init_full(MiB(2));
    assert_int_equal(frame_alloc(FRAME_ORDER_2M), 0);
    expect_assert_failure(frame_free(KiB(4), 1));
}

static void test_write_after_free_is_found(void **unused)
{
    hpa_t block;

    (void)unused;
    ram_init_full(MiB(2));
    block = frame_alloc(4);
    frame_free(block, 4);
    assert_false(frame_scrub());
    ((char *)frame_window(block))[KiB(40) + 5] = 1;
    expect_assert_failure(frame_alloc(FRAME_ORDER_2M));
}

#define TEST(function) cmocka_unit_test_teardown(function, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_memory_can_be_had_and_returned),
        TEST(test_add_takes_any_range),
        TEST(test_big_memory_is_added_at_once),
        TEST(test_a_block_is_freed_in_pieces),
        TEST(test_what_is_free_longest_is_taken_first),
        TEST(test_page_is_zeroed),
        TEST(test_what_was_freed_is_zeroed_in_slices),
        TEST(test_what_is_taken_before_its_turn_is_not_zeros),
        TEST(test_what_was_claimed_is_not_zeros),
        TEST(test_random_use),
        TEST(test_double_free_is_a_bug),
        TEST(test_double_free_inside_a_block_is_a_bug),
        TEST(test_misaligned_free_is_a_bug),
        TEST(test_write_after_free_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

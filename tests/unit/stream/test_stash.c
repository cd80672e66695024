/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/stash.c stream/ram.c host/frame.c tests/unit/ram.c tests/unit/stubs.c */
/* A checkpoint's pages: what is taken from one memory becomes the other one, whatever happens to either meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/frame.h"
#include "stream/stash.h"
#include "tests/unit/ram.h"

/* Two slots that follow each other by number, and not by address. */
#define LOW 300
#define PAGES 700
static const struct wire_range range[] = { { 0, LOW *PAGE_SIZE }, { GiB(4), (PAGES - LOW) * PAGE_SIZE } };

/* A memory of pages that are NULL as long as they are untouched. */
struct side {
    u8 *page[PAGES];
};
static struct side from, to, want;
static struct ram ram;
static u64 *bitmap, free_before;
static struct stash stash;

static const void *side_page(void *vm, gpa_t gpa)
{
    return ((struct side *)vm)->page[ram_index(&ram, gpa)];
}

static u64 side_alike(void *vm, gpa_t gpa)
{
    const struct side *side = vm;
    u64 index = ram_index(&ram, gpa), end = index < LOW ? LOW : PAGES, n = 0;

    while (index + n < end && !side->page[index + n] == !side->page[index])
        n++;
    return n * PAGE_SIZE;
}

static u8 *side_place(void *vm, gpa_t gpa)
{
    u8 **page = &((struct side *)vm)->page[ram_index(&ram, gpa)];

    if (!*page)
        *page = calloc(1, PAGE_SIZE);
    return *page;
}

static const struct stash_memory source = { &from, side_page, side_alike, NULL };
static const struct stash_memory target = { &to, side_page, NULL, side_place };

static int start(void **state)
{
    (void)state;
    ram_init_full(MiB(16));
    free_before = ram_free();
    assert_int_equal(ram_init(&ram, range, 2), 0);
    bitmap = ram_bitmap(&ram);
    return 0;
}

static void forget(struct side *side)
{
    for (unsigned i = 0; i < PAGES; i++) {
        free(side->page[i]);
        side->page[i] = NULL;
    }
}

static int end(void **state)
{
    (void)state;
    stash_fini(&stash);
    assert_int_equal(ram_free(), free_before);
    forget(&from);
    forget(&to);
    forget(&want);
    free(bitmap);
    ram_fini();
    return 0;
}

/* The guest writes a page; one in four becomes zeros. */
static void write(u64 index)
{
    u8 *page = side_place(&from, ram_gpa(&ram, index));

    memset(page, 0, PAGE_SIZE);
    if (ram_random(4))
        page[ram_random(PAGE_SIZE)] = (u8)(1 + ram_random(255));
    bitmap_set_run(bitmap, index, 1);
}

static void copy(struct side *copy, const struct side *side)
{
    forget(copy);
    for (unsigned i = 0; i < PAGES; i++)
        if (side->page[i])
            copy->page[i] = memcpy(malloc(PAGE_SIZE), side->page[i], PAGE_SIZE);
}

static void assert_same(const struct side *a, const struct side *b)
{
    static const u8 zeros[PAGE_SIZE];

    for (unsigned i = 0; i < PAGES; i++)
        assert_memory_equal(a->page[i] ? a->page[i] : zeros, b->page[i] ? b->page[i] : zeros, PAGE_SIZE);
}

/* All of a checkpoint, some pages at a time. */
static u64 take_all(u64 from_page, u64 most)
{
    for (u64 next; from_page < ram.pages; from_page = next) {
        next = stash_take(&stash, &source, bitmap, from_page, most);
        if (next == from_page && bitmap_test(bitmap, next))
            break;
    }
    return from_page;
}

static void put_all(u64 most)
{
    while (!stash_put_part(&stash, &target, most))
        ;
}

/* One checkpoint after the other; the guest writes on while one is sent. */
static void checkpoints_follow(void **state)
{
    (void)state;
    assert_int_equal(stash_init(&stash, &ram, PAGES), 0);
    for (unsigned n = 0; n < 60; n++) {
        u64 written = ram_random(PAGES), most = 1 + ram_random(PAGES);

        for (u64 i = 0; i < written; i++)
            write(ram_random(PAGES));
        if (n % 10 == 9)
            bitmap_set_run(bitmap, 0, PAGES); /* what was not written, and is untouched, too */
        copy(&want, &from);
        written = bitmap_count(bitmap, PAGES);
        assert_int_equal(take_all(0, most), PAGES);
        assert_int_equal(stash.pages + stash.zero_pages, written);
        assert_int_equal(bitmap_count(bitmap, PAGES), written);
        memset(bitmap, 0, (PAGES + 63) / 64 * 8);
        for (u64 i = 0; i < 20; i++)
            write(ram_random(PAGES));
        put_all(most);
        assert_same(&to, &want);
        stash_clear(&stash);
    }
}

/* Zeros are told in runs, never from one slot into the next, and cost the other memory nothing. */
static void zeros_are_runs(void **state)
{
    (void)state;
    assert_int_equal(stash_init(&stash, &ram, 8), 0);
    bitmap_set_run(bitmap, 10, PAGES - 10);
    assert_int_equal(take_all(0, 64), PAGES);
    assert_int_equal(stash.entries, 2);
    assert_int_equal(stash.pages, 0);
    assert_int_equal(stash.zero_pages, PAGES - 10);
    assert_int_equal(stash.entry[0].gpa, 10 * PAGE_SIZE);
    assert_int_equal(stash.entry[0].pages, LOW - 10);
    assert_null(stash.entry[0].bytes);
    assert_int_equal(stash.entry[1].gpa, GiB(4));
    to.page[20] = memset(malloc(PAGE_SIZE), 1, PAGE_SIZE);
    put_all(7);
    assert_true(page_is_zero(to.page[20]));
    for (unsigned i = 0; i < PAGES; i++)
        assert_true(i == 20 || !to.page[i]);
}

/* What does not fit is left for later, and nothing is lost or doubled. */
static void full(void **state)
{
    u64 at = 0, rounds = 0;

    (void)state;
    assert_int_equal(stash_init(&stash, &ram, 50), 0);
    for (unsigned i = 0; i < PAGES; i++)
        write(i);
    while ((at = take_all(at, 16)) < PAGES) {
        assert_int_equal(stash.entries, stash.room);
        assert_null(stash_page(&stash, 0));
        assert_false(stash_zeros(&stash, GiB(4), 1) && stash.entries > stash.room);
        put_all(PAGES);
        stash_clear(&stash);
        rounds++;
    }
    put_all(PAGES);
    assert_same(&to, &from);
    assert_in_range(rounds, (PAGES * 3 / 4) / 50 - 3, PAGES / 50);
}

/* Of a page that came twice the later contents count. */
static void the_later_counts(void **state)
{
    (void)state;
    assert_int_equal(stash_init(&stash, &ram, 8), 0);
    memset(stash_page(&stash, GiB(4)), 1, PAGE_SIZE);
    assert_true(stash_zeros(&stash, GiB(4), 2));
    memset(stash_page(&stash, GiB(4) + PAGE_SIZE), 2, PAGE_SIZE);
    put_all(1);
    assert_true(page_is_zero(to.page[LOW]));
    assert_int_equal(to.page[LOW + 1][77], 2);
}

/* Nothing is put before its time: the copy is as the last checkpoint until then. */
static void kept_apart(void **state)
{
    (void)state;
    assert_int_equal(stash_init(&stash, &ram, PAGES), 0);
    write(5);
    copy(&to, &from);
    copy(&want, &to);
    memset(stash_page(&stash, 5 * PAGE_SIZE), 9, PAGE_SIZE);
    assert_same(&to, &want);
    stash_clear(&stash);
    put_all(PAGES);
    assert_same(&to, &want);
}

static void no_memory(void **state)
{
    (void)state;
    assert_int_equal(stash_init(&stash, &ram, MiB(16) / PAGE_SIZE + 1), -ENOMEM);
    stash_fini(&stash);
    assert_int_equal(ram_free(), free_before);
    stash_fini(&stash);
}

#define stash_test(function) cmocka_unit_test_setup_teardown(function, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stash_test(checkpoints_follow), stash_test(zeros_are_runs), stash_test(full),
        stash_test(the_later_counts),   stash_test(kept_apart),     stash_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

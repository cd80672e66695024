/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/ram_digest.c stream/ram.c */
/* The digest that is kept page by page is that of the whole memory, whatever was written since a page was digested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "stream/ram_digest.h"

#define LOW 70 /* pages below a hole: no multiple of a word of a bitmap */
#define PAGES 200

static const struct wire_range ranges[] = { { .gpa = 0, .bytes = LOW * WIRE_PAGE },
                                            { .gpa = MiB(4), .bytes = (PAGES - LOW) * WIRE_PAGE } };

struct memory {
    struct ram ram;
    struct ram_digest digest;
    u8 page[PAGES][WIRE_PAGE];
};

static struct memory *memory_make(void)
{
    struct memory *m = calloc(1, sizeof(*m));

    assert_int_equal(ram_init(&m->ram, ranges, ARRAY_SIZE(ranges)), 0);
    assert_int_equal(ram_digest_init(&m->digest, &m->ram), 0);
    for (unsigned i = 0; i < PAGES; i += 3)
        memset(m->page[i], (int)i, WIRE_PAGE);
    return m;
}

static void memory_free(struct memory *m)
{
    ram_digest_fini(&m->digest);
    free(m);
}

/* All at once. */
static u64 plain(const struct memory *m)
{
    u64 sum = 0;

    for (u64 i = 0; i < PAGES; i++)
        sum += digest_page(ram_gpa(&m->ram, i), m->page[i]);
    return sum;
}

/* At most `budget` pages that are stale; returns how many they were. */
static unsigned digest_some(struct memory *m, unsigned budget)
{
    unsigned n = 0;
    u64 index;

    for (; n < budget && (index = ram_digest_next(&m->digest, &m->ram)) < PAGES; n++)
        assert_int_equal(ram_digest_take(&m->digest, &m->ram, index, m->page[index]), !page_is_zero(m->page[index]));
    return n;
}

static void test_each_page_once(void **state)
{
    struct memory *m = memory_make();

    (void)state;
    assert_int_equal(digest_some(m, PAGES + 1), PAGES);
    assert_int_equal(m->digest.sum, plain(m));
    assert_int_equal(digest_some(m, 1), 0);
    memory_free(m);
}

static const void *page_of(void *ctx, gpa_t gpa)
{
    const struct memory *m = ctx;

    return m->page[ram_index(&m->ram, gpa)];
}

/* A part is so much that KEEPALIVE can be said after it; all pages are counted, and those with contents. */
static void test_in_parts(void **state)
{
    struct digest_work work = { 0 };
    struct memory *m = memory_make();
    unsigned parts = 1;

    (void)state;
    while (!ram_digest_part(&m->digest, &m->ram, page_of, m, &work))
        assert_int_equal(work.pages, parts++ * WIRE_KEEPALIVE_PAGES);
    assert_int_equal(parts, PAGES / WIRE_KEEPALIVE_PAGES + 1);
    assert_int_equal(work.pages, PAGES);
    assert_int_equal(work.filled, (PAGES + 2) / 3 - 1); /* every third, but the first is filled with zeros */
    assert_int_equal(m->digest.sum, plain(m));
    memory_free(m);
}

/* Only what was written is digested again: a page of zeros that gets contents, contents that become zeros. */
static void test_only_what_changed(void **state)
{
    static const unsigned written[] = { 0, 1, 63, LOW - 1, LOW, PAGES - 1 };
    struct memory *m = memory_make();

    (void)state;
    digest_some(m, PAGES);
    for (unsigned i = 0; i < ARRAY_SIZE(written); i++) {
        memset(m->page[written[i]], page_is_zero(m->page[written[i]]) ? 7 : 0, WIRE_PAGE);
        ram_digest_forget(&m->digest, written[i]);
    }
    assert_int_equal(digest_some(m, PAGES), ARRAY_SIZE(written));
    assert_int_equal(m->digest.sum, plain(m));
    memory_free(m);
}

/* A guest that writes while its pages are digested, whose writes are told now and then, as by a dirty log. */
static void test_dirtying_between(void **state)
{
    struct memory *m = memory_make();
    u64 *dirty = ram_bitmap(&m->ram);

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned n = (unsigned)rand() % 20; n; n--) {
            u64 index = (u64)rand() % PAGES;

            m->page[index][rand() % WIRE_PAGE] = (u8)(rand() % 2);
            bitmap_set(dirty, index);
        }
        digest_some(m, (unsigned)rand() % 40);
        if (rand() % 4)
            continue;
        ram_digest_forget_set(&m->digest, &m->ram, dirty);
        memset(dirty, 0, (PAGES + 63) / 64 * sizeof(u64));
        if (rand() % 2)
            continue;
        digest_some(m, PAGES);
        assert_int_equal(m->digest.sum, plain(m));
    }
    free(dirty);
    memory_free(m);
}

/* A byte, and two pages that changed places, make another digest. */
static void test_it_tells_apart(void **state)
{
    struct memory *m = memory_make();
    u64 before;

    (void)state;
    digest_some(m, PAGES);
    before = m->digest.sum;
    m->page[100][4000] ^= 1;
    ram_digest_forget(&m->digest, 100);
    digest_some(m, PAGES);
    assert_int_not_equal(m->digest.sum, before);
    m->page[100][4000] ^= 1;
    memset(m->page[3], 6, WIRE_PAGE);
    memset(m->page[6], 3, WIRE_PAGE);
    for (u64 i = 0; i < PAGES; i++)
        ram_digest_forget(&m->digest, i);
    digest_some(m, PAGES);
    assert_int_not_equal(m->digest.sum, before);
    memory_free(m);
}

/* Nobody asked for verification: there is nothing to keep. */
static void test_without_it(void **state)
{
    struct ram_digest none = { .part = NULL };
    struct memory *m = memory_make();
    u64 bitmap[(PAGES + 63) / 64] = { 1 };

    (void)state;
    ram_digest_forget(&none, 3);
    ram_digest_forget_set(&none, &m->ram, bitmap);
    ram_digest_fini(&none);
    assert_null(none.stale);
    memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_page_once),    cmocka_unit_test(test_in_parts),
        cmocka_unit_test(test_only_what_changed), cmocka_unit_test(test_dirtying_between),
        cmocka_unit_test(test_it_tells_apart),    cmocka_unit_test(test_without_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

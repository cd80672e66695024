/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/record.c stream/crc32c.c dev/codec.c tests/unit/stubs.c */
/* A record with pages comes in pieces that end anywhere: each page is asked for once where it goes, and arrives. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "stream/crc32c.h"
#include "stream/record.h"

#define PAGES 3

static u8 page[PAGES][WIRE_PAGE], arrived[PAGES][WIRE_PAGE];
static u8 bytes[sizeof(struct wire_header) + 256 + sizeof(page)];
static size_t size, taken, there; /* of the bytes: in all, received, what has come until now */
static unsigned placed;

static long receive(struct transport *transport, void *to, size_t len)
{
    size_t n = MIN(len, there - taken);

    (void)transport;
    memcpy(to, bytes + taken, n);
    taken += n;
    return n ? (long)n : -EAGAIN;
}

static u8 *place(void *ctx, const struct wire_page *entry)
{
    (void)ctx;
    assert_int_equal(entry->gpa, placed * WIRE_PAGE);
    assert_in_range(placed, 0, PAGES - 1);
    return arrived[placed++];
}

/* A header, and a record with all pages. */
static void say(void)
{
    struct greeting greeting = { .kind = WIRE_MOVE };
    struct wire_pages head = { .count = PAGES };
    struct outbox box;

    assert_int_equal(outbox_init(&box, 256), 0);
    outbox_greet(&box, &greeting);
    size = outbox_take(&box, bytes, sizeof(bytes));
    outbox_begin(&box);
    codec_bytes(&box.body, &head, sizeof(head));
    for (unsigned i = 0; i < PAGES; i++) {
        struct wire_page entry = { .gpa = i * WIRE_PAGE, .len = WIRE_PAGE };

        memset(page[i], 'a' + (int)i, WIRE_PAGE);
        entry.crc = crc32c(0, page[i], WIRE_PAGE);
        codec_bytes(&box.body, &entry, sizeof(entry));
    }
    for (unsigned i = 0; i < PAGES; i++)
        outbox_page(&box, page[i]);
    outbox_end(&box, WIRE_PAGES);
    size += outbox_take(&box, bytes + size, sizeof(bytes) - size);
    outbox_fini(&box);
}

/* All of it comes, in two pieces of which the first has so many bytes. */
static void come(size_t first)
{
    struct transport transport = { .ops = &(const struct transport_ops){ .receive = receive } };
    struct inbox box;
    unsigned pages = 0;
    int event;

    assert_int_equal(inbox_init(&box, 256, place, NULL), 0);
    memset(arrived, 0, sizeof(arrived));
    taken = placed = 0;
    there = first;
    while ((event = inbox_next(&box, &transport)) != INBOX_NOTHING || there < size) {
        assert_true(event >= 0);
        pages += event == INBOX_PAGE;
        if (event == INBOX_NOTHING)
            there = size;
    }
    assert_int_equal(pages, PAGES);
    assert_int_equal(placed, PAGES);
    assert_memory_equal(arrived, page, sizeof(page));
    inbox_fini(&box);
}

static void test_pieces(void **state)
{
    (void)state;
    say();
    for (size_t first = 0; first <= size; first++)
        come(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

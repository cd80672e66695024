/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtqueue core against a driver written here: what a good one gets, and what a lying one does not get away with.
 */
/* sources: dev/virtqueue.c dev/codec.c mm/guest_mem.c mm/guest_missing.c mm/dirty.c mm/npt.c mm/npt_log.c */
/* sources: host/frame.c tests/unit/ram.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/virtqueue.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "mm/guest_missing.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/ram.h"

#define SIZE 8
#define DESC 0x1000
#define AVAIL 0x2000
#define USED 0x3000
#define INDIRECT 0x4000
#define BUFFER 0x10000
#define RAM MiB(4)

static struct npt npt;
static struct guest_mem mem;
static struct virtqueue vq;
static struct virtqueue_chain chain;

static void start(u16 size)
{
    vq = (struct virtqueue){ .indirect = true };
    virtqueue_reset(&vq, &mem, size);
    vq.desc = DESC;
    vq.avail = AVAIL;
    vq.used = USED;
    assert_true(virtqueue_start(&vq));
}

static int setup(void **unused)
{
    (void)unused;
    ram_init_full(MiB(16));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, RAM), 0);
    start(SIZE);
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

static void write16(gpa_t gpa, u16 value)
{
    assert_int_equal(guest_write(&mem, gpa, &value, 2), 0);
}

static u16 read16(gpa_t gpa)
{
    u16 value;

    assert_int_equal(guest_read(&mem, gpa, &value, 2), 0);
    return value;
}

static void desc_at(gpa_t table, u16 index, u64 addr, u32 len, u16 flags, u16 next)
{
    struct virtq_desc desc = { addr, len, flags, next };

    assert_int_equal(guest_write(&mem, table + index * sizeof(desc), &desc, sizeof(desc)), 0);
}

static void desc(u16 index, u64 addr, u32 len, u16 flags, u16 next)
{
    desc_at(DESC, index, addr, len, flags, next);
}

/* Make a chain available. */
static void offer(u16 head)
{
    u16 idx = read16(AVAIL + 2);

    write16(AVAIL + 4 + 2 * (idx % vq.size), head);
    write16(AVAIL + 2, (u16)(idx + 1));
}

static void refused(const char *why)
{
    assert_false(virtqueue_pop(&vq, &chain));
    assert_non_null(vq.error);
    if (!strstr(vq.error, why))
        fail_msg("\"%s\" does not say \"%s\"", vq.error, why);
    assert_false(virtqueue_live(&vq));
    assert_false(virtqueue_pop(&vq, &chain));
    assert_false(virtqueue_signal_needed(&vq));
}

static void test_requests_come_in_order_with_their_parts(void **unused)
{
    char text[16] = "";

    (void)unused;
    assert_false(virtqueue_pop(&vq, &chain));
    desc(3, BUFFER, 4, VIRTQ_DESC_F_NEXT, 5);
    desc(5, BUFFER + 100, 3, VIRTQ_DESC_F_NEXT, 0);
    desc(0, BUFFER + 200, 8, VIRTQ_DESC_F_WRITE, 0);
    assert_int_equal(guest_write(&mem, BUFFER, "abcd", 4), 0);
    assert_int_equal(guest_write(&mem, BUFFER + 100, "efg", 3), 0);
    offer(3);
    desc(1, BUFFER, 1, 0, 0);
    offer(1);

    assert_true(virtqueue_pop(&vq, &chain));
    assert_int_equal(chain.head, 3);
    assert_int_equal(chain.nr_read, 2);
    assert_int_equal(chain.nr_parts, 3);
    assert_int_equal(chain.read_len, 7);
    assert_int_equal(chain.write_len, 8);
    assert_int_equal(virtqueue_read(&vq, &chain, 2, text, sizeof(text)), 5);
    assert_string_equal(text, "cdefg");
    assert_int_equal(virtqueue_write(&vq, &chain, 1, "12345678", 8), 7);
    assert_int_equal(guest_read(&mem, BUFFER + 200, text, 8), 0);
    assert_memory_equal(text,
                        "\0"
                        "1234567",
                        8);

    assert_true(virtqueue_pop(&vq, &chain));
    assert_int_equal(chain.head, 1);
    assert_false(virtqueue_pop(&vq, &chain));
    assert_null(vq.error);
}

static void test_returns_are_seen_when_published_and_not_before(void **unused)
{
    struct virtq_used_elem elem[2];

    (void)unused;
    virtqueue_push(&vq, 3, 7);
    virtqueue_push(&vq, 1, 9);
    assert_int_equal(read16(USED + 2), 0);
    virtqueue_publish(&vq);
    assert_int_equal(read16(USED + 2), 2);
    assert_int_equal(guest_read(&mem, USED + 4, elem, sizeof(elem)), 0);
    assert_int_equal(elem[0].id, 3);
    assert_int_equal(elem[0].len, 7);
    assert_int_equal(elem[1].id, 1);
    assert_int_equal(elem[1].len, 9);
}

static void test_rollback_gives_requests_again(void **unused)
{
    (void)unused;
    desc(1, BUFFER, 1, 0, 0);
    desc(2, BUFFER, 2, 0, 0);
    offer(1);
    offer(2);
    assert_true(virtqueue_pop(&vq, &chain));
    assert_true(virtqueue_pop(&vq, &chain));
    virtqueue_push(&vq, 1, 0);
    virtqueue_rollback(&vq, 2);
    virtqueue_publish(&vq);
    assert_int_equal(read16(USED + 2), 0);
    assert_true(virtqueue_pop(&vq, &chain));
    assert_int_equal(chain.head, 1);
}

/* Around the end of the 16-bit indices, twice. */
static void test_indices_wrap(void **unused)
{
    (void)unused;
    desc(0, BUFFER, 1, 0, 0);
    for (u32 i = 0; i < 2 * 65536 + 5; i++) {
        offer(0);
        if (!virtqueue_pop(&vq, &chain))
            fail_msg("nothing at %u", i);
        virtqueue_push(&vq, chain.head, i);
        virtqueue_publish(&vq);
    }
    assert_int_equal(read16(USED + 2), 5);
}

static void test_indirect_descriptors(void **unused)
{
    (void)unused;
    desc_at(INDIRECT, 0, BUFFER, 10, VIRTQ_DESC_F_NEXT, 19);
    desc_at(INDIRECT, 19, BUFFER, 20, VIRTQ_DESC_F_WRITE, 0);
    /* A table longer than the queue, and after an ordinary buffer. */
    desc(0, BUFFER, 1, VIRTQ_DESC_F_NEXT, 1);
    desc(1, INDIRECT, 20 * 16, VIRTQ_DESC_F_INDIRECT, 0);
    offer(0);
    assert_true(virtqueue_pop(&vq, &chain));
    assert_int_equal(chain.nr_parts, 3);
    assert_int_equal(chain.read_len, 11);
    assert_int_equal(chain.write_len, 20);
}

static void test_interrupts_by_flag(void **unused)
{
    (void)unused;
    assert_false(virtqueue_signal_needed(&vq));
    virtqueue_push(&vq, 0, 0);
    virtqueue_publish(&vq);
    assert_true(virtqueue_signal_needed(&vq));
    assert_false(virtqueue_signal_needed(&vq));
    write16(AVAIL, VIRTQ_AVAIL_F_NO_INTERRUPT);
    virtqueue_push(&vq, 0, 0);
    virtqueue_publish(&vq);
    assert_false(virtqueue_signal_needed(&vq));
    virtqueue_notify_off(&vq);
    assert_int_equal(read16(USED), VIRTQ_USED_F_NO_NOTIFY);
    assert_false(virtqueue_notify_on(&vq));
    assert_int_equal(read16(USED), 0);
}

static void test_interrupts_by_event_index(void **unused)
{
    const gpa_t used_event = AVAIL + 4 + 2 * SIZE, avail_event = USED + 4 + 8 * SIZE;

    (void)unused;
    vq.event_idx = true;
    for (unsigned i = 0; i < 3; i++)
        virtqueue_push(&vq, 0, 0);
    virtqueue_publish(&vq);
    assert_true(virtqueue_signal_needed(&vq)); /* event 0 is among 0, 1, 2 */
    write16(used_event, 4);
    virtqueue_push(&vq, 0, 0);
    virtqueue_publish(&vq);
    assert_false(virtqueue_signal_needed(&vq)); /* 3 */
    virtqueue_push(&vq, 0, 0);
    virtqueue_publish(&vq);
    assert_true(virtqueue_signal_needed(&vq)); /* 4 */
    desc(0, BUFFER, 1, 0, 0);
    offer(0);
    assert_true(virtqueue_notify_on(&vq)); /* one came before we asked */
    assert_true(virtqueue_pop(&vq, &chain));
    assert_false(virtqueue_notify_on(&vq));
    assert_int_equal(read16(avail_event), 1);
}

static void test_areas_must_be_aligned_ram(void **unused)
{
    static const struct {
        gpa_t desc, avail, used;
    } bad[] = {
        { DESC + 8, AVAIL, USED },  { DESC, AVAIL + 1, USED }, { DESC, AVAIL, USED + 2 },     { RAM, AVAIL, USED },
        { DESC, RAM - 4, USED },    { DESC, AVAIL, RAM - 8 },  { ~0ULL - 15, AVAIL, USED },   { DESC, ~0ULL - 1, USED },
        { DESC, AVAIL, ~0ULL - 3 }, { RAM - 16, AVAIL, USED }, { DESC, 0xE0000000ULL, USED },
    };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        virtqueue_reset(&vq, &mem, SIZE);
        vq.desc = bad[i].desc;
        vq.avail = bad[i].avail;
        vq.used = bad[i].used;
        assert_false(virtqueue_start(&vq));
        refused("not in RAM");
    }
}

static void test_lies_break_the_queue(void **unused)
{
    static const struct {
        struct virtq_desc desc[3];
        const char *why;
    } lie[] = {
        { { { BUFFER, 1, VIRTQ_DESC_F_NEXT, 0 } }, "loop" },
        { { { BUFFER, 1, VIRTQ_DESC_F_NEXT, 1 }, { BUFFER, 1, VIRTQ_DESC_F_NEXT, 0 } }, "loop" },
        { { { BUFFER, 1, VIRTQ_DESC_F_NEXT, SIZE } }, "beyond the table" },
        { { { BUFFER, 1, VIRTQ_DESC_F_NEXT, 0xFFFF } }, "beyond the table" },
        { { { BUFFER, 0, 0, 0 } }, "empty" },
        { { { RAM - 1, 2, 0, 0 } }, "not in RAM" },
        { { { ~0ULL, 1, 0, 0 } }, "not in RAM" },
        { { { BUFFER, 0xFFFFFFFF, 0, 0 } }, "not in RAM" },
        { { { 0xFFFFFFFFFFFFF000, 0x2000, 0, 0 } }, "not in RAM" },
        { { { BUFFER, 1, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 1 }, { BUFFER, 1, 0, 0 } }, "after a writable" },
        { { { INDIRECT, 16, VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_NEXT, 1 } }, "successor" },
        { { { INDIRECT, 0, VIRTQ_DESC_F_INDIRECT, 0 } }, "wrong size" },
        { { { INDIRECT, 17, VIRTQ_DESC_F_INDIRECT, 0 } }, "wrong size" },
        { { { INDIRECT, 0xFFFFFFF0, VIRTQ_DESC_F_INDIRECT, 0 } }, "wrong size" },
        { { { RAM - 16, 32, VIRTQ_DESC_F_INDIRECT, 0 } }, "table is not in RAM" },
        { { { DESC, 16, VIRTQ_DESC_F_INDIRECT, 0 } }, "indirect table" }, /* the table is itself: nested */
    };

    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(lie); i++) {
        virtqueue_reset(&vq, &mem, SIZE);
        vq.desc = DESC;
        vq.avail = AVAIL;
        vq.used = USED;
        write16(AVAIL + 2, 0);
        assert_true(virtqueue_start(&vq));
        for (u16 d = 0; d < 3; d++)
            assert_int_equal(guest_write(&mem, DESC + 16 * d, &lie[i].desc[d], 16), 0);
        offer(0);
        refused(lie[i].why);
    }
}

static void test_indices_that_jump_or_point_outside(void **unused)
{
    (void)unused;
    write16(AVAIL + 2, SIZE + 1);
    refused("jumped");
    virtqueue_reset(&vq, &mem, SIZE);
    assert_null(vq.error);
    vq.desc = DESC;
    vq.avail = AVAIL;
    vq.used = USED;
    write16(AVAIL + 2, 0);
    assert_true(virtqueue_start(&vq));
    offer(SIZE);
    refused("beyond the table");
}

static void test_indirect_only_if_negotiated(void **unused)
{
    (void)unused;
    vq.indirect = false;
    desc_at(INDIRECT, 0, BUFFER, 1, 0, 0);
    desc(0, INDIRECT, 16, VIRTQ_DESC_F_INDIRECT, 0);
    offer(0);
    refused("not negotiated");
}

/* Sums beyond 32 bits: buffers that overlap, as many as a queue can have. */
static void test_total_length_overflow(void **unused)
{
    (void)unused;
    guest_mem_fini(&mem);
    npt_fini(&npt);
    ram_fini();
    ram_init_full(MiB(64));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&mem, &npt, MiB(32)), 0);
    start(VIRTQUEUE_SIZE_MAX);
    for (u16 i = 0; i < VIRTQUEUE_SIZE_MAX; i++)
        desc(i, 0, GiB(4) / VIRTQUEUE_SIZE_MAX, VIRTQ_DESC_F_NEXT, (u16)(i + 1));
    offer(0);
    refused("4 GiB");
}

static void test_state_survives_save_and_restore(void **unused)
{
    static u8 bytes[128];
    struct codec w = codec_saver(bytes, sizeof(bytes));
    struct virtqueue other = { .mem = &mem, .indirect = true };

    (void)unused;
    desc(2, BUFFER, 1, 0, 0);
    offer(2);
    assert_true(virtqueue_pop(&vq, &chain));
    virtqueue_push(&vq, 2, 0);
    virtqueue_publish(&vq);
    assert_true(virtqueue_signal_needed(&vq));
    virtqueue_state(&vq, &w);
    assert_int_equal(w.err, 0);

    struct codec r = codec_restorer(bytes, w.at);

    virtqueue_state(&other, &r);
    assert_int_equal(r.err, 0);
    assert_int_equal(r.at, w.at);
    assert_memory_equal(&other, &vq, sizeof(vq));
    for (size_t len = 0; len < w.at; len++) {
        r = codec_restorer(bytes, len);
        virtqueue_state(&other, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    /* Areas that are not RAM here, and a size that is none. */
    vq.used = RAM;
    w = codec_saver(bytes, sizeof(bytes));
    virtqueue_state(&vq, &w);
    r = codec_restorer(bytes, w.at);
    virtqueue_state(&other, &r);
    assert_int_equal(r.err, -EINVAL);
    vq.used = USED;
    vq.size = 12;
    w = codec_saver(bytes, sizeof(bytes));
    virtqueue_state(&vq, &w);
    r = codec_restorer(bytes, w.at);
    virtqueue_state(&other, &r);
    assert_int_equal(r.err, -EINVAL);
}

/* Random rings end in a broken queue, or in chains that are RAM and in order. */
static void test_random_rings(void **unused)
{
    (void)unused;
    for (unsigned round = 0; round < 3000; round++) {
        virtqueue_reset(&vq, &mem, SIZE);
        vq.desc = DESC;
        vq.avail = AVAIL;
        vq.used = USED;
        assert_true(virtqueue_start(&vq));
        write16(AVAIL + 2, (u16)ram_random(SIZE + 2));
        for (u16 i = 0; i < SIZE; i++) {
            write16(AVAIL + 4 + 2 * i, (u16)ram_random(SIZE + 1));
            desc(i, ram_random(8) ? ram_random(RAM) : ram_random(~0ULL), (u32)ram_random(64), (u16)ram_random(8),
                 (u16)ram_random(SIZE + 1));
        }
        for (unsigned n = 0; virtqueue_pop(&vq, &chain); n++) {
            assert_true(n < SIZE && chain.nr_parts > 0 && chain.nr_read <= chain.nr_parts);
            for (unsigned i = 0; i < chain.nr_parts; i++)
                assert_true(guest_mem_valid(&mem, chain.part[i].addr, chain.part[i].len));
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void hide(gpa_t gpa)
{
    assert_int_equal(guest_mem_expect(&mem, align_down(gpa, PAGE_SIZE), 1), 0);
}

/* Every page of a request and of the rings is waited for, all that are known at once, and nothing is taken before. */
static void test_a_queue_waits_for_missing_pages(void **unused)
{
    static const gpa_t pages[] = { DESC, AVAIL, USED, INDIRECT, BUFFER, BUFFER + PAGE_SIZE };
    static u8 bytes[PAGE_SIZE];
    u64 page;

    (void)unused;
    desc(2, INDIRECT, 32, VIRTQ_DESC_F_INDIRECT, 0);
    desc_at(INDIRECT, 0, BUFFER, 10, VIRTQ_DESC_F_NEXT, 1);
    desc_at(INDIRECT, 1, BUFFER + PAGE_SIZE, 10, VIRTQ_DESC_F_WRITE, 0);
    offer(2);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        assert_int_equal(guest_read(&mem, pages[i], bytes, PAGE_SIZE), 0);
        hide(pages[i]);
        for (unsigned attempt = 0; attempt < 2; attempt++) {
            assert_false(virtqueue_pop(&vq, &chain));
            assert_true(vq.waits);
            assert_false(virtqueue_notify_on(&vq)); /* nobody turns round and round */
            assert_null(vq.error);
            assert_int_equal(vq.last_avail, 0);
        }
        assert_true(guest_mem_wanted(&mem, &page));
        assert_int_equal(page, pages[i] / PAGE_SIZE);
        assert_int_equal(guest_mem_supply(&mem, page, bytes), 0);
    }
    hide(BUFFER);
    hide(BUFFER + PAGE_SIZE);
    assert_false(virtqueue_pop(&vq, &chain));
    assert_true(guest_mem_wanted(&mem, &page) && guest_mem_wanted(&mem, &page));
    assert_int_equal(guest_mem_supply(&mem, BUFFER / PAGE_SIZE, NULL), 0);
    assert_int_equal(guest_mem_supply(&mem, BUFFER / PAGE_SIZE + 1, NULL), 0);
    assert_true(virtqueue_pop(&vq, &chain));
    assert_false(vq.waits);
    assert_int_equal(chain.read_len + chain.write_len, 20);
    assert_false(virtqueue_pop(&vq, &chain));
    assert_false(vq.waits);
}

/* A request may name all of the RAM, but only what the device will use of it is brought. */
static void test_no_more_is_asked_for_than_used(void **unused)
{
    (void)unused;
    desc(2, BUFFER, VIRTQUEUE_REACH - PAGE_SIZE, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 3);
    desc(3, BUFFER, RAM - BUFFER, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 4);
    desc(4, BUFFER, RAM - BUFFER, VIRTQ_DESC_F_WRITE, 0);
    offer(2);
    assert_int_equal(guest_mem_expect(&mem, BUFFER, (RAM - BUFFER) / PAGE_SIZE), 0);
    assert_false(virtqueue_pop(&vq, &chain));
    assert_true(vq.waits);
    assert_int_equal(mem.requests, VIRTQUEUE_REACH / PAGE_SIZE - 1);
}

/* A queue is restored before any of its memory is here, and judged by addresses alone. */
static void test_state_needs_no_memory(void **unused)
{
    u8 bytes[256];
    struct codec c;

    (void)unused;
    assert_int_equal(guest_mem_expect(&mem, 0, RAM / PAGE_SIZE), 0);
    c = codec_saver(bytes, sizeof(bytes));
    virtqueue_state(&vq, &c);
    c = codec_restorer(bytes, c.at);
    vq.last_avail = 77;
    virtqueue_state(&vq, &c);
    assert_int_equal(vq.last_avail, 0);
    assert_int_equal(mem.requests, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_requests_come_in_order_with_their_parts),
        TEST(test_returns_are_seen_when_published_and_not_before),
        TEST(test_rollback_gives_requests_again),
        TEST(test_indices_wrap),
        TEST(test_indirect_descriptors),
        TEST(test_interrupts_by_flag),
        TEST(test_interrupts_by_event_index),
        TEST(test_areas_must_be_aligned_ram),
        TEST(test_lies_break_the_queue),
        TEST(test_indices_that_jump_or_point_outside),
        TEST(test_indirect_only_if_negotiated),
        TEST(test_total_length_overflow),
        TEST(test_state_survives_save_and_restore),
        TEST(test_a_queue_waits_for_missing_pages),
        TEST(test_state_needs_no_memory),
        TEST(test_no_more_is_asked_for_than_used),
        TEST(test_random_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

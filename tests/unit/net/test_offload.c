/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offloads: what leaves must be what a receiver that knows nothing of offloads accepts. Checksums are compared with
 * numbers computed by hand from the RFCs, and checked by a second, naive summer; frames come in one piece and in many.
 */
/* sources: net/offload.c net/ethernet.c net/headers.c net/csum.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/csum.h"
#include "net/ethernet.h"
#include "net/offload.h"

#define MAX_OUT 2000

static struct {
    u8 *bytes;
    u32 len;
    struct frame_offload offload;
} out[MAX_OUT];
static unsigned nr_out;

/* Copied to a block of exactly its size, for the sanitizers. */
static void collect(void *ctx, const struct frame *frame)
{
    assert_ptr_equal(ctx, &nr_out);
    assert_true(nr_out < MAX_OUT);
    out[nr_out].bytes = malloc(frame->len);
    out[nr_out].len = frame->len;
    out[nr_out].offload = frame->offload;
    assert_true(frame_read(frame, 0, out[nr_out].bytes, frame->len));
    nr_out++;
}

static void forget(void)
{
    while (nr_out > 0)
        free(out[--nr_out].bytes);
}

/* RFC 1071 as it is written: 16-bit big-endian numbers, end-around carry. */
static u16 naive(const u8 *data, size_t len, u32 sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i % 2 ? data[i] : (u32)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (u16)sum;
}

/* A receiver's check of TCP: the sum over pseudo-header and segment, checksum included, is all ones. */
static bool tcp_right(const u8 *frame, u32 len, u32 l3, u32 l4, bool ip6)
{
    u32 addresses = ip6 ? 32 : 8, sum = naive(frame + l3 + (ip6 ? 8 : 12), addresses, 0);

    return naive(frame + l4, len - l4, sum + 6 + (len - l4)) == 0xFFFF;
}

/* 192.0.2.1 port 1 to 192.0.2.2 port 2, ACK, "ab": sums by hand to 3596, so the checksum is CA69. */
static const u8 tcp4[] = {
    2,    0,   0, 0,  0, 2, 2,    0, 0,  0, 0,    1,    0x08, 0x00, /* Ethernet */
    0x45, 0,   0, 42, 0, 1, 0x40, 0, 64, 6, 0xB6, 0xCB, 192,  0,    2, 1, 192,
    0,    2,   2, /* IPv4 */
    0,    1,   0, 2,  0, 0, 0,    0, 0,  0, 0,    0,    0x50, 0x10, 0, 0, /* checksum: */ 0x84,
    0x21, 0,   0, /* TCP */
    'a',  'b',
};
/* Pseudo-header: C000 + 0201 + C000 + 0202 + 0006 + 0016 = 1841F, folded 8420; what a sender leaves in the field. */
#define TCP4_PSEUDO 0x8420

static void csum_of_words(void **state)
{
    /* The example of RFC 1071, 3: 0001 F203 F4F5 F6F7 sum to DDF2. */
    static const u8 example[] = { 0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7 };
    /* An IPv4 header whose checksum is known to be B861. */
    static const u8 header[] = { 0x45, 0, 0,    0x73, 0, 0, 0x40, 0,    0x40, 0x11,
                                 0,    0, 0xC0, 0xA8, 0, 1, 0xC0, 0xA8, 0,    0xC7 };
    u16 sum = csum_fold(csum_add(0, example, sizeof(example)));
    u8 random[300];

    (void)state;
    assert_int_equal(be16_get(&sum), 0xDDF2);
    sum = (u16)~csum_fold(csum_add(0, header, sizeof(header)));
    assert_int_equal(be16_get(&sum), 0xB861);
    srand(1);
    for (size_t i = 0; i < sizeof(random); i++)
        random[i] = (u8)rand();
    for (size_t start = 0; start < 9; start++)
        for (size_t len = 0; len + start <= sizeof(random); len++) {
            u8 *block = malloc(len + 1);

            memcpy(block, random + start, len);
            sum = csum_fold(csum_add(0, block, len));
            assert_int_equal(be16_get(&sum), naive(block, len, 0));
            free(block);
        }
    memset(random, 0xFF, sizeof(random)); /* carries all the way */
    sum = csum_lwip(random, sizeof(random));
    assert_int_equal(sum, 0xFFFF);
}

/* A frame cut into pieces of the given length, each in a block of its own. */
static struct frame pieces(const u8 *bytes, u32 len, u32 piece)
{
    struct frame frame = { .len = len };

    for (u32 at = 0; at < len; at += piece) {
        u32 take = len - at < piece ? len - at : piece;
        u8 *block = malloc(take);

        memcpy(block, bytes + at, take);
        assert_true(frame.nr_parts < FRAME_PARTS);
        frame.part[frame.nr_parts++] = (struct frame_part){ block, take };
    }
    headers_parse(&frame);
    return frame;
}

static void pieces_free(struct frame *frame)
{
    for (unsigned i = 0; i < frame->nr_parts; i++)
        free((void *)frame->part[i].data);
}

static void sum_of_pieces(void **state)
{
    u8 bytes[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (u8)(i * 37 + 5);
    for (u32 piece = 11; piece < 200; piece += 3) {
        struct frame frame = pieces(bytes, sizeof(bytes), piece);

        for (u32 start = 0; start < 40; start++) {
            u16 sum = csum_fold(frame_csum(&frame, start, 150));

            assert_int_equal(be16_get(&sum), naive(bytes + start, 150, 0));
        }
        pieces_free(&frame);
    }
}

static void checksum_is_completed(void **state)
{
    u8 bytes[sizeof(tcp4)];

    (void)state;
    memcpy(bytes, tcp4, sizeof(tcp4));
    be16_put(bytes + 50, TCP4_PSEUDO);
    for (u32 piece = 3; piece <= sizeof(tcp4); piece++) {
        struct frame frame = pieces(bytes, sizeof(bytes), piece);

        frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 };
        assert_true(offload_finish(&frame, collect, &nr_out));
        assert_int_equal(nr_out, 1);
        assert_int_equal(out[0].len, sizeof(tcp4));
        assert_int_equal(out[0].offload.flags, OFFLOAD_DATA_VALID);
        assert_int_equal(be16_get(out[0].bytes + 50), 0xCA69);
        assert_memory_equal(out[0].bytes, tcp4, 50);
        assert_memory_equal(out[0].bytes + 52, tcp4 + 52, sizeof(tcp4) - 52);
        assert_true(tcp_right(out[0].bytes, out[0].len, 14, 34, false));
        forget();
        pieces_free(&frame);
    }
}

static void a_finished_frame_passes_as_it_is(void **state)
{
    struct frame frame = frame_of(tcp4, sizeof(tcp4));

    (void)state;
    frame.offload.flags = OFFLOAD_DATA_VALID;
    assert_true(offload_finish(&frame, collect, &nr_out));
    assert_int_equal(nr_out, 1);
    assert_memory_equal(out[0].bytes, tcp4, sizeof(tcp4));
    forget();
}

/* The sum that is zero is sent as FFFF: in UDP zero means none. */
static void zero_checksum_becomes_all_ones(void **state)
{
    u8 bytes[60] = { 0 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    (void)state;
    bytes[20] = bytes[21] = 0xFF;
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6 };
    assert_true(offload_finish(&frame, collect, &nr_out));
    assert_int_equal(be16_get(out[0].bytes + 26), 0xFFFF);
    forget();
}

/* Headers for a big TCP frame; returns where the payload begins. */
static u32 headers_make(u8 *bytes, bool ip6, bool vlan, u8 flags)
{
    u32 at = 12, l3;

    memcpy(bytes, tcp4, 12);
    if (vlan) {
        be16_put(bytes + at, ETH_TYPE_VLAN);
        be16_put(bytes + at + 2, 42);
        at += 4;
    }
    be16_put(bytes + at, ip6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
    l3 = at + 2;
    memset(bytes + l3, 0, 40);
    if (ip6) {
        bytes[l3] = 0x60;
        bytes[l3 + 6] = 6;
        bytes[l3 + 7] = 64;
        for (unsigned i = 0; i < 32; i++)
            bytes[l3 + 8 + i] = (u8)(0x20 + i);
    } else {
        memcpy(bytes + l3, tcp4 + 14, 20);
        be16_put(bytes + l3 + 4, 0xFFFF); /* the identification wraps */
    }

    u32 l4 = l3 + (ip6 ? 40 : 20);

    memcpy(bytes + l4, tcp4 + 34, 20);
    be32_put(bytes + l4 + 4, 0xFFFFFF00); /* so does the sequence number */
    bytes[l4 + 12] = 0x80;                /* with 12 bytes of options */
    bytes[l4 + 13] = flags;
    memset(bytes + l4 + 20, 1, 12);
    return l4 + 32;
}

static void segments_are_right(bool ip6, bool vlan, u32 payload, u16 mss, u32 piece)
{
    static u8 bytes[70000];
    u32 start = headers_make(bytes, ip6, vlan, 0x80 | 0x10 | 0x08 | 0x01), l4 = start - 32, done = 0;
    u32 l3 = vlan ? 18 : 14;

    for (u32 i = 0; i < payload; i++)
        bytes[start + i] = (u8)(i * 7 + i / 256);

    struct frame frame = pieces(bytes, start + payload, piece);

    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM,
                                            .gso_type = ip6 ? OFFLOAD_GSO_TCP6 : OFFLOAD_GSO_TCP4,
                                            .gso_size = mss,
                                            .header_len = 1, /* a hint, and here a lie */
                                            .csum_start = (u16)l4,
                                            .csum_offset = 16 };
    assert_true(offload_finish(&frame, collect, &nr_out));
    assert_int_equal(nr_out, (payload + mss - 1) / mss);
    for (unsigned i = 0; i < nr_out; i++) {
        const u8 *s = out[i].bytes;
        u32 len = out[i].len - start;
        bool last = i + 1 == nr_out;

        assert_int_equal(len, last ? payload - done : mss);
        assert_memory_equal(s + start, bytes + start + done, len);
        assert_int_equal(be32_get(s + l4 + 4), 0xFFFFFF00 + done);
        assert_int_equal(s[l4 + 13], 0x10 | (i == 0 ? 0x80 : 0) | (last ? 0x09 : 0));
        if (ip6) {
            assert_int_equal(be16_get(s + l3 + 4), 32 + len);
        } else {
            assert_int_equal(be16_get(s + l3 + 2), 52 + len);
            assert_int_equal(be16_get(s + l3 + 4), (0xFFFF + i) & 0xFFFF);
            assert_int_equal(naive(s + l3, 20, 0), 0xFFFF);
        }
        assert_true(tcp_right(s, out[i].len, l3, l4, ip6));
        done += len;
    }
    forget();
    pieces_free(&frame);
}

static void segmentation(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        segments_are_right(kind & 1, kind & 2, 5000, 1448, 70000);
        segments_are_right(kind & 1, kind & 2, 5000, 1448, 301);
        segments_are_right(kind & 1, kind & 2, 1448, 1448, 100);
        segments_are_right(kind & 1, kind & 2, 1449, 1448, 99);
        segments_are_right(kind & 1, kind & 2, 1, 1448, 10);
        segments_are_right(kind & 1, kind & 2, 65400, 1448, 3300);
        segments_are_right(kind & 1, kind & 2, 65400, 48, 4096);
    }
}

/* Offload fields that lie: nothing is sent, and nothing outside the frame is read. */
static void nonsense_is_refused(void **state)
{
    static const struct frame_offload lies[] = {
        { .flags = 1, .csum_start = 34, .csum_offset = 0xFFFF },
        { .flags = 1, .csum_start = 0xFFFF, .csum_offset = 0xFFFF },
        { .flags = 1, .csum_start = 2000, .csum_offset = 0 },
        { .flags = 1, .csum_start = 0, .csum_offset = 0 },
        { .flags = 1, .csum_start = 34, .csum_offset = 21 }, /* ends one byte beyond */
        { .flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 34, .csum_offset = 16 },
        { .flags = 1, .gso_type = 1, .gso_size = 47, .csum_start = 34, .csum_offset = 16 },
        { .flags = 0, .gso_type = 1, .gso_size = 1448, .csum_start = 34, .csum_offset = 16 },
        { .flags = 1, .gso_type = 4, .gso_size = 1448, .csum_start = 34, .csum_offset = 16 }, /* it is IPv4 */
        { .flags = 1, .gso_type = 3, .gso_size = 1448, .csum_start = 34, .csum_offset = 16 }, /* UDP: never offered */
        { .flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 34, .csum_offset = 6 },
        { .flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 14, .csum_offset = 16 },
        { .flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 13, .csum_offset = 16 },
        { .flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 36, .csum_offset = 16 },
        { .flags = 1, .gso_type = 1, .gso_size = 1448, .csum_start = 0xFFFF, .csum_offset = 16 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct frame frame = pieces(tcp4, sizeof(tcp4), 10);

        frame.offload = lies[i];
        assert_false(offload_finish(&frame, collect, &nr_out));
        assert_int_equal(nr_out, 0);
        pieces_free(&frame);
    }
}

/* Whatever the fields and the bytes are, the sanitizers find nothing. */
static void random_frames(void **state)
{
    u8 bytes[400];

    (void)state;
    srand(2);
    for (int round = 0; round < 200000; round++) {
        bool ip6 = rand() & 1;
        u32 start = headers_make(bytes, ip6, rand() & 1, 0x10), len = start + (u32)rand() % 200;

        for (int damage = rand() % 4; damage > 0; damage--)
            bytes[rand() % (int)start] = (u8)rand();

        struct frame frame = pieces(bytes, (u32)rand() % 8 ? len : (u32)rand() % len, 97);

        frame.offload = (struct frame_offload){ .flags = (u8)(rand() % 4),
                                                .gso_type = (u8)(rand() % 5),
                                                .gso_size = (u16)(rand() % 200),
                                                .csum_start = (u16)(rand() % 3 ? start - 32 : (u32)rand()),
                                                .csum_offset = (u16)(rand() % 4 ? 16 : rand()) };
        offload_finish(&frame, collect, &nr_out);
        forget();
        pieces_free(&frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csum_of_words),
        cmocka_unit_test(sum_of_pieces),
        cmocka_unit_test(checksum_is_completed),
        cmocka_unit_test(a_finished_frame_passes_as_it_is),
        cmocka_unit_test(zero_checksum_becomes_all_ones),
        cmocka_unit_test(segmentation),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(random_frames),
    };

    return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}

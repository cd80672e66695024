/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What headers_parse finds in frames that end anywhere, in one piece and in pieces. Each piece has a block of exactly
 * its size, so the sanitizer sees every byte that is read beyond it.
 */
/* sources: net/headers.c net/ethernet.c net/csum.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/ethernet.h"

#define MACS 0x02, 0, 0, 0, 0, 0xA, 0x02, 0, 0, 0, 0, 0xB
#define VLAN7 0x81, 0x00, 0xE0, 7 /* priority 7 */
#define QINQ9 0x88, 0xA8, 0x00, 9

/* What is found in the first `len` bytes of a frame, whose first piece has `cut` of them. */
static struct headers parse_cut(const u8 *bytes, u32 len, u32 cut)
{
    u8 *one = malloc(cut ? cut : 1), *two = malloc(len - cut ? len - cut : 1);
    struct frame frame = { .part = { { one, cut }, { two, len - cut } }, .nr_parts = 2, .len = len };

    memcpy(one, bytes, cut);
    memcpy(two, bytes + cut, len - cut);
    headers_parse(&frame);
    free(one);
    free(two);
    return frame.headers;
}

/* The same, however the frame is cut. */
static struct headers parse(const u8 *bytes, u32 len)
{
    struct headers headers = parse_cut(bytes, len, 0), other;

    for (u32 cut = 1; cut <= len; cut++) {
        other = parse_cut(bytes, len, cut);
        assert_memory_equal(&other, &headers, sizeof(headers));
    }
    return headers;
}

/* A frame is valid from `whole` bytes on; it has its IP header from `ip` bytes on, and what a neighbour says from
 * `said` on. Returns the headers of the whole frame. */
static struct headers at_each_length(const u8 *bytes, u32 len, u32 whole, u32 ip, u32 said)
{
    struct headers headers;

    for (u32 n = 0; n <= len; n++) {
        headers = parse(bytes, n);
        assert_int_equal(headers.valid, n >= whole);
        assert_int_equal(headers.ip != 0, n >= ip);
        assert_int_equal(headers.neighbour != HEADERS_NO_NEIGHBOUR, n >= said);
        if (headers.valid)
            assert_in_range(headers.l3, ETH_HEADER, n);
        if (headers.ip)
            assert_in_range(headers.l4, headers.l3 + IP4_HEADER, n);
    }
    return headers;
}

#define NEVER 1000

static void addresses_and_type(void **state)
{
    static const u8 bytes[] = { MACS, 0x88, 0xB5, 1, 2, 3 };
    struct headers headers = at_each_length(bytes, sizeof(bytes), 14, NEVER, NEVER);

    (void)state;
    assert_memory_equal(headers.destination, bytes, MAC_LEN);
    assert_memory_equal(headers.source, bytes + MAC_LEN, MAC_LEN);
    assert_int_equal(headers.type, 0x88B5);
    assert_int_equal(headers.l3, 14);
    assert_int_equal(headers.tags.len, 0);
}

/* The network hands on frames that are no longer than a TSO frame may be. */
static void longest(void **state)
{
    static u8 bytes[FRAME_MAX + 1];
    struct frame frame = frame_of(bytes, FRAME_MAX);

    (void)state;
    headers_parse(&frame);
    assert_true(frame.headers.valid);
    frame = frame_of(bytes, FRAME_MAX + 1);
    headers_parse(&frame);
    assert_false(frame.headers.valid);
}

/* A frame that ends within its tags is no frame. Tags are noted without their priorities. */
static void tags(void **state)
{
    static const u8 one[] = { MACS, VLAN7, 0x88, 0xB5, 1 };
    static const u8 two[] = { MACS, QINQ9, VLAN7, 0x88, 0xB6, 1 };
    static const u8 three[] = { MACS, QINQ9, VLAN7, VLAN7, 0x08, 0x06, 1 };
    struct headers headers = at_each_length(one, sizeof(one), 18, NEVER, NEVER);

    (void)state;
    assert_int_equal(headers.type, 0x88B5);
    assert_int_equal(headers.l3, 18);
    assert_int_equal(headers.tags.len, 4);
    assert_memory_equal(headers.tags.bytes, "\x81\0\0\7", 4);
    headers = at_each_length(two, sizeof(two), 22, NEVER, NEVER);
    assert_int_equal(headers.type, ETH_TYPE_PEERS);
    assert_int_equal(headers.l3, 22);
    assert_int_equal(headers.tags.len, 8);
    assert_memory_equal(headers.tags.bytes, "\x88\xA8\0\11\x81\0\0\7", 8);
    headers = at_each_length(three, sizeof(three), 22, NEVER, NEVER); /* the third is not looked into */
    assert_int_equal(headers.type, ETH_TYPE_VLAN);
    assert_int_equal(headers.l3, 22);
}

/* 60 bytes on the wire; what says whose the address is ends before the target. */
static void arp(void **state)
{
    u8 bytes[] = { MACS, VLAN7, 8,   6, 0, 1, 8, 0, 6, 4, 0, 1, 2,   0, 0, 0,
                   0,    0xB,   192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2 };
    struct headers headers = at_each_length(bytes, sizeof(bytes), 18, NEVER, 36);

    (void)state;
    assert_int_equal(headers.neighbour, HEADERS_ARP);
    assert_memory_equal(headers.said, bytes + 18, ARP_TARGET_MAC);
    for (unsigned i = 0; i < 6; i++) { /* other hardware, another protocol, other lengths */
        bytes[18 + i] ^= 1;
        assert_int_equal(parse(bytes, sizeof(bytes)).neighbour, HEADERS_NO_NEIGHBOUR);
        bytes[18 + i] ^= 1;
    }
}

static void ip4(void **state)
{
    u8 bytes[] = { MACS,
                   8,
                   0,
                   0x45,
                   0,
                   0,
                   40,
                   0,
                   0,
                   0,
                   0,
                   64,
                   6,
                   0,
                   0,
                   192,
                   0,
                   2,
                   1,
                   192,
                   0,
                   2,
                   2,
                   /* options, or TCP: */ 1,
                   1,
                   1,
                   0,
                   9,
                   9,
                   9,
                   9 };
    struct headers headers = at_each_length(bytes, sizeof(bytes), 14, 34, NEVER);

    (void)state;
    assert_int_equal(headers.ip, 4);
    assert_int_equal(headers.protocol, IP_PROTO_TCP);
    assert_int_equal(headers.l4, 34);
    bytes[14] = 0x47; /* eight bytes of options */
    assert_int_equal(at_each_length(bytes, sizeof(bytes), 14, 42, NEVER).l4, 42);
    bytes[14] = 0x48; /* one word more than there is */
    at_each_length(bytes, sizeof(bytes), 14, NEVER, NEVER);
    bytes[14] = 0x44; /* less than a header */
    at_each_length(bytes, sizeof(bytes), 14, NEVER, NEVER);
    bytes[14] = 0x65; /* IPv6, says the packet */
    at_each_length(bytes, sizeof(bytes), 14, NEVER, NEVER);
}

/* Extension headers are not passed over: the protocol is then that of the first. */
static void ip6(void **state)
{
    u8 bytes[14 + 40 + 24] = { MACS, 0x86, 0xDD, 0x60, [20] = 6, [21] = 255 };
    struct headers headers = at_each_length(bytes, sizeof(bytes), 14, 54, NEVER);

    (void)state;
    assert_int_equal(headers.ip, 6);
    assert_int_equal(headers.protocol, IP_PROTO_TCP);
    assert_int_equal(headers.l4, 54);
    bytes[20] = 0; /* hop-by-hop options */
    bytes[54] = IP_PROTO_ICMP6;
    headers = at_each_length(bytes, sizeof(bytes), 14, 54, NEVER);
    assert_int_equal(headers.protocol, 0);
    assert_int_equal(headers.l4, 54);
    bytes[14] = 0x45; /* IPv4, says the packet */
    at_each_length(bytes, sizeof(bytes), 14, NEVER, NEVER);
}

/* Neighbour discovery has not been forwarded by a router, and is long enough for a target. */
static void neighbour_discovery(void **state)
{
    u8 bytes[14 + 8 + 40 + 24 + 8] = { MACS, QINQ9, VLAN7, 0x86, 0xDD, 0x60, [28] = IP_PROTO_ICMP6, [29] = 255 };
    struct headers headers;

    (void)state;
    for (unsigned i = 0; i < 64; i++)
        bytes[30 + i] = (u8)(100 + i);
    headers = at_each_length(bytes, sizeof(bytes), 22, 62, 86);
    assert_int_equal(headers.neighbour, HEADERS_ND);
    assert_memory_equal(headers.said, bytes + 22, sizeof(headers.said));
    bytes[29] = 254;
    at_each_length(bytes, sizeof(bytes), 22, 62, NEVER);
}

/* What was found in another frame is forgotten. */
static void nothing_is_left(void **state)
{
    static const u8 bytes[] = { MACS, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0xB, 192, 0, 2, 1 };
    static const struct headers none;
    struct frame frame = frame_of(bytes, sizeof(bytes));

    (void)state;
    headers_parse(&frame);
    assert_int_equal(frame.headers.neighbour, HEADERS_ARP);
    frame.part[0].len = frame.len = 13;
    headers_parse(&frame);
    assert_memory_equal(&frame.headers, &none, sizeof(none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_type),
        cmocka_unit_test(longest),
        cmocka_unit_test(tags),
        cmocka_unit_test(arp),
        cmocka_unit_test(ip4),
        cmocka_unit_test(ip6),
        cmocka_unit_test(neighbour_discovery),
        cmocka_unit_test(nothing_is_left),
    };

    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}

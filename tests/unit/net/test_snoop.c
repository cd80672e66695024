/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose addresses a port is believed to have, and how they are announced. */
/* sources: net/switch.c net/hold.c net/heard.c net/snoop.c net/announce.c net/offload.c net/ethernet.c net/csum.c */
/* sources: net/headers.c net/mac.c tests/unit/switch_rig.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/announce.h"
#include "net/ethernet.h"
#include "net/switch.h"
#include "tests/unit/switch_rig.h"

/* Say in ARP that ip is at mac, from that MAC, with tags behind the addresses. */
static void say_tagged(struct recorder *from, const u8 *mac, const u8 *ip, const void *tags, u32 len)
{
    u8 bytes[ANNOUNCE_MAX];
    u32 all = announce_arp(bytes, mac, ip);
    struct frame frame = { .part = { { bytes, 12 }, { tags, len }, { bytes + 12, all - 12 } },
                           .nr_parts = 3,
                           .len = all + len };

    headers_parse(&frame);
    switch_input(&from->port, &frame);
}

static void say_ip4(struct recorder *from, const u8 *mac, u8 last)
{
    say_tagged(from, mac, (const u8[4]){ 192, 0, 2, last }, NULL, 0);
}

/* Say something of type `type` in neighbour discovery: with flags, from and about fe80:: and a last byte, 0 for ::. */
static void say_ip6(struct recorder *from, const u8 *mac, u8 type, u8 flags, u8 source, u8 target)
{
    u8 bytes[86] = { [14] = 0x60, [19] = 32, [20] = 58, [21] = 255, [54] = type, [58] = flags };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    frame_header(bytes, group, mac, ETH_TYPE_IP6);
    memcpy(bytes + 22, source ? "\xFE\x80" : "\0", 2);
    bytes[37] = source;
    memcpy(bytes + 62, "\xFE\x80", 2);
    bytes[77] = target;
    headers_parse(&frame);
    switch_input(&from->port, &frame);
}

/* Does port a, when it is announced, say that this last byte of an address is at this MAC? Of IPv6: with which flags.
 */
static int announced(const u8 *mac, u8 last)
{
    uplink.frames = 0;
    announce_port(&a.port);
    for (unsigned i = 0; i < uplink.frames; i++) {
        const u8 *kept = uplink.kept[i];

        if (be16_get(kept + 12) == ETH_TYPE_ARP && kept[31] == last && mac_equal(kept + 6, mac) &&
            mac_equal(kept + 22, mac))
            return 1;
        if (be16_get(kept + 12) == ETH_TYPE_IP6 && kept[77] == last && mac_equal(kept + 6, mac) &&
            mac_equal(kept + 80, mac))
            return kept[58];
    }
    return 0;
}

/* A guest has what it says to have. A router sends from everybody's addresses, a host from one that it gives up. */
static void addresses_are_what_guests_say(void **state)
{
    u8 bytes[60] = { [12] = 0x08, [26] = 192, [29] = 2 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    (void)state;
    say_ip4(&a, mac_a, 1);
    assert_true(announced(mac_a, 1));
    memcpy(bytes, mac_b, 6);
    memcpy(bytes + 6, mac_a, 6);
    headers_parse(&frame);
    switch_input(&a.port, &frame); /* an IPv4 packet from .2 */
    assert_false(announced(mac_a, 2));
    say_tagged(&a, mac_a, (const u8[4]){ 0 }, NULL, 0); /* a probe, before it has one */
    assert_int_equal(a.port.nr_addresses, 1);
    frame_header(bytes, broadcast, mac_b, ETH_TYPE_ARP); /* it speaks for another MAC than it sends from */
    memcpy(bytes + 14, "\0\1\x8\0\6\4\0\1\2\0\0\0\0\xA\300\0\2\3", 18);
    headers_parse(&frame);
    switch_input(&a.port, &frame);
    assert_false(announced(mac_a, 3) || announced(mac_b, 3));

    say_ip6(&a, mac_a, 135, 0, 0, 9); /* does anybody have fe80::9? */
    assert_true(announced(mac_a, 9));
    say_ip6(&a, mac_a, 135, 0, 8, 7); /* fe80::8 looks for fe80::7 */
    assert_true(announced(mac_a, 8));
    assert_false(announced(mac_a, 7));
    say_ip6(&a, mac_a, 128, 0, 6, 6); /* an echo request */
    assert_false(announced(mac_a, 6));

    say_ip4(&uplink, out1, 200); /* the uplink has too many to remember */
    assert_int_equal(uplink.port.nr_addresses, 0);
}

static void addresses_are_given_up(void **state)
{
    (void)state;
    say_ip4(&a, mac_a, 1);
    say_ip4(&a, mac_a, 2);
    say_ip6(&a, mac_a, 136, 0x20, 9, 9);
    say_ip6(&uplink, out1, 135, 0, 0, 9); /* somebody only asks whether it is free */
    say_tagged(&uplink, out1, (const u8[4]){ 192, 0, 2, 2 }, "\x81\0\0\5", 4); /* and .2 of another VLAN */
    assert_true(announced(mac_a, 1) && announced(mac_a, 2) && announced(mac_a, 9));
    say_ip4(&uplink, out1, 2); /* it moved there: a virtual address, for instance */
    assert_false(announced(mac_a, 2));
    say_ip6(&b, mac_b, 136, 0x20, 9, 9);
    assert_false(announced(mac_a, 9));
    say_ip4(&uplink, mac_a, 1); /* a late frame of its own, after a move */
    assert_true(announced(mac_a, 1));
    switch_now += PORT_ADDRESS_AGE_NS - 1;
    assert_true(announced(mac_a, 1)); /* which makes it no younger */
    switch_now++;
    assert_false(announced(mac_a, 1));
}

static void more_said_than_room(void **state)
{
    (void)state;
    for (u8 i = 1; i <= PORT_ADDRESSES + 3; i++, switch_now++)
        say_ip4(&a, mac_a, i);
    assert_int_equal(a.port.nr_addresses, PORT_ADDRESSES);
    assert_false(announced(mac_a, 3));
    assert_true(announced(mac_a, 4) && announced(mac_a, PORT_ADDRESSES + 3));
}

/* Neighbours strike a router that does not say that it is one off their lists. */
static void routers_stay_routers(void **state)
{
    (void)state;
    say_ip6(&a, mac_a, 136, 0xE0, 9, 9); /* solicited, override, a router */
    assert_int_equal(announced(mac_a, 9), 0xA0);
    say_ip6(&a, mac_a, 135, 0, 9, 7); /* says nothing about that */
    assert_int_equal(announced(mac_a, 9), 0xA0);
    say_ip6(&a, mac_a, 136, 0x60, 9, 9); /* not any more */
    assert_int_equal(announced(mac_a, 9), 0x20);
    say_ip6(&a, mac_a, 134, 0, 9, 0); /* router advertisement */
    assert_int_equal(announced(mac_a, 9), 0xA0);
}

/* A driver that took another MAC, and a bridge in the guest: each address goes with the MAC that was said with it, and
 * switches are told of all of them. */
static void further_macs_are_announced(void **state)
{
    static const u8 rarp_type[2] = { 0x80, 0x35 };
    unsigned rarps = 0;

    (void)state;
    say_ip4(&a, mac_a, 1);
    say_ip4(&a, out2, 1); /* it has changed its MAC */
    assert_false(announced(mac_a, 1));
    assert_true(announced(out2, 1));
    for (unsigned i = 0; i < uplink.frames; i++)
        rarps += memcmp(uplink.kept[i] + 12, rarp_type, 2) == 0 && mac_equal(uplink.kept[i] + 6, out2);
    assert_int_equal(rarps, 1);
    assert_ptr_equal(switch_lookup(out2), &a.port);
}

/* VLANs are networks of their own; priorities are none. */
static void tags_go_with_addresses(void **state)
{
    static const char tagged[] = "\x81\0\xE0\5", twice[] = "\x88\xA8\0\7\x81\0\0\5";
    const u8 ip[4] = { 192, 0, 2, 1 };
    unsigned plain = 0, once = 0, both = 0;

    (void)state;
    say_ip4(&a, mac_a, 1);
    say_tagged(&a, mac_a, ip, tagged, 4);
    say_tagged(&a, mac_a, ip, twice, 8);
    uplink.frames = 0;
    assert_int_equal(announce_port(&a.port), 6);
    for (unsigned i = 0; i < uplink.frames; i++) {
        const u8 *kept = uplink.kept[i] + 12;

        plain += be16_get(kept) == ETH_TYPE_ARP && kept[19] == 1;
        once += memcmp(kept, "\x81\0\0\5\x8\6", 6) == 0 && kept[4 + 19] == 1;
        both += memcmp(kept, "\x88\xA8\0\7\x81\0\0\5\x8\6", 10) == 0 && kept[8 + 19] == 1;
        assert_true(uplink.kept[i][12] != 0x81 || be16_get(kept + 4) != 0);
    }
    assert_int_equal(plain, 1);
    assert_int_equal(once, 1);
    assert_int_equal(both, 1);
}

static bool made(const void *bytes, u32 len)
{
    struct frame frame = frame_of(bytes, len);

    headers_parse(&frame);
    return announce_made(&frame);
}

/* What a move says is for switches: who hears it can tell, and nothing else is taken for it. */
static void announcements_are_known(void **state)
{
    static const u8 end[] = "GODWITAN";
    u8 bytes[94] = { [12] = 0x08 }; /* IPv4, with the same end */

    (void)state;
    memcpy(bytes + 86, end, 8);
    assert_false(made(bytes, sizeof(bytes)));
    memcpy(bytes + 12, "\x86\xDD\x60\0\0\0\0\x28\x06\xFF", 10);
    bytes[54] = 136; /* TCP over IPv6, from port 8800h, with the same end */
    assert_false(made(bytes, sizeof(bytes)));
    say_ip4(&a, mac_a, 1);
    assert_false(made(uplink.last, uplink.last_len));
    say_ip6(&a, mac_a, 136, 0x20, 9, 9);
    assert_false(made(uplink.last, uplink.last_len));
    say_ip4(&b, mac_b, 77);
    announce_port(&a.port);
    assert_true(made(uplink.last, uplink.last_len)); /* the advertisement */
    announce_port(&b.port);
    assert_true(made(uplink.last, uplink.last_len));

    struct frame frame = frame_of(uplink.last, uplink.last_len);

    memcpy(uplink.last + 28, "\300\0\2\1", 4); /* as if b's said that a's address is its: of no consequence */
    headers_parse(&frame);
    switch_input(&uplink.port, &frame);
    assert_true(announced(mac_a, 1));
}

static void announcements_to_the_byte(void **state)
{
    static const u8 ip[4] = { 192, 0, 2, 7 }, ip6[16] = { 0xFE, 0x80, [15] = 9 };
    static const u8 arp[60] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0,   0xA, 0x08, 0x06,
                                0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0,   0,    0xA,
                                192,  0,    2,    7,    0,    0,    0, 0, 0, 0, 192, 0,   2,    7 };
    static const u8 rarp[60] = {
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0,   0, 0, 0xA, 0x80, 0x35, 0, 1, 8, 0, 6,
        4,    0,    3,    2,    0,    0,    0, 0, 0xA, 0, 0, 0,   0,    2,    0, 0, 0, 0, 0xA
    };
    /*
     * The advertisement's sum by hand. Pseudo-header: FE80 + 9 + FF02 + 1 + length 20 + next header 3A = 1FDE6; body:
     * 8800 + 2000 + FE80 + 9 + option 0201 + 0200 + 0 + A = 1AA94; together 3A87A, folded A87D, inverted 5782.
     */
    static const u8 na[86] = { 0x33, 0x33, 0,    0,    0,    1,    2, 0, 0,    0,    0, 0xA, 0x86, 0xDD, 0x60, 0, 0, 0,
                               0,    32,   58,   255,  0xFE, 0x80, 0, 0, 0,    0,    0, 0,   0,    0,    0,    0, 0, 0,
                               0,    9,    0xFF, 0x02, 0,    0,    0, 0, 0,    0,    0, 0,   0,    0,    0,    0, 0, 1,
                               136,  0,    0x57, 0x82, 0x20, 0,    0, 0, 0xFE, 0x80, 0, 0,   0,    0,    0,    0, 0, 0,
                               0,    0,    0,    0,    0,    9,    2, 1, 2,    0,    0, 0,   0,    0xA };
    u8 bytes[ANNOUNCE_MAX];

    (void)state;
    assert_int_equal(announce_arp(bytes, mac_a, ip), sizeof(arp));
    assert_memory_equal(bytes, arp, sizeof(arp));
    assert_int_equal(announce_rarp(bytes, mac_a), sizeof(rarp));
    assert_memory_equal(bytes, rarp, sizeof(rarp));
    assert_int_equal(announce_na(bytes, mac_a, ip6, false), sizeof(na));
    assert_memory_equal(bytes, na, sizeof(na));
}

#define snoop_test(name) cmocka_unit_test_setup_teardown(name, switch_start, switch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        snoop_test(addresses_are_what_guests_say), snoop_test(addresses_are_given_up),
        snoop_test(more_said_than_room),           snoop_test(routers_stay_routers),
        snoop_test(further_macs_are_announced),    snoop_test(tags_go_with_addresses),
        snoop_test(announcements_are_known),       snoop_test(announcements_to_the_byte),
    };

    return cmocka_run_group_tests_name("snoop", tests, NULL, NULL);
}

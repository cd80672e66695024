/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch with ports that record, under a clock that the test turns. */
/* sources: net/switch.c net/hold.c net/heard.c net/snoop.c net/announce.c net/offload.c net/ethernet.c net/csum.c */
/* sources: net/headers.c net/mac.c tests/unit/switch_rig.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/ethernet.h"
#include "net/hold.h"
#include "net/switch.h"
#include "tests/unit/switch_rig.h"

/* What hypervisors say to each other goes from uplinks and our own port to such ports, tagged or not. */
static void send_peers(struct recorder *from, const u8 *source, bool tagged)
{
    u8 bytes[60] = { [12] = 0x88, [13] = 0xB6 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    if (tagged)
        memcpy(bytes + 12, "\x81\0\0\1\x88\xB6", 6);
    memcpy(bytes, broadcast, 6);
    memcpy(bytes + 6, source, 6);
    uplink.frames = a.frames = b.frames = 0;
    headers_parse(&frame);
    switch_input(&from->port, &frame);
}

/* To one machine alone, whose MAC is a guest's. */
static void send_peers_to(struct recorder *from, const u8 *to)
{
    u8 bytes[60] = { [12] = 0x88, [13] = 0xB6 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    memcpy(bytes, to, MAC_LEN);
    memcpy(bytes + MAC_LEN, out1, MAC_LEN);
    uplink.frames = a.frames = b.frames = 0;
    headers_parse(&frame);
    switch_input(&from->port, &frame);
}

static void guests_are_no_peers(void **state)
{
    (void)state;
    uplink.port.peers = b.port.peers = true; /* b is our own here, a a guest */
    for (unsigned tagged = 0; tagged < 2; tagged++) {
        send_peers(&a, mac_a, tagged);
        assert_reached(0, 0, 0);
        assert_int_equal(a.port.counters.rx_dropped, tagged + 1);
        send_peers(&uplink, out1, tagged);
        assert_reached(0, 0, 1);
        send_peers(&b, mac_b, tagged);
        assert_reached(1, 0, 0);
    }
    send_peers_to(&uplink, mac_a);
    assert_reached(0, 0, 0);
}

static void learns_and_forwards(void **state)
{
    (void)state;
    switch_send(&a, out1, mac_a); /* unknown: to all but the sender */
    assert_reached(1, 0, 1);
    switch_send(&uplink, mac_a, out1);
    assert_reached(0, 1, 0);
    switch_send(&a, out1, mac_a); /* known switch_now, and to one port only */
    assert_reached(1, 0, 0);
    switch_send(&b, out1, mac_b);
    assert_reached(1, 0, 0);
    switch_send(&a, mac_b, mac_a);
    assert_reached(0, 0, 1);
    switch_send(&uplink, out2, out1); /* unknown, from the wire: not back to it */
    assert_reached(0, 1, 1);
}

/* What its receiver has had already goes nowhere; the sender is learnt nevertheless. */
static void frames_of_one_port_stay_there(void **state)
{
    struct switch_counters before;

    (void)state;
    switch_send(&uplink, mac_a, out1);
    before = *switch_counters();
    switch_send(&uplink, out1, out2);
    assert_reached(0, 0, 0);
    assert_int_equal(switch_counters()->unforwarded, before.unforwarded + 1);
    assert_ptr_equal(switch_lookup(out2), &uplink.port);
    switch_send(&a, mac_a, mac_a); /* to itself */
    assert_reached(0, 0, 0);
    assert_int_equal(switch_counters()->unforwarded, before.unforwarded + 2);
    assert_int_equal(switch_counters()->forwarded, before.forwarded);
    assert_int_equal(uplink.port.counters.rx_dropped + a.port.counters.rx_dropped, 0);
}

/* An owner is found before it ever speaks. */
static void owners_are_known(void **state)
{
    (void)state;
    switch_send(&uplink, mac_b, out1);
    assert_reached(0, 0, 1);
    assert_ptr_equal(switch_lookup(mac_a), &a.port);
    assert_null(switch_lookup(out2));
}

static void groups_are_flooded(void **state)
{
    (void)state;
    switch_send(&a, broadcast, mac_a);
    assert_reached(1, 0, 1);
    switch_send(&uplink, group, out1);
    assert_reached(0, 1, 1);
}

static void addresses_age(void **state)
{
    (void)state;
    switch_send(&uplink, mac_a, out1);
    switch_now += 299 * SECOND;
    switch_send(&a, out1, mac_a);
    assert_reached(1, 0, 0);
    switch_now += 1 * SECOND; /* 300 s after out1 last spoke */
    switch_send(&a, out1, mac_a);
    assert_reached(1, 0, 1);
}

static void addresses_move(void **state)
{
    (void)state;
    switch_send(&uplink, mac_a, out1);
    switch_send(&b, mac_a, out1); /* out1 has moved behind b (a bridge in the guest) */
    switch_send(&a, out1, mac_a);
    assert_reached(0, 0, 1);
}

/* Nobody takes the address of an open port; a closed one's is free: its guest lives elsewhere now. */
static void owned_addresses_stay(void **state)
{
    (void)state;
    switch_send(&uplink, broadcast, mac_a);
    switch_send(&b, mac_a, mac_b);
    assert_reached(0, 1, 0);
    a.port.closed = true;
    switch_send(&b, mac_a, mac_b);
    assert_reached(1, 0, 0); /* unknown */
    switch_send(&uplink, broadcast, mac_a);
    assert_reached(0, 0, 1);
    switch_send(&b, mac_a, mac_b);
    assert_reached(1, 0, 0);
    assert_ptr_equal(switch_lookup(mac_a), &uplink.port);
    a.port.closed = false;
    switch_send(&a, out1, mac_a); /* back: with its first frame */
    assert_ptr_equal(switch_lookup(mac_a), &a.port);
}

/* Two machines with one MAC are counted; but not what a guest has sent just before it came here. */
static void equal_macs_are_counted(void **state)
{
    u64 before = switch_counters()->mac_conflicts;

    (void)state;
    switch_send(&uplink, broadcast, mac_a);
    switch_send(&a, broadcast, mac_a);
    switch_send(&uplink, broadcast, mac_a);
    switch_send(&b, mac_a, mac_a);
    assert_int_equal(switch_counters()->mac_conflicts, before + 3);
    port_hold(&a.port);
    switch_send(&uplink, broadcast, mac_a);
    port_release(&a.port);
    a.port.closed = true;
    switch_send(&uplink, broadcast, mac_a);
    assert_int_equal(switch_counters()->mac_conflicts, before + 3);
}

static void closed_ports_are_mute_and_deaf(void **state)
{
    (void)state;
    a.port.closed = true;
    switch_send(&a, broadcast, mac_a);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_frames, 0);
    switch_send(&b, broadcast, mac_b);
    assert_reached(1, 0, 0);
}

/* Frames that nobody else will get either are counted as lost. */
static void closed_ports_count_their_frames(void **state)
{
    (void)state;
    a.port.closed = true;
    switch_send(&uplink, mac_a, out1);
    switch_send(&uplink, broadcast, out1);
    assert_int_equal(a.port.counters.tx_dropped, 1);
}

static void who_leaves_is_forgotten(void **state)
{
    (void)state;
    switch_send(&uplink, mac_a, out1);
    switch_remove(&uplink.port);
    assert_null(switch_lookup(out1));
    switch_send(&a, out1, mac_a);
    assert_reached(0, 0, 1);
    switch_add(&uplink.port);
}

static void more_addresses_than_room(void **state)
{
    u8 mac[6] = { 2, 2, 2, 2, 0, 0 };
    unsigned known = 0;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        be16_put(mac + 4, (u16)i);
        switch_send(&uplink, mac_a, mac);
        assert_ptr_equal(switch_lookup(mac), &uplink.port); /* the latest is always known */
        switch_now += 1000;
    }
    for (unsigned i = 0; i < 5000; i++) {
        be16_put(mac + 4, (u16)i);
        known += switch_lookup(mac) != NULL;
    }
    assert_in_range(known, SWITCH_ADDRESSES / 2, SWITCH_ADDRESSES);
}

static void spoofed_sources_are_dropped(void **state)
{
    (void)state;
    switch_send(&a, broadcast, mac_b);
    assert_reached(1, 0, 1); /* without the option */
    a.port.check_source = true;
    switch_send(&a, broadcast, mac_b);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_dropped, 1);
    switch_send(&a, broadcast, mac_a);
    assert_reached(1, 0, 1);
}

static void the_option_reaches_guests_only(void **state)
{
    (void)state;
    switch_end(NULL);
    switch_configure(&(struct switch_settings){ .anti_spoof = true });
    switch_join(&uplink, "uplink", NULL);
    switch_join(&a, "a", mac_a);
    switch_join(&b, "b", mac_b);
    assert_false(uplink.port.check_source);
    assert_true(a.port.check_source);
}

static void malformed_frames_are_dropped(void **state)
{
    static const u8 stp[6] = { 0x01, 0x80, 0xC2, 0, 0, 0 }, zero[6];
    u8 bytes[16] = { 2, [6] = 2, [12] = ETH_TYPE_VLAN >> 8 };
    struct frame shorty = frame_of(bytes, 13), tagged = frame_of(bytes, sizeof(bytes)); /* ends within its tag */
    u64 before = switch_counters()->malformed;

    (void)state;
    switch_send(&a, out1, group);
    assert_reached(0, 0, 0);
    switch_send(&a, out1, zero);
    assert_reached(0, 0, 0);
    switch_send(&a, stp, mac_a);
    assert_reached(0, 0, 0);
    headers_parse(&shorty);
    switch_input(&a.port, &shorty);
    headers_parse(&tagged);
    switch_input(&a.port, &tagged);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_dropped, 5);
    assert_int_equal(switch_counters()->malformed, before + 5);
}

/* 1000 a second: 100 at once, then one a millisecond. Frames for one address are not limited. */
static void storms_are_capped(void **state)
{
    unsigned passed = 0;

    (void)state;
    switch_configure(&(struct switch_settings){ .storm_limit = 1000 });
    for (unsigned i = 0; i < 500; i++) {
        switch_send(&a, broadcast, mac_a);
        passed += b.frames;
    }
    assert_int_equal(passed, 100);
    assert_int_equal(a.port.counters.rx_dropped, 400);
    switch_send(&uplink, broadcast, out1); /* others have buckets of their own */
    assert_reached(0, 1, 1);
    switch_send(&a, mac_b, mac_a);
    assert_reached(0, 0, 1);
    passed = 0;
    for (unsigned ms = 0; ms < 1000; ms++) {
        switch_now += SECOND / 1000;
        switch_send(&a, group, mac_a);
        passed += b.frames;
        switch_send(&a, group, mac_a);
        passed += b.frames;
    }
    assert_int_equal(passed, 1000);
}

static void counters(void **state)
{
    (void)state;
    switch_send(&a, broadcast, mac_a);
    b.full = true;
    switch_send(&a, broadcast, mac_a);
    assert_int_equal(a.port.counters.rx_frames, 2);
    assert_int_equal(a.port.counters.rx_bytes, 120);
    assert_int_equal(b.port.counters.tx_frames, 1);
    assert_int_equal(b.port.counters.tx_bytes, 60);
    assert_int_equal(b.port.counters.tx_dropped, 1);
    assert_int_equal(uplink.port.counters.tx_frames, 2);
}

/* A checksum is made for the port that cannot, and left to the one that can. */
static void offloads_are_finished_by_need(void **state)
{
    u8 bytes[60] = { [12] = 0x88, [13] = 0xB5, [20] = 0x12, [21] = 0x34 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    (void)state;
    memcpy(bytes, broadcast, 6);
    memcpy(bytes + 6, mac_a, 6);
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 20, .csum_offset = 4 };
    uplink.port.offload_csum = true;
    headers_parse(&frame);
    switch_input(&a.port, &frame);
    assert_int_equal(uplink.last_offload.flags, OFFLOAD_NEEDS_CSUM);
    assert_int_equal(be16_get(uplink.last + 24), 0);
    assert_int_equal(b.last_offload.flags, OFFLOAD_DATA_VALID);
    assert_int_equal(be16_get(b.last + 24), 0xFFFF - 0x1234);
    memcpy(bytes + 20, "\0\103\0\104\0\0\0", 8); /* UDP from 67 to 68, a DHCP reply: whole for everybody */
    frame.offload.csum_offset = 6;
    headers_parse(&frame);
    switch_input(&a.port, &frame);
    assert_int_equal(uplink.last_offload.flags, OFFLOAD_DATA_VALID);
    assert_int_equal(be16_get(uplink.last + 26), 0xFFFF - 67 - 68);
    frame.offload.csum_start = 1000; /* nonsense: dropped for b */
    headers_parse(&frame);
    switch_input(&a.port, &frame);
    assert_int_equal(b.port.counters.tx_dropped, 1);
}

/* The type behind a tag stands where the checksum would be: a guest could make what hypervisors say to each other. */
static void checksums_change_no_headers(void **state)
{
    u8 bytes[60] = { [12] = 0x81, [16] = 0x88, [17] = 0xB5 };
    struct frame frame = frame_of(bytes, sizeof(bytes));
    u64 before = switch_counters()->malformed;

    (void)state;
    memcpy(bytes, broadcast, 6);
    memcpy(bytes + 6, mac_a, 6);
    headers_parse(&frame);
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 14, .csum_offset = 2 };
    switch_input(&a.port, &frame);
    assert_reached(0, 0, 0);
    assert_int_equal(switch_counters()->malformed, before + 1);
    frame.offload.csum_start = 18;
    switch_input(&a.port, &frame);
    assert_reached(1, 0, 1);
    memcpy(bytes + 16, "\x08\0\x45", 3); /* within an IPv4 header */
    headers_parse(&frame);
    switch_input(&a.port, &frame);
    assert_int_equal(switch_counters()->malformed, before + 2);
}

/* Input a frame of `bytes` whose checksum is to be made at `start` and stored `offset` behind it. Returns whether it
 * was refused. */
static bool csum_is_refused(u8 *bytes, u32 len, u16 start, u16 offset)
{
    struct frame frame = frame_of(bytes, len);
    u64 before = switch_counters()->malformed;

    headers_parse(&frame);
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = start, .csum_offset = offset };
    switch_input(&a.port, &frame);
    return switch_counters()->malformed != before;
}

/* What the switch has read of an address is what goes out: neither ARP nor a target of neighbour discovery changes. */
static void checksums_change_no_address(void **state)
{
    u8 arp[60] = { [12] = 0x08, [13] = 0x06, [15] = 1, [16] = 0x08, [18] = 6, [19] = 4, [21] = 1 };
    u8 nd[ETH_HEADER + IP6_HEADER + ND_OPTIONS] = { [12] = 0x86, [13] = 0xDD, [14] = 0x60 };
    u16 icmp6 = ETH_HEADER + IP6_HEADER;

    (void)state;
    memcpy(arp, broadcast, 6);
    memcpy(arp + 6, mac_a, 6);
    assert_true(csum_is_refused(arp, sizeof(arp), ETH_HEADER, ARP_SENDER_IP));
    assert_true(csum_is_refused(arp, sizeof(arp), ETH_HEADER + ARP_LENGTH, 0));
    memcpy(nd, broadcast, 6);
    memcpy(nd + 6, mac_a, 6);
    nd[ETH_HEADER + 5] = ND_OPTIONS;
    nd[ETH_HEADER + IP6_NEXT_HEADER] = IP_PROTO_ICMP6;
    nd[ETH_HEADER + IP6_HOP_LIMIT] = ND_HOP_LIMIT;
    nd[icmp6] = ND_ADVERTISEMENT;
    assert_true(csum_is_refused(nd, sizeof(nd), icmp6, ND_TARGET));
    assert_true(csum_is_refused(nd, sizeof(nd), icmp6 + ND_TARGET, ND_CSUM));
    assert_false(csum_is_refused(nd, sizeof(nd), icmp6, ND_CSUM)); /* as every driver asks */
}

/* A port that gets a frame and sends one before it has returned. */
static bool answer_at_once(struct port *port, const struct frame *frame)
{
    expect_assert_failure(switch_input(port, frame));
    return true;
}

static void no_port_answers_from_within(void **state)
{
    (void)state;
    b.port.deliver = answer_at_once;
    switch_send(&a, mac_b, mac_a);
    assert_int_equal(b.port.counters.tx_frames, 1);
    assert_int_equal(b.port.counters.rx_frames, 0);
    switch_send(&b, mac_a, mac_b); /* its next turn */
    assert_reached(0, 1, 0);
}

#define switch_test(name) cmocka_unit_test_setup_teardown(name, switch_start, switch_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        switch_test(learns_and_forwards),
        switch_test(frames_of_one_port_stay_there),
        switch_test(owners_are_known),
        switch_test(groups_are_flooded),
        switch_test(addresses_age),
        switch_test(addresses_move),
        switch_test(owned_addresses_stay),
        switch_test(equal_macs_are_counted),
        switch_test(closed_ports_are_mute_and_deaf),
        switch_test(closed_ports_count_their_frames),
        switch_test(who_leaves_is_forgotten),
        switch_test(more_addresses_than_room),
        switch_test(spoofed_sources_are_dropped),
        switch_test(guests_are_no_peers),
        switch_test(the_option_reaches_guests_only),
        switch_test(malformed_frames_are_dropped),
        switch_test(storms_are_capped),
        switch_test(counters),
        switch_test(offloads_are_finished_by_need),
        switch_test(checksums_change_no_headers),
        switch_test(checksums_change_no_address),
        switch_test(no_port_answers_from_within),
    };

    return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}

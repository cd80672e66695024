/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch with ports that record, under a clock that the test turns; snooping and announcements. */
/* sources: net/switch.c net/hold.c net/heard.c net/snoop.c net/announce.c net/offload.c net/frame.c net/csum.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/cpu/clock.h"
#include "net/announce.h"
#include "net/frame.h"
#include "net/switch.h"

#define SECOND 1000000000ULL

static uint64_t now;

uint64_t clock_ns(void)
{
    return now;
}

struct recorder {
    struct port port;
    unsigned frames;
    bool full;
    uint8_t last[2000];
    uint32_t last_len;
    struct frame_offload last_offload;
};

static struct recorder uplink, a, b;
static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 0xA }, mac_b[6] = { 2, 0, 0, 0, 0, 0xB };
static const uint8_t out1[6] = { 2, 1, 0, 0, 0, 1 }, out2[6] = { 2, 1, 0, 0, 0, 2 };
static const uint8_t broadcast[6] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF }, group[6] = { 0x33, 0x33, 0, 0, 0, 1 };

static bool record(struct port *port, const struct frame *frame)
{
    struct recorder *r = (struct recorder *)port;

    if (r->full)
        return false;
    r->frames++;
    r->last_len = frame->len;
    r->last_offload = frame->offload;
    frame_read(frame, 0, r->last, frame->len < sizeof(r->last) ? frame->len : sizeof(r->last));
    return true;
}

static void join(struct recorder *r, const char *name, const uint8_t *mac)
{
    memset(r, 0, sizeof(*r));
    strcpy(r->port.name, name);
    if (mac)
        memcpy(r->port.mac, mac, 6);
    r->port.deliver = record;
    switch_add(&r->port);
}

static int start(void **state)
{
    (void)state;
    now += 1000 * SECOND; /* whatever an earlier test taught is forgotten */
    switch_configure(&(struct switch_settings){ 0 });
    join(&uplink, "uplink", NULL);
    join(&a, "a", mac_a);
    join(&b, "b", mac_b);
    return 0;
}

static int end(void **state)
{
    (void)state;
    switch_remove(&uplink.port);
    switch_remove(&a.port);
    switch_remove(&b.port);
    assert_null(switch_ports());
    return 0;
}

static void send(struct recorder *from, const uint8_t *to, const uint8_t *source)
{
    uint8_t bytes[60] = { [12] = 0x88, [13] = 0xB5 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    memcpy(bytes, to, 6);
    memcpy(bytes + 6, source, 6);
    uplink.frames = a.frames = b.frames = 0;
    switch_input(&from->port, &frame);
}

/* What hypervisors say to each other goes from uplinks and our own port to such ports, tagged or not. */
static void send_peers(struct recorder *from, const uint8_t *source, bool tagged)
{
    uint8_t bytes[60] = { [12] = 0x88, [13] = 0xB6 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    if (tagged)
        memcpy(bytes + 12, "\x81\0\0\1\x88\xB6", 6);
    memcpy(bytes, broadcast, 6);
    memcpy(bytes + 6, source, 6);
    uplink.frames = a.frames = b.frames = 0;
    switch_input(&from->port, &frame);
}

#define assert_reached(u, x, y)             \
    do {                                    \
        assert_int_equal(uplink.frames, u); \
        assert_int_equal(a.frames, x);      \
        assert_int_equal(b.frames, y);      \
    } while (0)

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
}

static void learns_and_forwards(void **state)
{
    (void)state;
    send(&a, out1, mac_a); /* unknown: to all but the sender */
    assert_reached(1, 0, 1);
    send(&uplink, mac_a, out1);
    assert_reached(0, 1, 0);
    send(&a, out1, mac_a); /* known now, and to one port only */
    assert_reached(1, 0, 0);
    send(&b, out1, mac_b);
    assert_reached(1, 0, 0);
    send(&a, mac_b, mac_a);
    assert_reached(0, 0, 1);
    send(&uplink, out2, out1); /* unknown, from the wire: not back to it */
    assert_reached(0, 1, 1);
}

/* What its receiver has had already goes nowhere; the sender is learnt nevertheless. */
static void frames_of_one_port_stay_there(void **state)
{
    struct switch_counters before;

    (void)state;
    send(&uplink, mac_a, out1);
    before = *switch_counters();
    send(&uplink, out1, out2);
    assert_reached(0, 0, 0);
    assert_int_equal(switch_counters()->unforwarded, before.unforwarded + 1);
    assert_ptr_equal(switch_lookup(out2), &uplink.port);
    send(&a, mac_a, mac_a); /* to itself */
    assert_reached(0, 0, 0);
    assert_int_equal(switch_counters()->unforwarded, before.unforwarded + 2);
    assert_int_equal(switch_counters()->forwarded, before.forwarded);
    assert_int_equal(uplink.port.counters.rx_dropped + a.port.counters.rx_dropped, 0);
}

/* An owner is found before it ever speaks. */
static void owners_are_known(void **state)
{
    (void)state;
    send(&uplink, mac_b, out1);
    assert_reached(0, 0, 1);
    assert_ptr_equal(switch_lookup(mac_a), &a.port);
    assert_null(switch_lookup(out2));
}

static void groups_are_flooded(void **state)
{
    (void)state;
    send(&a, broadcast, mac_a);
    assert_reached(1, 0, 1);
    send(&uplink, group, out1);
    assert_reached(0, 1, 1);
}

static void addresses_age(void **state)
{
    (void)state;
    send(&uplink, mac_a, out1);
    now += 299 * SECOND;
    send(&a, out1, mac_a);
    assert_reached(1, 0, 0);
    now += 1 * SECOND; /* 300 s after out1 last spoke */
    send(&a, out1, mac_a);
    assert_reached(1, 0, 1);
}

static void addresses_move(void **state)
{
    (void)state;
    send(&uplink, mac_a, out1);
    send(&b, mac_a, out1); /* out1 has moved behind b (a bridge in the guest) */
    send(&a, out1, mac_a);
    assert_reached(0, 0, 1);
}

/* Nobody takes the address of an open port; a closed one's is free: its guest lives elsewhere now. */
static void owned_addresses_stay(void **state)
{
    (void)state;
    send(&uplink, broadcast, mac_a);
    send(&b, mac_a, mac_b);
    assert_reached(0, 1, 0);
    a.port.closed = true;
    send(&b, mac_a, mac_b);
    assert_reached(1, 0, 0); /* unknown */
    send(&uplink, broadcast, mac_a);
    assert_reached(0, 0, 1);
    send(&b, mac_a, mac_b);
    assert_reached(1, 0, 0);
    assert_ptr_equal(switch_lookup(mac_a), &uplink.port);
    a.port.closed = false;
    send(&a, out1, mac_a); /* back: with its first frame */
    assert_ptr_equal(switch_lookup(mac_a), &a.port);
}

static void closed_ports_are_mute_and_deaf(void **state)
{
    (void)state;
    a.port.closed = true;
    send(&a, broadcast, mac_a);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_frames, 0);
    send(&b, broadcast, mac_b);
    assert_reached(1, 0, 0);
}

/* Frames that nobody else will get either are counted as lost. */
static void closed_ports_count_their_frames(void **state)
{
    (void)state;
    a.port.closed = true;
    send(&uplink, mac_a, out1);
    send(&uplink, broadcast, out1);
    assert_int_equal(a.port.counters.tx_dropped, 1);
}

static void who_leaves_is_forgotten(void **state)
{
    (void)state;
    send(&uplink, mac_a, out1);
    switch_remove(&uplink.port);
    assert_null(switch_lookup(out1));
    send(&a, out1, mac_a);
    assert_reached(0, 0, 1);
    switch_add(&uplink.port);
}

static void more_addresses_than_room(void **state)
{
    uint8_t mac[6] = { 2, 2, 2, 2, 0, 0 };
    unsigned known = 0;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        be16_put(mac + 4, (uint16_t)i);
        send(&uplink, mac_a, mac);
        assert_ptr_equal(switch_lookup(mac), &uplink.port); /* the latest is always known */
        now += 1000;
    }
    for (unsigned i = 0; i < 5000; i++) {
        be16_put(mac + 4, (uint16_t)i);
        known += switch_lookup(mac) != NULL;
    }
    assert_in_range(known, SWITCH_ADDRESSES / 2, SWITCH_ADDRESSES);
}

static void spoofed_sources_are_dropped(void **state)
{
    (void)state;
    send(&a, broadcast, mac_b);
    assert_reached(1, 0, 1); /* without the option */
    a.port.check_source = true;
    send(&a, broadcast, mac_b);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_dropped, 1);
    send(&a, broadcast, mac_a);
    assert_reached(1, 0, 1);
}

static void the_option_reaches_guests_only(void **state)
{
    (void)state;
    end(NULL);
    switch_configure(&(struct switch_settings){ .anti_spoof = true });
    join(&uplink, "uplink", NULL);
    join(&a, "a", mac_a);
    join(&b, "b", mac_b);
    assert_false(uplink.port.check_source);
    assert_true(a.port.check_source);
}

static void malformed_frames_are_dropped(void **state)
{
    static const uint8_t stp[6] = { 0x01, 0x80, 0xC2, 0, 0, 0 }, zero[6];
    uint8_t bytes[13] = { 0 };
    struct frame shorty = frame_of(bytes, sizeof(bytes));
    uint64_t before = switch_counters()->malformed;

    (void)state;
    send(&a, out1, group);
    assert_reached(0, 0, 0);
    send(&a, out1, zero);
    assert_reached(0, 0, 0);
    send(&a, stp, mac_a);
    assert_reached(0, 0, 0);
    switch_input(&a.port, &shorty);
    assert_reached(0, 0, 0);
    assert_int_equal(a.port.counters.rx_dropped, 4);
    assert_int_equal(switch_counters()->malformed, before + 4);
}

/* 1000 a second: 100 at once, then one a millisecond. Frames for one address are not limited. */
static void storms_are_capped(void **state)
{
    unsigned passed = 0;

    (void)state;
    switch_configure(&(struct switch_settings){ .storm_limit = 1000 });
    for (unsigned i = 0; i < 500; i++) {
        send(&a, broadcast, mac_a);
        passed += b.frames;
    }
    assert_int_equal(passed, 100);
    assert_int_equal(a.port.counters.rx_dropped, 400);
    send(&uplink, broadcast, out1); /* others have buckets of their own */
    assert_reached(0, 1, 1);
    send(&a, mac_b, mac_a);
    assert_reached(0, 0, 1);
    passed = 0;
    for (unsigned ms = 0; ms < 1000; ms++) {
        now += SECOND / 1000;
        send(&a, group, mac_a);
        passed += b.frames;
        send(&a, group, mac_a);
        passed += b.frames;
    }
    assert_int_equal(passed, 1000);
}

static void counters(void **state)
{
    (void)state;
    send(&a, broadcast, mac_a);
    b.full = true;
    send(&a, broadcast, mac_a);
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
    uint8_t bytes[60] = { [12] = 0x88, [13] = 0xB5, [20] = 0x12, [21] = 0x34 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    (void)state;
    memcpy(bytes, broadcast, 6);
    memcpy(bytes + 6, mac_a, 6);
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 20, .csum_offset = 4 };
    uplink.port.offload_csum = true;
    switch_input(&a.port, &frame);
    assert_int_equal(uplink.last_offload.flags, OFFLOAD_NEEDS_CSUM);
    assert_int_equal(be16_get(uplink.last + 24), 0);
    assert_int_equal(b.last_offload.flags, OFFLOAD_DATA_VALID);
    assert_int_equal(be16_get(b.last + 24), 0xFFFF - 0x1234);
    frame.offload.csum_start = 1000; /* nonsense: dropped for b */
    switch_input(&a.port, &frame);
    assert_int_equal(b.port.counters.tx_dropped, 1);
}

static void arp_send(struct recorder *from, const uint8_t *mac, const uint8_t *ip)
{
    uint8_t bytes[ANNOUNCE_MAX];
    struct frame frame = frame_of(bytes, announce_arp(bytes, mac, ip));

    memcpy(bytes + 6, from->port.mac, 6);
    switch_input(&from->port, &frame);
}

static void addresses_are_snooped(void **state)
{
    static const uint8_t ip1[16] = { 192, 0, 2, 1 }, ip2[16] = { 192, 0, 2, 2 }, none[4];
    static const uint8_t ip6[16] = { 0xFE, 0x80, [15] = 9 };
    uint8_t bytes[ANNOUNCE_MAX] = { 0 };
    struct frame frame;

    (void)state;
    arp_send(&a, mac_a, ip1);
    assert_int_equal(a.port.nr_addresses, 1);
    assert_memory_equal(a.port.address[0].bytes, ip1, 16);
    arp_send(&a, mac_b, ip2);  /* speaks for another */
    arp_send(&a, mac_a, none); /* a probe, before it has one */
    assert_int_equal(a.port.nr_addresses, 1);

    memcpy(bytes + 6, mac_a, 6); /* an IPv4 packet */
    be16_put(bytes + 12, ETH_TYPE_IP4);
    memcpy(bytes + 26, ip2, 4);
    frame = frame_of(bytes, 60);
    switch_input(&a.port, &frame);
    assert_int_equal(a.port.nr_addresses, 2);
    assert_memory_equal(a.port.address[0].bytes, ip2, 16);

    frame = frame_of(bytes, announce_na(bytes, mac_a, ip6));
    switch_input(&a.port, &frame);
    assert_int_equal(a.port.nr_addresses, 3);
    assert_true(a.port.address[0].ip6);
    assert_memory_equal(a.port.address[0].bytes, ip6, 16);

    arp_send(&a, mac_a, ip1); /* known: to the front */
    assert_int_equal(a.port.nr_addresses, 3);
    assert_memory_equal(a.port.address[0].bytes, ip1, 16);
    assert_memory_equal(a.port.address[2].bytes, ip2, 16);

    for (uint8_t i = 100; i < 120; i++) /* more than there is room for: the oldest go */
        arp_send(&a, mac_a, (const uint8_t[4]){ 192, 0, 2, i });
    assert_int_equal(a.port.nr_addresses, PORT_ADDRESSES);
    assert_int_equal(a.port.address[0].bytes[3], 119);
    assert_int_equal(a.port.address[PORT_ADDRESSES - 1].bytes[3], 112);

    memcpy(bytes + 6, out1, 6); /* the uplink has too many to remember */
    switch_input(&uplink.port, &frame);
    assert_int_equal(uplink.port.nr_addresses, 0);
}

static void announcements_to_the_byte(void **state)
{
    static const uint8_t ip[4] = { 192, 0, 2, 7 }, ip6[16] = { 0xFE, 0x80, [15] = 9 };
    static const uint8_t arp[60] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0,   0xA, 0x08, 0x06,
                                     0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0,   0,    0xA,
                                     192,  0,    2,    7,    0,    0,    0, 0, 0, 0, 192, 0,   2,    7 };
    static const uint8_t rarp[60] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0, 0xA, 0x80,
                                      0x35, 0,    1,    8,    0,    6,    4, 0, 3, 2, 0, 0,   0,
                                      0,    0xA,  0,    0,    0,    0,    2, 0, 0, 0, 0, 0xA };
    /*
     * The advertisement's sum by hand. Pseudo-header: FE80 + 9 + FF02 + 1 + length 20 + next header 3A = 1FDE6; body:
     * 8800 + 2000 + FE80 + 9 + option 0201 + 0200 + 0 + A = 1AA94; together 3A87A, folded A87D, inverted 5782.
     */
    static const uint8_t na[86] = { 0x33, 0x33, 0,    0,    0,  1,  2,   0,    0,    0,    0,  0xA,  0x86, 0xDD, 0x60,
                                    0,    0,    0,    0,    32, 58, 255, 0xFE, 0x80, 0,    0,  0,    0,    0,    0,
                                    0,    0,    0,    0,    0,  0,  0,   9,    0xFF, 0x02, 0,  0,    0,    0,    0,
                                    0,    0,    0,    0,    0,  0,  0,   0,    1,    136,  0,  0x57, 0x82, 0x20, 0,
                                    0,    0,    0xFE, 0x80, 0,  0,  0,   0,    0,    0,    0,  0,    0,    0,    0,
                                    0,    0,    9,    2,    1,  2,  0,   0,    0,    0,    0xA };
    uint8_t bytes[ANNOUNCE_MAX];

    (void)state;
    assert_int_equal(announce_arp(bytes, mac_a, ip), sizeof(arp));
    assert_memory_equal(bytes, arp, sizeof(arp));
    assert_int_equal(announce_rarp(bytes, mac_a), sizeof(rarp));
    assert_memory_equal(bytes, rarp, sizeof(rarp));
    assert_int_equal(announce_na(bytes, mac_a, ip6), sizeof(na));
    assert_memory_equal(bytes, na, sizeof(na));
}

static void a_port_is_announced(void **state)
{
    (void)state;
    arp_send(&a, mac_a, (const uint8_t[4]){ 192, 0, 2, 1 });
    arp_send(&a, mac_a, (const uint8_t[4]){ 192, 0, 2, 2 });
    uplink.frames = 0;
    assert_int_equal(announce_port(&a.port), 3);
    assert_int_equal(uplink.frames, 3);
    assert_int_equal(a.port.nr_addresses, 2);
}

#define switch_test(name) cmocka_unit_test_setup_teardown(name, start, end)

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
        switch_test(addresses_are_snooped),
        switch_test(announcements_to_the_byte),
        switch_test(a_port_is_announced),
    };

    return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/switch.c net/hold.c net/heard.c net/forward.c net/snoop.c net/announce.c net/offload.c */
/* sources: net/mac.c tests/unit/stubs.c */
/* sources: net/ethernet.c net/headers.c net/csum.c */
/* Frames for a guest that stands still for a move, or has left: each is given to it, where it then is, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "net/forward.h"
#include "net/ethernet.h"
#include "net/heard.h"
#include "net/hold.h"
#include "net/switch.h"

static u64 now;

u64 clock_ns(void)
{
    return now;
}

/* The guest's port, another guest's, and the way out. */
static struct port guest, other, uplink;
static unsigned given; /* frames, to the guest */
static u8 last[2000];
static struct frame_offload last_offload;
static const u8 mac_guest[6] = { 2, 0, 0, 0, 0, 0xA }, mac_other[6] = { 2, 0, 0, 0, 0, 0xB };
static const u8 client[6] = { 2, 1, 0, 0, 0, 1 }, nobody[6] = { 2, 1, 0, 0, 0, 2 };
static const u8 broadcast[6] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

static bool deliver(struct port *port, const struct frame *frame)
{
    if (port != &guest)
        return true;
    given++;
    frame_read(frame, 0, last, frame->len < sizeof(last) ? frame->len : sizeof(last));
    last_offload = frame->offload;
    return true;
}

static void join(struct port *port, const u8 *mac)
{
    *port = (struct port){ .deliver = deliver };
    if (mac)
        memcpy(port->mac, mac, 6);
    switch_add(port);
}

static int start(void **state)
{
    (void)state;
    now += 2 * SWITCH_AGE_NS; /* whatever an earlier test taught is forgotten */
    given = 0;
    switch_configure(&(struct switch_settings){ 0 });
    join(&uplink, NULL);
    join(&guest, mac_guest);
    join(&other, mac_other);
    return 0;
}

static int end(void **state)
{
    (void)state;
    while (switch_ports())
        switch_remove(switch_ports());
    return 0;
}

static void make(u8 bytes[60], const u8 *to, const u8 *from, u8 mark)
{
    memcpy(bytes, to, 6);
    memcpy(bytes + 6, from, 6);
    bytes[59] = mark;
}

static void send(struct port *port, const u8 *to, const u8 *from, u8 mark)
{
    u8 bytes[60] = { 0 };
    struct frame frame = frame_of(bytes, sizeof(bytes));

    make(bytes, to, from, mark);
    headers_parse(&frame);
    switch_input(port, &frame);
}

/* A guest that stands still for a moment gets its frames later, in order, as many as there is room for. */
static void held_frames_come_later(void **state)
{
    (void)state;
    port_hold(&guest);
    for (unsigned i = 0; i < HOLD_FRAMES + 3; i++)
        send(&other, mac_guest, mac_other, (u8)i);
    assert_int_equal(given, 0);
    assert_int_equal(guest.counters.held, HOLD_FRAMES);
    assert_int_equal(guest.counters.tx_dropped, 3);
    assert_int_equal(guest.counters.tx_frames, 0);
    port_release(&guest);
    assert_int_equal(given, HOLD_FRAMES);
    assert_int_equal(last[59], (u8)(HOLD_FRAMES - 1));
    assert_int_equal(guest.counters.tx_frames, HOLD_FRAMES);
    send(&other, mac_guest, mac_other, 0);
    assert_int_equal(given, HOLD_FRAMES + 1);
    port_hold(&guest);
    send(&other, mac_guest, mac_other, 0);
    port_hold_drop(&guest);
    assert_int_equal(given, HOLD_FRAMES + 1);
    assert_int_equal(guest.counters.tx_dropped, 4);
}

/* Kept frames are what the link would carry, and the room for them is bounded in bytes, too. */
static void held_frames_are_plain(void **state)
{
    static u8 bytes[60000];
    struct frame frame = frame_of(bytes, sizeof(bytes));
    u64 finished = switch_counters()->finished;

    (void)state;
    make(bytes, mac_guest, mac_other, 0);
    guest.offload_csum = guest.offload_tso = true;
    port_hold(&guest);
    headers_parse(&frame);
    for (unsigned i = 0; i < 20; i++)
        switch_input(&other, &frame);
    assert_int_equal(guest.counters.held, HOLD_BYTES / sizeof(bytes));
    assert_int_equal(guest.counters.tx_dropped, 20 - HOLD_BYTES / sizeof(bytes));
    frame = frame_of(bytes, 60);
    frame.offload = (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = 14, .csum_offset = 16 };
    headers_parse(&frame);
    switch_input(&other, &frame);
    assert_int_equal(switch_counters()->finished, finished + 1);
    port_release(&guest);
    assert_int_equal(last_offload.flags, 0);
    assert_int_equal(guest.nr_held + guest.held_bytes, 0);
    headers_parse(&frame);
    switch_input(&other, &frame);
    assert_int_equal(last_offload.flags, OFFLOAD_NEEDS_CSUM);
}

static unsigned next_of(struct forward *forward, const u8 *to)
{
    u8 bytes[100];

    assert_int_equal(forward_take(forward, bytes, sizeof(bytes)), 60);
    assert_memory_equal(bytes, to, 6);
    return bytes[59];
}

/* A guest that has left: what has come for it, or for a group, and what still comes, is kept for its next host. */
static void frames_follow_a_guest(void **state)
{
    static const u8 behind[6] = { 2, 7, 7, 7, 7, 7 }, speaks[6] = { 2, 7, 7, 7, 7, 8 };
    struct forward forward = { .on = false };
    u8 bytes[100];

    (void)state;
    send(&guest, broadcast, behind, 0);
    send(&guest, broadcast, speaks, 0);
    port_hold(&guest);
    send(&uplink, mac_guest, client, 1);
    guest.closed = true;
    send(&uplink, mac_guest, client, 2);
    send(&uplink, broadcast, client, 3);
    send(&uplink, nobody, client, 4);
    forward_begin(&forward, &guest);
    switch_remove(&guest);
    send(&uplink, mac_guest, client, 5);
    assert_int_equal(next_of(&forward, mac_guest), 1);
    assert_int_equal(next_of(&forward, mac_guest), 2);
    assert_int_equal(next_of(&forward, broadcast), 3);
    assert_int_equal(next_of(&forward, mac_guest), 5);
    assert_int_equal(forward_take(&forward, bytes, sizeof(bytes)), 0);

    send(&uplink, broadcast, mac_guest, 6); /* its new host tells where it is: from here, frames go there */
    send(&uplink, broadcast, speaks, 6);
    send(&other, mac_guest, mac_other, 7);
    assert_int_equal(forward_take(&forward, bytes, sizeof(bytes)), 0);
    send(&uplink, broadcast, client, 8);
    assert_int_equal(forward_take(&forward, bytes, 59), 0);
    assert_int_equal(forward.port.counters.tx_dropped, 1);
    forward_end(&forward);
    forward_end(&forward);
    assert_int_equal(forward_take(&forward, bytes, sizeof(bytes)), 0);
    assert_null(switch_lookup(behind));
}

/* Nothing is kept behind a closed port whose guest is not leaving. */
static void closed_ports_keep_nothing(void **state)
{
    (void)state;
    guest.closed = true;
    send(&uplink, mac_guest, client, 1);
    send(&uplink, broadcast, client, 2);
    assert_int_equal(guest.counters.held, 0);
    assert_int_equal(guest.counters.tx_dropped, 1);
}

static bool late(u8 mark)
{
    u8 bytes[60] = { 0 };

    make(bytes, mac_guest, client, mark);
    return port_deliver_late(&guest, bytes, sizeof(bytes));
}

/* A frame that reached both hosts is given once; two equal ones that reached the other host are two. */
static void late_frames_are_given_once(void **state)
{
    (void)state;
    assert_false(late(0)); /* it did not come from elsewhere */
    heard_begin(&guest);
    port_hold(&guest);
    send(&uplink, mac_guest, client, 1);
    send(&uplink, mac_guest, client, 2);
    port_release(&guest);
    send(&uplink, mac_guest, client, 3);
    assert_int_equal(given, 3);
    assert_false(late(1));
    assert_true(late(1)); /* the second of its kind */
    assert_false(late(2));
    assert_false(late(3));
    assert_true(late(4));
    assert_true(late(4));
    assert_int_equal(given, 6);
    assert_int_equal(guest.counters.late, 3);
    assert_int_equal(guest.counters.late_twice, 3);
}

/* They come within a second, and never what hypervisors say to each other. */
static void late_frames_have_their_time(void **state)
{
    u8 claim[60] = { 0 };

    (void)state;
    make(claim, mac_guest, client, 0);
    claim[12] = ETH_TYPE_PEERS >> 8;
    claim[13] = ETH_TYPE_PEERS & 0xFF;
    heard_begin(&guest);
    port_hold(&guest);
    now += 30 * HEARD_NS; /* prepared, and not yet told to run */
    assert_false(port_deliver_late(&guest, claim, sizeof(claim)));
    port_release(&guest);
    assert_int_equal(given, 0);
    now += HEARD_NS;
    assert_true(late(1));
    guest.closed = true;
    assert_false(late(2));
    guest.closed = false;
    now++;
    assert_false(late(3));
    assert_null(guest.heard);
    assert_int_equal(given, 1);
}

#define hold_test(function) cmocka_unit_test_setup_teardown(function, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        hold_test(held_frames_come_later),     hold_test(held_frames_are_plain),
        hold_test(frames_follow_a_guest),      hold_test(closed_ports_keep_nothing),
        hold_test(late_frames_are_given_once), hold_test(late_frames_have_their_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

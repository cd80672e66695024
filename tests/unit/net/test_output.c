/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/output.c net/switch.c net/hold.c net/heard.c net/snoop.c net/announce.c net/offload.c */
/* sources: net/mac.c net/ethernet.c net/headers.c net/csum.c host/frame.c tests/unit/ram.c tests/unit/stubs.c */
/* What a protected guest sends: each frame leaves once, in order, as it was sent, and not before its checkpoint has
 * arrived. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/frame.h"
#include "net/announce.h"
#include "net/ethernet.h"
#include "net/offload.h"
#include "net/output.h"
#include "net/switch.h"
#include "tests/unit/ram.h"

static u64 now;

u64 clock_ns(void)
{
    return now;
}

static struct port guest, local, uplink;
static const u8 mac_guest[6] = { 2, 0, 0, 0, 0, 0xA }, mac_local[6] = { 2, 0, 0, 0, 0, 0xB };
static const u8 client[6] = { 2, 1, 0, 0, 0, 1 };
static bool congested;

/* What came to the uplink, or to the local guest: lengths, a digest of all bytes, and the last frame. */
struct came {
    unsigned frames;
    u32 len;
    u64 sum;
    u8 last[FRAME_MAX];
    struct frame_offload offload;
};
static struct came out, in;

static bool deliver(struct port *port, const struct frame *frame)
{
    struct came *came = port == &uplink ? &out : &in;

    came->frames++;
    came->len = frame->len;
    came->offload = frame->offload;
    frame_read(frame, 0, came->last, frame->len);
    for (u32 i = 0; i < frame->len; i++)
        came->sum = came->sum * 31 + came->last[i] + 1;
    return true;
}

static bool uplink_congested(struct port *port, unsigned spare)
{
    (void)port;
    (void)spare;
    return congested;
}

static void join(struct port *port, const u8 *mac)
{
    *port = (struct port){ .deliver = deliver };
    if (mac)
        memcpy(port->mac, mac, 6);
    switch_add(port);
}

static u64 free_before;

/* So the switch knows where it is. */
static void client_speaks(void)
{
    u8 word[60] = { 0 };
    struct frame frame = frame_of(word, sizeof(word));

    frame_header(word, mac_guest, client, 0x1234);
    headers_parse(&frame);
    switch_input(&uplink, &frame);
    in = (struct came){ 0 };
}

static void hold_frames(void)
{
    assert_int_equal(port_output_reserve(&guest), 0);
    port_output_hold(&guest);
}

static int start(void **state)
{
    (void)state;
    ram_init_full(MiB(32));
    now += 2 * SWITCH_AGE_NS;
    out = in = (struct came){ 0 };
    congested = false;
    switch_configure(&(struct switch_settings){ 0 });
    join(&uplink, NULL);
    join(&guest, mac_guest);
    join(&local, mac_local);
    uplink.congested = uplink_congested;
    client_speaks();
    free_before = ram_free();
    hold_frames();
    return 0;
}

static int end(void **state)
{
    (void)state;
    port_output_fini(&guest);
    assert_int_equal(ram_free(), free_before);
    while (switch_ports())
        switch_remove(switch_ports());
    ram_fini();
    return 0;
}

static u8 bytes[FRAME_MAX];

static void make(const u8 *to, u64 mark)
{
    memcpy(bytes, to, 6);
    memcpy(bytes + 6, mac_guest, 6);
    be16_put(bytes + 12, 0x1234);
    memcpy(bytes + 14, &mark, sizeof(mark));
}

static void send(const u8 *to, u64 mark, u32 len)
{
    struct frame frame = frame_of(bytes, len);

    make(to, mark);
    headers_parse(&frame);
    port_output(&guest, &frame);
}

static void rounds(void)
{
    while (port_output_poll(&guest))
        ;
}

static u64 mark_of(const struct came *came)
{
    u64 mark;

    memcpy(&mark, came->last + 14, sizeof(mark));
    return mark;
}

/* Local guests are the outside, too. */
static void frames_wait_for_their_checkpoint(void **state)
{
    (void)state;
    send(client, 1, 60);
    send(mac_local, 2, 60);
    rounds();
    assert_int_equal(out.frames + in.frames, 0);
    port_output_mark(&guest, 1);
    send(client, 3, 60);
    rounds();
    assert_int_equal(out.frames + in.frames, 0);
    port_output_release(&guest, 1);
    rounds();
    assert_int_equal(mark_of(&out), 1);
    assert_int_equal(mark_of(&in), 2);
    assert_int_equal(out.frames + in.frames, 2);
    assert_int_equal(guest.counters.rx_frames, 2);

    port_output_mark(&guest, 2);
    port_output_mark(&guest, 5);
    send(client, 4, 60);
    port_output_release(&guest, 1); /* once more */
    rounds();
    assert_int_equal(out.frames, 1);
    port_output_release(&guest, 5);
    rounds();
    assert_int_equal(out.frames, 2);
    assert_int_equal(mark_of(&out), 3);
    port_output_mark(&guest, 6);
    port_output_release(&guest, 6);
    rounds();
    assert_int_equal(mark_of(&out), 4);
}

/* An address that the guest says to have is known when the frame that says so leaves. */
static void addresses_are_learnt_late(void **state)
{
    u8 arp[ANNOUNCE_MAX];
    struct frame frame = frame_of(arp, announce_arp(arp, mac_guest, (const u8[]){ 10, 9, 0, 1 }));

    (void)state;
    headers_parse(&frame);
    port_output(&guest, &frame);
    assert_int_equal(guest.nr_addresses, 0);
    port_output_mark(&guest, 1);
    port_output_release(&guest, 1);
    rounds();
    assert_int_equal(guest.nr_addresses, 1);
}

/* A TCP segment that the card is to cut, and a checksum that it is to make. */
static void send_tcp(u32 payload)
{
    struct frame frame = { .part = { { bytes, 30 }, { bytes + 30, 24 + payload } }, .nr_parts = 2 };

    make(client, 0);
    be16_put(bytes + 12, ETH_TYPE_IP4);
    memset(bytes + 14, 0, 40);
    bytes[14] = 0x45;
    be16_put(bytes + 16, (u16)(40 + payload));
    bytes[14 + IP4_PROTOCOL] = IP_PROTO_TCP;
    bytes[14 + 20 + TCP_DATA_OFFSET] = 5 << 4;
    for (u32 i = 0; i < payload; i++)
        bytes[54 + i] = (u8)(i * 7 + (i >> 9));
    frame.len = 54 + payload;
    frame.offload = (struct frame_offload){
        .flags = OFFLOAD_NEEDS_CSUM,
        .gso_type = payload > 1460 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_NONE,
        .header_len = 54,
        .gso_size = payload > 1460 ? 1460 : 0,
        .csum_start = 34,
        .csum_offset = TCP_CSUM,
    };
    headers_parse(&frame);
    port_output(&guest, &frame);
}

/* What leaves is what would have left at once: cut and summed by the switch, or left to a port that can do that. */
static void offloads_are_kept(void **state)
{
    static struct came held;

    (void)state;
    for (unsigned can = 0; can < 2; can++) {
        uplink.offload_csum = uplink.offload_tso = can;
        out = (struct came){ 0 };
        if (can)
            hold_frames();
        send_tcp(60000);
        send_tcp(100);
        memset(bytes, 0xEE, sizeof(bytes)); /* the guest has its buffers back */
        assert_int_equal(out.frames, 0);
        port_output_end(&guest);
        rounds();
        held = out;
        out = (struct came){ 0 };
        send_tcp(60000);
        send_tcp(100);
        assert_int_equal(held.frames, can ? 2 : 60000 / 1460 + 2);
        assert_int_equal(held.frames, out.frames);
        assert_int_equal(held.sum, out.sum);
        assert_memory_equal(&held.offload, &out.offload, sizeof(out.offload));
        assert_int_equal(held.offload.flags & OFFLOAD_NEEDS_CSUM, can ? OFFLOAD_NEEDS_CSUM : 0);
    }
}

/* Frames of all lengths for a long time: there is always room when it is said, and no frame is lost, changed or
 * overtaken. */
static void room_is_bounded(void **state)
{
    struct port_output_stats stats;
    u64 sent = 0, checkpoint = 0, at_mark[2] = { 0 }, full = 0;

    (void)state;
    while (full < 40) {
        u32 len = ram_random(4) ? 60 + (u32)ram_random(1454) : 60 + (u32)ram_random(FRAME_MAX - 59);

        if (port_output_room(&guest) && ram_random(500)) {
            send(client, ++sent, len);
            continue;
        }
        full += !port_output_room(&guest);
        port_output_mark(&guest, ++checkpoint);
        at_mark[0] = at_mark[1];
        at_mark[1] = sent;
        if (checkpoint == 1)
            continue;
        port_output_release(&guest, checkpoint - 1);
        rounds();
        assert_int_equal(out.frames, at_mark[0]);
        assert_int_equal(out.frames ? mark_of(&out) : 0, at_mark[0]);
    }
    assert_true(port_output_stats(&guest, &stats));
    assert_int_equal(stats.frames, sent - at_mark[0]);
    assert_in_range(stats.most_bytes, OUTPUT_BYTES / 2, OUTPUT_BYTES);
    assert_int_equal(guest.counters.rx_frames, out.frames);
    assert_true(stats.full >= 20);
}

/* The longest frames fill all but the room for one; what has gone makes room. */
static void room_comes_again(void **state)
{
    unsigned sent = 0;

    (void)state;
    for (; port_output_room(&guest); sent++)
        send(client, sent, FRAME_MAX);
    assert_in_range(sent, OUTPUT_BYTES / FRAME_MAX - 1, OUTPUT_BYTES / FRAME_MAX);
    port_output_mark(&guest, 1);
    congested = true;
    port_output_release(&guest, 1);
    assert_true(port_output_poll(&guest));
    assert_false(port_output_room(&guest));
    congested = false;
    rounds();
    assert_int_equal(out.frames, sent);
    assert_true(port_output_room(&guest));
}

/* What is sent while the rest goes goes behind it; then frames pass at once. */
static void the_end_lets_all_go(void **state)
{
    (void)state;
    send(client, 1, 60);
    port_output_mark(&guest, 1);
    send(client, 2, 60);
    congested = true;
    port_output_end(&guest);
    assert_true(port_output_poll(&guest));
    send(client, 3, 60);
    assert_int_equal(port_output_reserve(&guest), -EAGAIN);
    assert_int_equal(out.frames, 0);
    congested = false;
    rounds();
    assert_int_equal(out.frames, 3);
    assert_int_equal(mark_of(&out), 3);
    assert_int_equal(ram_free(), free_before);
    send(client, 4, 60);
    assert_int_equal(mark_of(&out), 4);
    port_output_end(&guest); /* once more */
    assert_false(port_output_poll(&guest));
    hold_frames();
    send(client, 5, 60);
    port_output_mark(&guest, 1); /* numbers begin again */
    rounds();
    assert_int_equal(mark_of(&out), 4);
    port_output_release(&guest, 1);
    rounds();
    assert_int_equal(mark_of(&out), 5);
}

static void what_is_dropped_never_leaves(void **state)
{
    struct port_output_stats stats;

    (void)state;
    send(client, 1, 60);
    port_output_mark(&guest, 1);
    port_output_release(&guest, 1);
    send(client, 2, 60);
    guest.closed = true; /* between its machines */
    rounds();
    assert_true(port_output_stats(&guest, &stats));
    assert_int_equal(stats.frames, 2);
    guest.closed = false;
    rounds();
    assert_int_equal(out.frames, 1);
    port_output_drop(&guest);
    rounds();
    assert_int_equal(out.frames, 1);
    assert_int_equal(ram_free(), free_before);
    assert_false(port_output_stats(&guest, &stats));
    assert_int_equal(stats.frames + stats.bytes, 0);
    assert_int_equal(stats.dropped, 1);
}

/* Frames pass, until they are to be held; and what is not needed after all is given back. */
static void reserved_is_not_held(void **state)
{
    struct port_output_stats stats;

    (void)state;
    port_output_drop(&guest);
    assert_int_equal(port_output_reserve(&guest), 0);
    assert_int_equal(free_before - ram_free(), OUTPUT_BYTES / PAGE_SIZE);
    assert_true(port_output_room(&guest));
    assert_false(port_output_holds(&guest) || port_output_stats(&guest, &stats));
    send(client, 1, 60);
    assert_int_equal(out.frames, 1);
    port_output_drop(&guest);
    assert_int_equal(ram_free(), free_before);
    hold_frames();
    send(client, 2, 60);
    assert_int_equal(out.frames, 1);
}

static void waits_are_counted(void **state)
{
    struct port_output_stats stats;

    (void)state;
    send(client, 1, 60);
    now += 1000;
    send(client, 2, 100);
    port_output_mark(&guest, 1);
    assert_true(port_output_stats(&guest, &stats));
    assert_int_equal(stats.frames, 2);
    assert_int_equal(stats.bytes, 160);
    assert_int_equal(stats.passed + stats.passed_wait, 0);
    now += 500;
    port_output_release(&guest, 1);
    rounds();
    assert_true(port_output_stats(&guest, &stats));
    assert_int_equal(stats.frames + stats.bytes + stats.full, 0);
    assert_int_equal(stats.most_bytes, 160);
    assert_int_equal(stats.passed, 2);
    assert_int_equal(stats.passed_wait, 2000);
    assert_int_equal(stats.longest_wait, 1500);
    /* What was counted stays the guest's, through each end. */
    port_output_end(&guest);
    rounds();
    assert_false(port_output_stats(&guest, &stats));
    assert_int_equal(stats.passed, 2);
    hold_frames();
    send(client, 3, 60);
    port_output_end(&guest);
    rounds();
    port_output_stats(&guest, &stats);
    assert_int_equal(stats.passed, 3);
    assert_int_equal(stats.most_bytes, 160);
    port_output_fini(&guest);
    port_output_stats(&guest, &stats);
    assert_int_equal(stats.passed + stats.most_bytes, 0);
}

static void no_memory(void **state)
{
    (void)state;
    port_output_drop(&guest);
    while (frame_alloc(10) != FRAME_NONE)
        ;
    assert_int_equal(port_output_reserve(&guest), -ENOMEM);
    send(client, 1, 60);
    assert_int_equal(out.frames, 1);
    free_before = ram_free();
}

#define output_test(function) cmocka_unit_test_setup_teardown(function, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        output_test(frames_wait_for_their_checkpoint),
        output_test(addresses_are_learnt_late),
        output_test(offloads_are_kept),
        output_test(room_is_bounded),
        output_test(room_comes_again),
        output_test(the_end_lets_all_go),
        output_test(what_is_dropped_never_leaves),
        output_test(reserved_is_not_held),
        output_test(waits_are_counted),
        output_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

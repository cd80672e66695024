/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames from the guest: what is one, and when driver and device tell each other. */
/* sources: dev/virtio_net.c dev/virtio_net_ctrl.c dev/virtio_net_state.c net/mac.c */
/* sources: dev/virtio_net_tx.c dev/virtio_pci.c net/snoop.c net/announce.c net/offload.c */
/* sources: dev/virtqueue.c dev/pci.c net/hold.c net/output.c net/heard.c net/ethernet.c net/headers.c net/csum.c */
/* sources: dev/pci_msix.c hv/bus.c dev/codec.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: mm/guest_missing.c */
/* sources: tests/unit/ram.c tests/unit/virtio_rig.c tests/unit/net_rig.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/irq.h"
#include "host/bits.h"
#include "mm/guest_missing.h"
#include "net/output.h"
#include "tests/unit/net_rig.h"

static void test_a_frame_is_sent(void **unused)
{
    (void)unused;
    net_start(BASE);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_int_equal(rig.inputs, 1);
    assert_int_equal(rig.input_len, 60);
    assert_memory_equal(rig.input, frame_bytes, 60);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 1);
    assert_true(rig.line[IRQ_PCI + SLOT]);
}

/* While the wire is full a frame is safest where it is: in the guest's ring. */
static void test_a_frame_waits_for_the_wire(void **unused)
{
    (void)unused;
    net_start(BASE);
    rig.congested = true;
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_int_equal(rig.inputs, 0);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 0);
    rig.congested = false;
    virtio_net_poll();
    assert_int_equal(rig.inputs, 1);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 1);
}

/* The frames of a protected guest are held; when there is no room for more, they stay in the ring, and nobody looks at
 * them in vain. */
static void test_frames_wait_for_room(void **unused)
{
    struct virtio_net_hdr large = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = 54,
                                    .gso_size = 1448,
                                    .csum_start = 34,
                                    .csum_offset = 16 };
    unsigned sent = 0;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4);
    rig.cpus = 2;
    rig.ticks_per_ns = 1000000;
    assert_int_equal(port_output_reserve(&net.port), 0);
    port_output_hold(&net.port);
    for (; port_output_room(&net.port); sent++) {
        net_send(&large, 60000);
        assert_int_equal(rig_used_idx(VIRTIO_NET_TX), sent + 1);
    }
    port_output_mark(&net.port, 1);
    net_send(&large, 50000);
    net_send(&large, 40000);
    assert_int_equal(rig.inputs, 0);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), sent);
    assert_int_equal(net.tx.look, VIRTIO_NET_NEVER);

    port_output_release(&net.port, 1);
    for (unsigned i = 0; i < 3; i++)
        virtio_net_poll();
    assert_int_equal(rig.inputs, sent);
    assert_int_equal(rig.input_len, 60000);
    assert_int_equal(rig.offload.gso_size, 1448);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), sent + 2);
    port_output_end(&net.port);
    virtio_net_poll();
    assert_int_equal(rig.inputs, sent + 2);
    assert_int_equal(rig.input_len, 40000);
    net_send(&large, 30000);
    assert_int_equal(rig.inputs, sent + 3);
    assert_int_equal(net.malformed, 0);
}

/* The port of a guest that has ended stays open for its last words. */
static void test_last_words(void **unused)
{
    (void)unused;
    net_start(BASE);
    assert_int_equal(port_output_reserve(&net.port), 0);
    port_output_hold(&net.port);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    rig.vm.status = VM_OFF;
    virtio_net_poll();
    assert_false(net.port.closed);
    port_output_end(&net.port);
    virtio_net_poll();
    assert_int_equal(rig.inputs, 1);
    assert_true(net.port.closed);
}

/* Sent once, when all of it is here. */
static void test_a_frame_waits_for_missing_pages(void **unused)
{
    static u8 bytes[PAGE_SIZE];
    u64 page;

    (void)unused;
    net_start(BASE);
    rig_read(BUFFER(0) + PAGE_SIZE, bytes, PAGE_SIZE);
    assert_int_equal(guest_mem_expect(&rig.vm.mem, BUFFER(0) + PAGE_SIZE, 1), 0);
    rig_write(BUFFER(0), &(struct virtio_net_hdr){ 0 }, HDR);
    rig_set_desc(VIRTIO_NET_TX, 0, BUFFER(0), HDR, VIRTQ_DESC_F_NEXT, 1);
    rig_set_desc(VIRTIO_NET_TX, 1, BUFFER(0) + PAGE_SIZE - 30, 60, 0, 0);
    rig_offer(SLOT, VIRTIO_NET_TX, 0);
    assert_int_equal(virtio_net_poll(), VIRTIO_NET_NEVER);
    virtio_net_poll();
    assert_int_equal(rig.inputs + net.malformed, 0);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 0);
    assert_true(guest_mem_wanted(&rig.vm.mem, &page));
    assert_int_equal(guest_mem_supply(&rig.vm.mem, page, bytes), 0);
    virtio_net_poll();
    assert_int_equal(rig.inputs, 1);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 1);
}

static u16 no_notify(void)
{
    u16 flags;

    rig_read(rig_used(VIRTIO_NET_TX), &flags, sizeof(flags));
    return flags & VIRTQ_USED_F_NO_NOTIFY;
}

/* With a CPU to spare the host looks by itself while much is sent, and for a while after; then the driver rings again.
 */
static void test_the_driver_need_not_ring(void **unused)
{
    struct virtio_net_hdr large = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                    .hdr_len = 54,
                                    .gso_size = 1448,
                                    .csum_start = 34,
                                    .csum_offset = 16 };
    unsigned looks = 0;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4);
    net_send(&large, 5000);
    assert_false(no_notify());
    rig.cpus = 2;
    net_send(&large, 5000);
    assert_true(no_notify());
    rig_offer_quietly(VIRTIO_NET_TX, 0);
    virtio_net_poll();
    assert_int_equal(rig.inputs, 3);
    while (virtio_net_poll() != VIRTIO_NET_NEVER) {
        assert_true(no_notify());
        assert_in_range(++looks, 1, 100);
    }
    assert_false(no_notify());
    assert_true(looks > 1);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_int_equal(rig.inputs, 4);
    assert_false(no_notify());
}

/* What was sent is in the ring at once, but worth an interrupt only after a while, or after many, or before a move. */
static void test_the_driver_is_told_late(void **unused)
{
    (void)unused;
    net_start(BASE);
    rig.ticks_per_ns = 1000000;
    for (unsigned i = 1; i < 64; i++) {
        net_send(&(struct virtio_net_hdr){ 0 }, 60);
        assert_int_equal(rig_used_idx(VIRTIO_NET_TX), i);
    }
    assert_false(rig.line[IRQ_PCI + SLOT]);
    assert_int_not_equal(virtio_net_poll(), VIRTIO_NET_NEVER);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_true(rig.line[IRQ_PCI + SLOT]);
    rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1); /* acknowledges it */
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_false(rig.line[IRQ_PCI + SLOT]);
    virtio_net_pause(&net);
    assert_true(rig.line[IRQ_PCI + SLOT]);
    assert_int_equal(virtio_net_poll(), VIRTIO_NET_NEVER);
}

/* More pieces than a frame has room for, none larger than 40 bytes; the longest frame in one; empty beginnings. */
static void test_frames_in_many_pieces(void **unused)
{
    struct virtq_desc table[40];
    struct virtio_net_hdr hdr = { 0 };
    u32 at = 0;

    (void)unused;
    net_start(BASE | VIRTIO_F_INDIRECT_DESC);
    rig_write(BUFFER(0), &hdr, HDR);
    rig_write(BUFFER(0) + HDR, frame_bytes, 1514);
    for (u16 i = 0; i < 40; i++) {
        u32 len = i < 39 ? 38 : HDR + 1514 - at;

        table[i] = (struct virtq_desc){ BUFFER(0) + at, len, i < 39 ? VIRTQ_DESC_F_NEXT : 0, (u16)(i + 1) };
        at += len;
    }
    rig_write(BUFFER(3), table, sizeof(table));
    rig_set_desc(VIRTIO_NET_TX, 0, BUFFER(3), sizeof(table), VIRTQ_DESC_F_INDIRECT, 0);
    rig_offer(SLOT, VIRTIO_NET_TX, 0);
    virtio_net_poll();
    assert_int_equal(rig.input_len, 1514);
    assert_memory_equal(rig.input, frame_bytes, 1514);
}

static void test_frames_that_are_none_are_dropped(void **unused)
{
    (void)unused;
    net_start(BASE);
    net_send(&(struct virtio_net_hdr){ 0 }, 13);
    net_send(&(struct virtio_net_hdr){ 0 }, 1523);
    net_send(&(struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 },
             100);
    net_send(&(struct virtio_net_hdr){ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1000 }, 100);
    assert_int_equal(rig.inputs, 0);
    assert_int_equal(net.malformed, 4);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 4); /* the driver gets its buffers back */
    net_send(&(struct virtio_net_hdr){ 0 }, 1522);    /* with two VLAN tags */
    assert_int_equal(rig.inputs, 1);
}

static void test_offloads_to_us_must_make_sense(void **unused)
{
    struct virtio_net_hdr hdr = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = 54,
        .gso_size = 1448,
        .csum_start = 34,
        .csum_offset = 16,
    };
    struct virtio_net_hdr wrong = hdr;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4);
    net_send(&hdr, 40000);
    assert_int_equal(rig.inputs, 1);
    assert_memory_equal(rig.input, frame_bytes, 40000);
    assert_int_equal(rig.offload.gso_size, 1448);
    assert_int_equal(rig.offload.csum_start, 34);
    wrong.gso_size = 0;
    net_send(&wrong, 4000);
    wrong = hdr;
    wrong.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; /* not negotiated */
    net_send(&wrong, 4000);
    wrong = hdr;
    wrong.gso_type = 3; /* UDP: not offered */
    net_send(&wrong, 4000);
    wrong = hdr;
    wrong.csum_start = 3999;
    net_send(&wrong, 4000);
    wrong.csum_start = 0xFFFF;
    wrong.csum_offset = 0xFFFF;
    net_send(&wrong, 4000);
    wrong = hdr;
    wrong.hdr_len = 4001;
    net_send(&wrong, 4000);
    wrong = hdr;
    wrong.flags = 0;
    net_send(&wrong, 4000);
    assert_int_equal(rig.inputs, 1);
    assert_int_equal(net.malformed, 7);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, net_setup, net_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_frame_is_sent),
        TEST(test_a_frame_waits_for_the_wire),
        TEST(test_frames_wait_for_room),
        TEST(test_last_words),
        TEST(test_a_frame_waits_for_missing_pages),
        TEST(test_the_driver_need_not_ring),
        TEST(test_the_driver_is_told_late),
        TEST(test_frames_in_many_pieces),
        TEST(test_frames_that_are_none_are_dropped),
        TEST(test_offloads_to_us_must_make_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

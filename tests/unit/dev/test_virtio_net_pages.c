/* SPDX-License-Identifier: BSD-2-Clause */
/* The network card when pages of the guest are missing: what comes for the guest, and its commands. */
/* sources: dev/virtio_net.c dev/virtio_net_ctrl.c dev/virtio_net_state.c net/mac.c */
/* sources: dev/virtio_net_tx.c dev/virtio_pci.c net/snoop.c net/announce.c net/offload.c */
/* sources: dev/virtqueue.c dev/pci.c net/hold.c net/output.c net/heard.c net/ethernet.c net/headers.c net/csum.c */
/* sources: dev/pci_msix.c hv/bus.c dev/codec.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: mm/guest_missing.c */
/* sources: tests/unit/ram.c tests/unit/virtio_rig.c tests/unit/net_rig.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/irq.h"
#include "dev/virtio_net_state.h"
#include "host/bits.h"
#include "mm/guest_missing.h"
#include "net/hold.h"
#include "tests/unit/net_rig.h"

/* Give the device receive buffer i. */
static void give(u16 i)
{
    rig_set_desc(VIRTIO_NET_RX, i, BUFFER(i), 2000, VIRTQ_DESC_F_WRITE, 0);
    rig_offer(SLOT, VIRTIO_NET_RX, i);
}

/* The page at gpa is missing from now on; returns what it held. */
static const u8 *hide(gpa_t gpa)
{
    static u8 bytes[PAGE_SIZE];

    rig_read(align_down(gpa, PAGE_SIZE), bytes, PAGE_SIZE);
    assert_int_equal(guest_mem_expect(&rig.vm.mem, align_down(gpa, PAGE_SIZE), 1), 0);
    return bytes;
}

static void comes(gpa_t gpa, const u8 *bytes)
{
    u64 page;

    assert_true(guest_mem_wanted(&rig.vm.mem, &page));
    assert_int_equal(page, gpa / PAGE_SIZE);
    assert_int_equal(guest_mem_supply(&rig.vm.mem, page, bytes), 0);
}

/* As the switch gives a port a frame. */
static void frame_comes(void)
{
    struct frame frame = frame_of(frame_bytes, 60);

    headers_parse(&frame);
    if (net.port.holding)
        port_hold_frame(&net.port, &frame);
    else
        net.port.deliver(&net.port, &frame);
}

/* Frames are kept while a buffer is missing, and arrive in their order; those behind it, too. */
static void test_frames_wait_for_their_buffers(void **unused)
{
    const u8 *bytes;
    u8 got;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_GUEST_CSUM);
    for (u16 i = 0; i < 3; i++)
        give(i);
    bytes = hide(BUFFER(1));
    virtio_net_port_update(&net);
    assert_false(net.port.offload_csum); /* what is kept must be finished */
    for (u8 i = 0; i < 3; i++) {
        frame_bytes[30] = i;
        frame_comes();
    }
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 1);
    assert_int_equal(net.port.nr_held, 2);
    assert_int_equal(virtio_net_poll(), VIRTIO_NET_NEVER); /* nobody turns round and round */
    assert_int_equal(net.port.nr_held, 2);
    comes(BUFFER(1), bytes);
    virtio_net_poll();
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 3);
    assert_false(net.port.holding);
    for (u8 i = 0; i < 3; i++) {
        rig_read(BUFFER(i) + HDR + 30, &got, 1);
        assert_int_equal(got, i);
    }
    assert_true(rig.line[IRQ_PCI + SLOT]);
}

/* A frame that needs two buffers is kept until both are here, and not copied again and again meanwhile. */
static void test_a_frame_waits_for_all_its_buffers(void **unused)
{
    const u8 *bytes;
    u64 copied;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_GUEST_CSUM);
    for (u16 i = 0; i < 2; i++) {
        rig_set_desc(VIRTIO_NET_RX, i, BUFFER(i), 40, VIRTQ_DESC_F_WRITE, 0);
        rig_offer(SLOT, VIRTIO_NET_RX, i);
    }
    bytes = hide(BUFFER(1));
    frame_comes();
    copied = net.port.counters.copied_bytes;
    for (unsigned round = 0; round < 3; round++)
        virtio_net_poll();
    assert_int_equal(net.port.counters.held, 1);
    assert_int_equal(net.port.counters.copied_bytes, copied);
    comes(BUFFER(1), bytes);
    virtio_net_poll();
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 2);
    assert_true(net.port.offload_csum); /* with the last page */
}

/* The driver need not ring for receive buffers, and is told so when the page for that is here. */
static void test_a_wish_for_no_bells_waits(void **unused)
{
    static u8 bytes[PAGE_SIZE];
    u16 flags;
    u64 page;

    (void)unused;
    net_start(BASE);
    give(0);
    assert_int_equal(guest_read(&rig.vm.mem, align_down(net.virtio.queue[0].used, PAGE_SIZE), bytes, PAGE_SIZE), 0);
    assert_int_equal(guest_mem_expect(&rig.vm.mem, align_down(net.virtio.queue[0].used, PAGE_SIZE), 1), 0);
    virtio_net_poll();
    assert_true(guest_mem_wanted(&rig.vm.mem, &page));
    memset(bytes + net.virtio.queue[0].used % PAGE_SIZE, 0, 2);
    assert_int_equal(guest_mem_supply(&rig.vm.mem, page, bytes), 0);
    virtio_net_poll();
    rig_read(net.virtio.queue[0].used, &flags, sizeof(flags));
    assert_int_equal(flags, VIRTQ_USED_F_NO_NOTIFY);
}

/* A driver that gives up, or is reset, gets nothing any more, and the port is as it was. */
static void test_kept_frames_end_with_the_queue(void **unused)
{
    (void)unused;
    net_start(BASE);
    give(0);
    hide(BUFFER(0));
    frame_comes();
    assert_int_equal(net.port.nr_held, 1);
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 0);
    virtio_net_poll();
    assert_int_equal(net.port.nr_held, 0);
    assert_false(net.port.holding);
}

static void test_a_command_waits_for_its_memory(void **unused)
{
    const u8 *bytes;
    u8 answer;

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX);
    rig_write(BUFFER(5), (const u8[]){ VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1 }, 3);
    rig_write(BUFFER(6), "\xFF", 1);
    rig_set_desc(VIRTIO_NET_CTRL, 0, BUFFER(5), 3, VIRTQ_DESC_F_NEXT, 1);
    rig_set_desc(VIRTIO_NET_CTRL, 1, BUFFER(6), 1, VIRTQ_DESC_F_WRITE, 0);
    bytes = hide(BUFFER(6));
    rig_offer(SLOT, VIRTIO_NET_CTRL, 0);
    assert_int_equal(virtio_net_poll(), VIRTIO_NET_NEVER);
    assert_false(net.filter.all_multicast);
    comes(BUFFER(6), bytes);
    virtio_net_poll();
    assert_true(net.filter.all_multicast);
    rig_read(BUFFER(6), &answer, 1);
    assert_int_equal(answer, VIRTIO_NET_OK);
    assert_int_equal(rig_used_idx(VIRTIO_NET_CTRL), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, net_setup, net_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_frames_wait_for_their_buffers),  TEST(test_a_frame_waits_for_all_its_buffers),
        TEST(test_a_wish_for_no_bells_waits),      TEST(test_kept_frames_end_with_the_queue),
        TEST(test_a_command_waits_for_its_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The network card: frames to the guest, what was negotiated, the control queue, pause and migration. */
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
#include "host/bits.h"
#include "net/hold.h"
#include "tests/unit/net_rig.h"

#define CTRL (VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_GUEST_ANNOUNCE)
/* Give the device receive buffer i, of `len` bytes. */
static void give(u16 i, u32 len)
{
    rig_set_desc(VIRTIO_NET_RX, i, BUFFER(i), len, VIRTQ_DESC_F_WRITE, 0);
    rig_offer(SLOT, VIRTIO_NET_RX, i);
}

static bool deliver(u32 len, struct frame_offload offload)
{
    struct frame frame = { .nr_parts = 2, .len = len, .offload = offload };

    frame.part[0] = (struct frame_part){ frame_bytes, 20 };
    frame.part[1] = (struct frame_part){ frame_bytes + 20, len - 20 };
    headers_parse(&frame);
    return net.port.deliver(&net.port, &frame);
}

static const struct frame_offload plain;

static void test_a_frame_is_received(void **unused)
{
    struct virtio_net_hdr hdr;
    u8 got[60];

    (void)unused;
    net_start(BASE);
    assert_false(deliver(60, plain)); /* no buffer */
    give(2, 2000);
    assert_true(deliver(60, plain));
    assert_false(rig.line[IRQ_PCI + SLOT]); /* one interrupt a round */
    virtio_net_poll();
    assert_true(rig.line[IRQ_PCI + SLOT]);
    assert_int_equal(rig_used_elem(VIRTIO_NET_RX, 0).id, 2);
    assert_int_equal(rig_used_elem(VIRTIO_NET_RX, 0).len, HDR + 60);
    rig_read(BUFFER(2), &hdr, HDR);
    assert_int_equal(hdr.num_buffers, 1);
    assert_int_equal(hdr.flags | hdr.gso_type, 0);
    rig_read(BUFFER(2) + HDR, got, 60);
    assert_memory_equal(got, frame_bytes, 60);
}

static void test_mergeable_buffers(void **unused)
{
    struct virtio_net_hdr hdr;
    u8 got[1514];

    (void)unused;
    net_start(BASE | VIRTIO_NET_F_MRG_RXBUF);
    give(0, 500);
    give(1, 600);
    assert_false(deliver(1514, plain)); /* not enough; and nothing is used up */
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 0);
    give(2, 700);
    assert_true(deliver(1514, plain));
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 3);
    rig_read(BUFFER(0), &hdr, HDR);
    assert_int_equal(hdr.num_buffers, 3);
    rig_read(BUFFER(0) + HDR, got, 488);
    rig_read(BUFFER(1), got + 488, 600);
    rig_read(BUFFER(2), got + 1088, 426);
    assert_memory_equal(got, frame_bytes, 1514);
    assert_int_equal(rig_used_elem(VIRTIO_NET_RX, 0).len, 500);
    assert_int_equal(rig_used_elem(VIRTIO_NET_RX, 2).len, 426);
}

static void test_a_frame_that_does_not_fit_is_dropped_without_merging(void **unused)
{
    (void)unused;
    net_start(BASE);
    give(0, 500);
    give(1, 2000);
    assert_false(deliver(1514, plain));
    assert_true(deliver(400, plain));
    assert_int_equal(rig_used_elem(VIRTIO_NET_RX, 0).id, 0);
}

/* What was not negotiated must never arrive, whoever sends it. */
static void test_only_negotiated_offloads_arrive(void **unused)
{
    const struct frame_offload partial = { .flags = 1, .csum_start = 34, .csum_offset = 16 };
    const struct frame_offload tso = {
        .flags = 1, .gso_type = 1, .gso_size = 1000, .csum_start = 34, .csum_offset = 16
    };
    const struct frame_offload valid = { .flags = 2 };
    struct virtio_net_hdr hdr;

    (void)unused;
    net_start(BASE);
    assert_false(net.port.offload_csum || net.port.offload_tso);
    give(0, 0x10000);
    assert_false(deliver(100, partial));
    assert_false(deliver(5000, tso));
    assert_true(deliver(100, valid));
    rig_read(BUFFER(0), &hdr, HDR);
    assert_int_equal(hdr.flags, 0);

    net_start(BASE | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6);
    assert_true(net.port.offload_csum);
    assert_false(net.port.offload_tso); /* only one of the two kinds */
    give(0, 0x10000);
    assert_false(deliver(5000, tso));
    assert_true(deliver(100, partial));
    rig_read(BUFFER(0), &hdr, HDR);
    assert_int_equal(hdr.flags, 1);
    assert_int_equal(hdr.csum_offset, 16);

    net_start(BASE | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6);
    assert_true(net.port.offload_tso);
    give(0, 0x10000);
    assert_true(deliver(5000, tso));
    rig_read(BUFFER(0), &hdr, HDR);
    assert_int_equal(hdr.gso_size, 1000);

    assert_false(rig_negotiate(SLOT, BASE | VIRTIO_NET_F_GUEST_TSO4)); /* needs GUEST_CSUM */
    assert_false(rig_negotiate(SLOT, BASE | VIRTIO_NET_F_HOST_TSO4));
    assert_false(rig_negotiate(SLOT, BASE | VIRTIO_NET_F_GUEST_ANNOUNCE));
}

/* Send a command; the device's answer. */
static u8 command(u8 class, u8 code, const void *data, u32 len)
{
    u8 answer = 0xFF, head[2] = { class, code };

    rig_write(BUFFER(5), head, 2);
    rig_write(BUFFER(5) + 2, data, len);
    rig_write(BUFFER(6), &answer, 1);
    rig_set_desc(VIRTIO_NET_CTRL, 0, BUFFER(5), 2 + len, VIRTQ_DESC_F_NEXT, 1);
    rig_set_desc(VIRTIO_NET_CTRL, 1, BUFFER(6), 1, VIRTQ_DESC_F_WRITE, 0);
    rig_offer(SLOT, VIRTIO_NET_CTRL, 0);
    virtio_net_poll();
    rig_read(BUFFER(6), &answer, 1);
    return answer;
}

static bool arrives(const char *destination)
{
    u16 before = rig_used_idx(VIRTIO_NET_RX);

    memcpy(frame_bytes, destination, MAC_LEN);
    give(0, 2000);
    assert_true(deliver(60, plain));
    return rig_used_idx(VIRTIO_NET_RX) != before;
}

#define OWN "\x52\x54\0\1\2\3"
#define FOREIGN "\x52\x54\0\1\2\4"
#define GROUP "\1\0\x5E\0\0\1"

static void test_receive_filter(void **unused)
{
    u8 many[8 + 100 * MAC_LEN] = { 0 };

    (void)unused;
    net_start(BASE | CTRL);
    assert_true(arrives(OWN));
    assert_true(arrives("\xFF\xFF\xFF\xFF\xFF\xFF"));
    assert_false(arrives(FOREIGN));
    assert_false(arrives(GROUP));
    assert_int_equal(net.filtered, 2);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, "\1", 1), VIRTIO_NET_OK);
    assert_true(arrives(GROUP));
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, "\0", 1), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1", 1), VIRTIO_NET_OK);
    assert_true(arrives(FOREIGN));
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\0", 1), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\0\0\0\0\1\0\0\0" GROUP, 14), VIRTIO_NET_OK);
    assert_true(arrives(GROUP));
    assert_false(arrives(FOREIGN));
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, FOREIGN, 6), VIRTIO_NET_OK);
    assert_true(arrives(FOREIGN));
    assert_false(arrives(OWN));
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x2005, 1), 4);
    /* More than we keep: then all of the kind. */
    many[4] = 100;
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, many, sizeof(many)), VIRTIO_NET_OK);
    assert_true(arrives("\1\0\x5E\0\0\7"));
    assert_false(arrives(OWN));
}

/* A table with more addresses than the card keeps lets all frames of its kind pass, until the next table. What the
 * driver asked for in words is not taken back by a table. */
static void test_a_table_that_fits_ends_the_overflow(void **unused)
{
    u8 many[8 + 100 * MAC_LEN] = { 100 };

    (void)unused;
    net_start(BASE | CTRL);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, many, sizeof(many)), VIRTIO_NET_OK);
    assert_true(arrives(FOREIGN));
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\0\0\0\0\0\0\0\0", 8), VIRTIO_NET_OK);
    assert_false(arrives(FOREIGN));
    many[0] = 0;
    many[4] = 100;
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, many, sizeof(many)), VIRTIO_NET_OK);
    assert_true(arrives(GROUP));
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\0\0\0\0\0\0\0\0", 8), VIRTIO_NET_OK);
    assert_false(arrives(GROUP));
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1", 1), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\0\0\0\0\0\0\0\0", 8), VIRTIO_NET_OK);
    assert_true(arrives(FOREIGN));
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, many, sizeof(many)), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\0", 1), VIRTIO_NET_OK);
    assert_false(arrives(FOREIGN));
    assert_true(arrives(GROUP)); /* the table is still too long */
}

/* With event indices the driver is quiet unless the device asks: it must ask again after each command. */
static void test_the_card_asks_to_be_told_of_commands(void **unused)
{
    u16 event;

    (void)unused;
    net_start(BASE | CTRL | VIRTIO_F_EVENT_IDX);
    for (u16 i = 1; i < 4; i++) {
        assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, "\1", 1), VIRTIO_NET_OK);
        rig_read(rig_used(VIRTIO_NET_CTRL) + 4 + 8 * RIG_QUEUE, &event, 2);
        assert_int_equal(event, i);
        net_send(&(struct virtio_net_hdr){ 0 }, 60);
        rig_read(rig_used(VIRTIO_NET_TX) + 4 + 8 * RIG_QUEUE, &event, 2);
        assert_int_equal(event, i);
    }
}

static void test_wrong_commands_are_refused(void **unused)
{
    (void)unused;
    net_start(BASE | CTRL);
    assert_int_equal(command(9, 0, "", 0), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, 5, "\1", 1), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, 0, "", 0), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, "\1\2\3\4\5\6", 6), VIRTIO_NET_ERR); /* a group */
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, OWN, 5), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\xFF\xFF\xFF\xFF", 4), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\1\0\0\0" OWN, 10), VIRTIO_NET_ERR); /* no second table */
    net.port.check_source = true;
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, FOREIGN, 6), VIRTIO_NET_ERR);
    assert_true(virtio_live(&net.virtio, VIRTIO_NET_CTRL));
    net_start(BASE | VIRTIO_NET_F_CTRL_VQ);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, 0, "\1", 1), VIRTIO_NET_ERR); /* not negotiated */
}

static void test_announce(void **unused)
{
    u64 status = rig_bar(SLOT, 0) + 0x2006;

    (void)unused;
    net_start(BASE);
    virtio_net_announce(&net);
    assert_int_equal(rig_mmio_read(status, 2), VIRTIO_NET_S_LINK_UP);
    net_start(BASE | CTRL);
    virtio_net_announce(&net);
    assert_int_equal(rig_mmio_read(status, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x1000, 1), 2);
    assert_int_equal(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, "", 0), VIRTIO_NET_OK);
    assert_int_equal(rig_mmio_read(status, 2), VIRTIO_NET_S_LINK_UP);
}

static void test_pause_and_resume(void **unused)
{
    (void)unused;
    net_start(BASE);
    give(0, 2000);
    assert_true(deliver(60, plain));
    virtio_net_pause(&net);
    assert_true(rig.line[IRQ_PCI + SLOT]); /* the interrupt that was owed */
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    give(1, 2000);
    assert_false(deliver(60, plain));
    assert_int_equal(rig.inputs, 0);

    struct frame frame = frame_of(frame_bytes, 60);

    assert_true(net.port.holding && port_hold_frame(&net.port, &frame));
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 1);
    virtio_net_resume(&net);
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 2); /* what was held for it */
    virtio_net_poll();
    assert_int_equal(rig.inputs, 1);
}

static void reset_by_guest(void)
{
    rig_common_write(SLOT, VIRTIO_STATUS, 1, 0);
}

/* The guest may do what it likes while the switch has its frame: the lock is not held. */
static void test_reset_while_a_frame_is_on_its_way(void **unused)
{
    (void)unused;
    net_start(BASE);
    rig.on_input = reset_by_guest;
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_int_equal(rig.inputs, 1);
    assert_int_equal(rig_used_idx(VIRTIO_NET_TX), 0); /* nothing of the old queue is touched */
    assert_int_equal(rig_common_read(SLOT, VIRTIO_STATUS, 1), 0);
}

static void test_lies_stop_the_card_alone(void **unused)
{
    (void)unused;
    net_start(BASE);
    rig_set_desc(VIRTIO_NET_RX, 0, BUFFER(0), 60, 0, 0); /* not writable */
    rig_offer(SLOT, VIRTIO_NET_RX, 0);
    assert_false(deliver(60, plain));
    assert_true(rig_common_read(SLOT, VIRTIO_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET);
    net_start(BASE);
    rig_set_desc(VIRTIO_NET_TX, 0, BUFFER(0), 60, VIRTQ_DESC_F_WRITE, 0);
    rig_offer(SLOT, VIRTIO_NET_TX, 0);
    virtio_net_poll();
    assert_true(rig_common_read(SLOT, VIRTIO_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET);
    net_start(BASE);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    assert_int_equal(rig.inputs, 1);
}

static void test_state_survives_save_and_restore(void **unused)
{
    static struct virtio_net_filter filter;

    (void)unused;
    net_start(BASE | CTRL | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_GUEST_CSUM);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, FOREIGN, 6), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 0, "\0\0\0\0\1\0\0\0" GROUP, 14), VIRTIO_NET_OK);
    assert_int_equal(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, "\1", 1), VIRTIO_NET_OK);
    virtio_net_announce(&net);
    give(0, 2000);
    virtio_net_pause(&net);
    net_send(&(struct virtio_net_hdr){ 0 }, 60);
    filter = net.filter;
    assert_int_equal(rig_save_and_restore(), 0);
    assert_memory_equal(&net.filter, &filter, sizeof(filter));
    assert_memory_equal(net.mac, net_mac, MAC_LEN);
    assert_memory_equal(net.port.mac, FOREIGN, MAC_LEN);
    assert_true(net.port.offload_csum);
    assert_int_equal(rig_mmio_read(rig_bar(SLOT, 0) + 0x2006, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
    virtio_net_resume(&net);
    virtio_net_poll();
    assert_int_equal(rig.inputs, 1); /* what was sent between */
    memset(frame_bytes, 0xFF, MAC_LEN);
    assert_true(deliver(60, plain));
    assert_int_equal(rig_used_idx(VIRTIO_NET_RX), 1);
}

/* The switch knows the guest by the MAC that its driver has taken, until the card is reset. */
static void test_a_taken_mac_is_the_ports(void **unused)
{
    (void)unused;
    net_start(BASE | CTRL);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, FOREIGN, 6), VIRTIO_NET_OK);
    assert_memory_equal(net.port.mac, FOREIGN, MAC_LEN);
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, "\0\0\0\0\0\0", 6), VIRTIO_NET_ERR);
    net_start(BASE | CTRL);
    assert_memory_equal(net.port.mac, net_mac, MAC_LEN);
}

/* A driver that does without large frames for a while (XDP) gets none; its wish moves with it, and ends with a reset.
 */
static void test_offloads_at_run_time(void **unused)
{
    const u64 all = VIRTIO_NET_GUEST_OFFLOADS, csum = VIRTIO_NET_F_GUEST_CSUM, none = 0;
    const u64 lone = VIRTIO_NET_F_GUEST_TSO4, strange = all | 1 << 10;
    const struct frame_offload partial = { .flags = 1, .csum_start = 34, .csum_offset = 16 };

    (void)unused;
    net_start(BASE | CTRL | all);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8), VIRTIO_NET_ERR); /* not negotiated */
    assert_true(net.port.offload_tso);
    net_start(BASE | CTRL | all | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, &none, 8), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &strange, 8), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &lone, 8), VIRTIO_NET_ERR);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 7), VIRTIO_NET_ERR);
    assert_true(net.port.offload_tso);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &csum, 8), VIRTIO_NET_OK);
    assert_true(net.port.offload_csum && !net.port.offload_tso);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8), VIRTIO_NET_OK);
    assert_false(net.port.offload_csum || net.port.offload_tso);
    give(0, 2000);
    assert_false(deliver(60, partial));
    virtio_net_pause(&net);
    assert_int_equal(rig_save_and_restore(), 0);
    assert_false(net.port.offload_csum || net.port.offload_tso);
    virtio_net_resume(&net);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &all, 8), VIRTIO_NET_OK);
    assert_true(net.port.offload_tso);
    assert_int_equal(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &none, 8), VIRTIO_NET_OK);
    net_start(BASE | CTRL | all | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
    assert_true(net.port.offload_tso);
    assert_false(rig_negotiate(SLOT, BASE | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
}

/* A MAC is somebody's whether or not its driver has taken another one for now. */
static void test_who_has_a_mac(void **unused)
{
    (void)unused;
    net_start(BASE | CTRL);
    assert_string_equal(virtio_net_owner((const u8 *)OWN, NULL), "rig");
    assert_null(virtio_net_owner((const u8 *)FOREIGN, NULL));
    assert_int_equal(command(VIRTIO_NET_CTRL_MAC, 1, FOREIGN, 6), VIRTIO_NET_OK);
    assert_string_equal(virtio_net_owner((const u8 *)OWN, NULL), "rig");
    assert_string_equal(virtio_net_owner((const u8 *)FOREIGN, NULL), "rig");
    assert_null(virtio_net_owner((const u8 *)FOREIGN, &net));
    rig.vm.status = VM_OFF;
    assert_null(virtio_net_owner((const u8 *)FOREIGN, NULL));
    rig.vm.status = VM_CREATED;
    assert_string_equal(virtio_net_owner((const u8 *)"\x56\x54\0\1\2\3", NULL), "godwit");
}

/* A VM that does not run, as it has ended, was never started, or comes to start anew, is not in the way of its life
 * elsewhere; one that arrives live has its port when it is told to. */
static void test_the_port_of_who_has_ended_is_closed(void **unused)
{
    static const enum vm_status ends[] = {
        VM_PASSED, VM_FAILED, VM_CRASHED, VM_OFF, VM_HALTED, VM_CREATED, VM_INCOMING
    };

    (void)unused;
    net_start(BASE);
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        rig.vm.status = VM_RUNNING;
        virtio_net_poll();
        assert_false(net.port.closed);
        rig.vm.status = ends[i];
        net_send(&(struct virtio_net_hdr){ 0 }, 60); /* its last words */
        assert_int_equal(rig.inputs, i + 1);
        assert_true(net.port.closed);
    }
    rig.vm.status = VM_RUNNING;
    virtio_net_poll();
    rig.vm.status = VM_INCOMING;
    virtio_net_pause(&net);
    virtio_net_close(&net);
    virtio_net_poll();
    assert_true(net.port.closed);
    virtio_net_resume(&net);
    rig.vm.status = VM_RUNNING;
    virtio_net_poll();
    assert_false(net.port.closed);
}

/* What lives behind the port is known where the guest goes, and no younger there. */
static void test_addresses_move(void **unused)
{
    static const struct port_address address[] = {
        { .kind = PORT_IP4, .mac = FOREIGN, .tags = { 4, "\x81\0\0\5" }, .ip = { 192, 0, 2, 1 } },
        { .kind = PORT_IP6, .mac = OWN, .router = true, .ip = { 0xFE, 0x80, [15] = 9 } },
        { .kind = PORT_MAC, .mac = FOREIGN },
    };
    const u64 second = 1000000000;

    (void)unused;
    net_start(BASE);
    memcpy(net.port.address, address, sizeof(address));
    net.port.nr_addresses = 3;
    rig.clock_ns = net.port.address[0].seen = 400 * second;
    net.port.address[1].seen = 100 * second + 1000000;
    net.port.address[2].seen = 100 * second; /* too old */
    virtio_net_pause(&net);
    rig.clock_ns += 200 * second; /* a pause does not count yet */
    assert_int_equal(rig_save_and_restore(), 0);
    assert_int_equal(net.port.nr_addresses, 2);
    assert_int_equal(net.port.address[0].seen, rig.clock_ns);
    assert_int_equal(rig.clock_ns - net.port.address[1].seen, 300 * second - 1000000);
    for (unsigned i = 0; i < 2; i++) {
        net.port.address[i].seen = 0;
        assert_memory_equal(&net.port.address[i], &address[i], sizeof(*address));
    }
    net.port.address[1].seen = rig.clock_ns;
    net.port.address[0] = (struct port_address){ .kind = PORT_IP4, .mac = OWN, .seen = rig.clock_ns }; /* 0.0.0.0 */
    virtio_net_pause(&net);
    assert_int_equal(rig_save_and_restore(), -EINVAL);
    net.port.nr_addresses = 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, net_setup, net_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_frame_is_received),
        TEST(test_mergeable_buffers),
        TEST(test_a_frame_that_does_not_fit_is_dropped_without_merging),
        TEST(test_only_negotiated_offloads_arrive),
        TEST(test_receive_filter),
        TEST(test_a_table_that_fits_ends_the_overflow),
        TEST(test_the_card_asks_to_be_told_of_commands),
        TEST(test_wrong_commands_are_refused),
        TEST(test_announce),
        TEST(test_pause_and_resume),
        TEST(test_reset_while_a_frame_is_on_its_way),
        TEST(test_lies_stop_the_card_alone),
        TEST(test_state_survives_save_and_restore),
        TEST(test_a_taken_mac_is_the_ports),
        TEST(test_the_port_of_who_has_ended_is_closed),
        TEST(test_offloads_at_run_time),
        TEST(test_who_has_a_mac),
        TEST(test_addresses_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

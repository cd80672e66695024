/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames and life cycle of the network card. */
#include "dev/virtio_net.h"

#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/smp.h"
#include "dev/virtio_net_ctrl.h"
#include "dev/virtio_net_state.h"
#include "dev/virtio_net_tx.h"
#include "host/bits.h"
#include "host/panic.h"
#include "hv/vm.h"
#include "net/ethernet.h"
#include "net/heard.h"
#include "net/hold.h"
#include "net/netif.h"
#include "net/output.h"

#define CLASS_ETHERNET 0x020000
#define QUEUE_SIZE 256

/* In `pending`, beside the queues: the port keeps frames until their buffers are here. */
#define PENDING_HELD BIT(VIRTIO_NET_QUEUES)

/* struct virtio_net_config: mac, status, max_virtqueue_pairs, mtu (virtio_net.h has the second). */
#define CONFIG_PAIRS 8
#define CONFIG_MTU 10
#define CONFIG_SIZE 12

_Static_assert(VIRTIO_NET_HDR_SIZE == 12, "virtio 1.2, 5.1.6: with num_buffers, as VERSION_1 has it");

static struct list devices = { &devices, &devices };

static struct virtio_net *net_of(struct virtio *virtio)
{
    return (struct virtio_net *)virtio;
}

static struct virtqueue *queue_of(struct virtio_net *net, enum virtio_net_queue queue)
{
    return &net->virtio.queue[queue];
}

/* --- To the guest ------------------------------------------------------------------------------------------ */

/* Where in a frame we are. */
struct cursor {
    const struct frame *frame;
    unsigned part;
    u32 offset;
};

/* Copy the next `len` bytes of the frame to the chain, from `at` on. */
static void chain_fill(struct virtqueue *vq, const struct virtqueue_chain *chain, u32 at, struct cursor *cursor,
                       u32 len)
{
    while (len) {
        const struct frame_part *part = &cursor->frame->part[cursor->part];
        u32 step = MIN(len, part->len - cursor->offset);

        virtqueue_write(vq, chain, at, (const u8 *)part->data + cursor->offset, step);
        at += step;
        len -= step;
        cursor->offset += step;
        if (cursor->offset == part->len) {
            cursor->part++;
            cursor->offset = 0;
        }
    }
}

/* Does the frame need no offload but those that the driver has negotiated? That a checksum is known to be right may be
 * left unsaid, so it needs none. */
static bool offload_wanted(const struct virtio_net *net, const struct frame_offload *offload)
{
    if (offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !virtio_net_wants(net, VIRTIO_NET_F_GUEST_CSUM))
        return false;
    switch (offload->gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE: return true;
    case VIRTIO_NET_HDR_GSO_TCPV4: return virtio_net_wants(net, VIRTIO_NET_F_GUEST_TSO4);
    case VIRTIO_NET_HDR_GSO_TCPV6: return virtio_net_wants(net, VIRTIO_NET_F_GUEST_TSO6);
    default: return false;
    }
}

static void header_write(struct virtio_net *net, const struct virtqueue_chain *chain,
                         const struct frame_offload *offload, u16 buffers)
{
    bool checksums = virtio_net_wants(net, VIRTIO_NET_F_GUEST_CSUM);
    struct virtio_net_hdr hdr = {
        .flags = checksums ? offload->flags : 0,
        .gso_type = offload->gso_type,
        .hdr_len = offload->header_len,
        .gso_size = offload->gso_size,
        .csum_start = offload->csum_start,
        .csum_offset = offload->csum_offset,
        .num_buffers = buffers,
    };

    virtqueue_write(queue_of(net, VIRTIO_NET_RX), chain, 0, &hdr, VIRTIO_NET_HDR_SIZE);
}

/* Fill as many buffers as the frame needs and the features allow. Returns how many; 0: no buffer was used. */
static u16 buffers_fill(struct virtio_net *net, const struct frame *frame)
{
    static struct virtqueue_chain first, further; /* host loop only */
    struct virtqueue *vq = queue_of(net, VIRTIO_NET_RX);
    struct cursor cursor = { .frame = frame };
    u32 left = frame->len;
    u16 count = 0;

    while (left) {
        struct virtqueue_chain *chain = count ? &further : &first;
        u32 header = count ? 0 : VIRTIO_NET_HDR_SIZE;

        if (!virtqueue_pop(vq, chain))
            goto none;
        count++;
        if (chain->read_len || chain->write_len <= header) {
            virtqueue_fail(vq, "receive buffer is not writable or too small");
            goto none;
        }
        u32 step = MIN(left, chain->write_len - header);

        if (step < left && !virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF))
            goto none;
        chain_fill(vq, chain, header, &cursor, step);
        virtqueue_push(vq, chain->head, header + step);
        left -= step;
    }
    header_write(net, &first, &frame->offload, count);
    return count;

none:
    virtqueue_rollback(vq, count);
    return 0;
}

static bool receive(struct virtio_net *net, const struct frame *frame)
{
    if (net->paused || !virtio_live(&net->virtio, VIRTIO_NET_RX) || !offload_wanted(net, &frame->offload))
        return false;
    /* A frame that the driver does not want does not count as lost. */
    if (!virtio_net_filter_passes(net, frame->headers.destination)) {
        net->filtered++;
        return true;
    }
    if (!buffers_fill(net, frame)) {
        virtio_check(&net->virtio, VIRTIO_NET_RX);
        return false;
    }
    virtqueue_publish(queue_of(net, VIRTIO_NET_RX));
    net->port.counters.copied_bytes += frame->len;
    net->received = true;
    return true;
}

/* If the buffers of the frame are in missing pages, the port keeps it, and what comes behind it. */
static bool deliver(struct port *port, const struct frame *frame)
{
    struct virtio_net *net = container_of(port, struct virtio_net, port);

    spin_lock(&net->vm->device_lock);
    bool taken = receive(net, frame), waits = !taken && queue_of(net, VIRTIO_NET_RX)->waits;
    spin_unlock(&net->vm->device_lock);
    if (!waits)
        return taken;
    port_hold(port);
    __atomic_fetch_or(&net->pending, PENDING_HELD, __ATOMIC_RELAXED);
    return port_hold_frame(port, frame);
}

/* Are the buffers here for the frames that are kept, or for the longest frame? There may be none, or the queue may be
 * dead: then the frames are lost, as others are. */
static bool held_can_go(struct virtio_net *net)
{
    static struct virtqueue_chain chain; /* host loop only */
    struct virtqueue *vq = queue_of(net, VIRTIO_NET_RX);
    u64 needed = VIRTIO_NET_HDR_SIZE + MIN(net->port.held_bytes, (u32)FRAME_MAX), found = 0;
    u16 pops = 0;

    for (; found < needed && virtqueue_pop(vq, &chain); pops++)
        found += chain.write_len;
    virtqueue_rollback(vq, pops);
    return !vq->waits;
}

/* --- The host loop's turn ---------------------------------------------------------------------------------- */

void virtio_net_port_update(struct virtio_net *net)
{
    memcpy(net->port.mac, net->filter.mac, MAC_LEN);
    /* A frame that has to be kept must be finished first. */
    net->keeps = !guest_mem_whole(&net->vm->mem);
    net->port.offload_csum = !net->keeps && virtio_net_wants(net, VIRTIO_NET_F_GUEST_CSUM);
    net->port.offload_tso = !net->keeps && virtio_net_wants(net, VIRTIO_NET_F_GUEST_TSO4) &&
                            virtio_net_wants(net, VIRTIO_NET_F_GUEST_TSO6);
}

/* Has the last missing page come since the switch was told to finish frames? */
static bool became_whole(const struct virtio_net *net)
{
    return net->keeps && guest_mem_whole(&net->vm->mem);
}

/* What of `pending` has to be tried again because a page was missing. */
static u32 waiting(struct virtio_net *net, u32 pending)
{
    u32 again = pending & (u32)PENDING_HELD;

    for (unsigned queue = 0; queue < VIRTIO_NET_QUEUES; queue++)
        if (pending & BIT(queue) && queue_of(net, queue)->waits)
            again |= BIT(queue);
    return again;
}

/* Serve the queues that have something to do. True if it wants another turn at once. */
static bool serve(struct virtio_net *net, u64 now)
{
    u32 more = 0;

    if (now >= net->tx.look || (net->tx.waits && port_output_room(&net->port)))
        __atomic_fetch_or(&net->pending, BIT(VIRTIO_NET_TX), __ATOMIC_RELAXED);
    if (net->paused || !(__atomic_load_n(&net->pending, __ATOMIC_RELAXED) || became_whole(net)))
        return false;
    spin_lock(&net->vm->device_lock);
    u32 pending = __atomic_exchange_n(&net->pending, 0, __ATOMIC_ACQUIRE);

    if (pending & BIT(VIRTIO_NET_RX)) /* we look for buffers when a frame comes */
        virtqueue_notify_off(queue_of(net, VIRTIO_NET_RX));
    if (pending & BIT(VIRTIO_NET_CTRL))
        more |= virtio_net_control(net) ? BIT(VIRTIO_NET_CTRL) : 0;
    virtio_net_port_update(net);
    if (pending & BIT(VIRTIO_NET_TX))
        more |= virtio_net_transmit(net) ? BIT(VIRTIO_NET_TX) : 0;

    bool release = pending & PENDING_HELD && held_can_go(net);

    __atomic_fetch_or(&net->pending, more | waiting(net, release ? pending & ~PENDING_HELD : pending),
                      __ATOMIC_RELAXED);
    spin_unlock(&net->vm->device_lock);
    if (release)
        port_release(&net->port);
    return more != 0;
}

/* One interrupt for all frames of the round. */
static void interrupt(struct virtio_net *net)
{
    if (!net->received)
        return;
    spin_lock(&net->vm->device_lock);
    net->received = false;
    virtio_complete(&net->virtio, VIRTIO_NET_RX);
    spin_unlock(&net->vm->device_lock);
}

/* A guest that has ended, was not started yet, or comes to start anew lives nowhere, or elsewhere: the switch is to
 * look for its addresses on the wire. A card that a move has paused is left to the move; and the last words of a guest
 * that are held (net/output.h) go first, or are dropped. */
static void follow_life(struct virtio_net *net)
{
    bool lifeless = vm_ended(net->vm) || net->vm->status == VM_CREATED || net->vm->status == VM_INCOMING;

    if (lifeless == net->lifeless || net->paused || (lifeless && port_output_holds(&net->port)))
        return;
    net->lifeless = net->port.closed = lifeless;
}

u64 virtio_net_poll(void)
{
    u64 now = rdtsc(), next = VIRTIO_NET_NEVER;
    bool more = false;

    list_each (struct virtio_net, net, &devices) {
        more |= port_output_poll(&net->port);
        more |= serve(net, now);
    }
    now = rdtsc();
    list_each (struct virtio_net, net, &devices) {
        follow_life(net);
        interrupt(net);
        virtio_net_tell(net, now);
        next = MIN(next, MIN(net->tx.look, net->tx.tell));
    }
    return more ? now : next;
}

/* --- Device ------------------------------------------------------------------------------------------------ */

/* Virtio 1.2, 5.1.3.1 "Feature bit requirements", as far as we offer them. */
static bool features_valid(u64 features)
{
    static const struct {
        u64 any, need;
    } requirement[] = {
        { VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
        { VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
        { VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_GUEST_ANNOUNCE | VIRTIO_NET_F_CTRL_MAC_ADDR |
              VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
          VIRTIO_NET_F_CTRL_VQ },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(requirement); i++)
        if (features & requirement[i].any && !(features & requirement[i].need))
            return false;
    return true;
}

static void notify(struct virtio *virtio, unsigned queue)
{
    /* Release is not needed: the rings are read under the lock that we hold. */
    __atomic_fetch_or(&net_of(virtio)->pending, BIT(queue), __ATOMIC_RELAXED);
    if (queue != VIRTIO_NET_RX) /* buffers are found when a frame comes */
        cpu_kick(0);
}

static void reset(struct virtio *virtio)
{
    struct virtio_net *net = net_of(virtio);

    virtio_net_filter_reset(net);
    net->offloads_off = 0;
    virtio->config[VIRTIO_NET_CONFIG_STATUS] &= (u8)~VIRTIO_NET_S_ANNOUNCE;
}

static const struct virtio_kind kind = {
    .name = "virtio-net",
    .id = 1,
    .class_code = CLASS_ETHERNET,
    .features = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC |
                VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 |
                VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX |
                VIRTIO_NET_F_GUEST_ANNOUNCE | VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    .nr_queues = VIRTIO_NET_QUEUES,
    .queue_size = QUEUE_SIZE,
    .config_size = CONFIG_SIZE,
    .version = 5,
    .features_valid = features_valid,
    .notify = notify,
    .reset = reset,
    .state = virtio_net_state,
};

void virtio_net_init(struct virtio_net *net, struct vm *vm, struct pci_bus *bus, unsigned slot, const u8 mac[MAC_LEN])
{
    net->vm = vm;
    net->tx = (struct virtio_net_tx){ .look = VIRTIO_NET_NEVER, .tell = VIRTIO_NET_NEVER };
    memcpy(net->mac, mac, MAC_LEN);
    memcpy(net->port.mac, mac, MAC_LEN);
    snprintf(net->port.name, sizeof(net->port.name), "%s", vm->name);
    net->port.deliver = deliver;
    net->virtio.config[VIRTIO_NET_CONFIG_STATUS] = VIRTIO_NET_S_LINK_UP;
    net->virtio.config[CONFIG_PAIRS] = 1;
    memcpy(&net->virtio.config[CONFIG_MTU], &(u16){ VIRTIO_NET_MTU }, 2);
    virtio_init(&net->virtio, &kind, bus, slot);
    list_add_tail(&devices, &net->node);
    switch_add(&net->port);
}

const char *virtio_net_owner(const u8 mac[MAC_LEN], const struct virtio_net *but)
{
    list_each (const struct virtio_net, net, &devices) {
        if (net != but && !vm_ended(net->vm) && (mac_equal(net->mac, mac) || mac_equal(net->port.mac, mac)))
            return net->port.name;
    }
    return mac_equal(netif_port_mac(), mac) ? "godwit" : NULL;
}

void virtio_net_fini(struct virtio_net *net)
{
    port_output_fini(&net->port);
    switch_remove(&net->port);
    list_del(&net->node);
}

void virtio_net_announce(struct virtio_net *net)
{
    spin_lock(&net->vm->device_lock);
    if (virtio_has(&net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
        net->announces++;
        net->virtio.config[VIRTIO_NET_CONFIG_STATUS] |= VIRTIO_NET_S_ANNOUNCE;
        virtio_config_changed(&net->virtio);
    }
    spin_unlock(&net->vm->device_lock);
}

/* Each request is finished in the round in which it is taken; only interrupts may still be owed. */
void virtio_net_pause(struct virtio_net *net)
{
    interrupt(net);
    virtio_net_tx_stop(net);
    net->paused = true;
    net->stood = clock_ns();
    port_hold(&net->port);
}

void virtio_net_close(struct virtio_net *net)
{
    net->port.closed = true;
    port_hold_drop(&net->port);
}

void virtio_net_leave(struct virtio_net *net)
{
    net->port.closed = true;
}

void virtio_net_open(struct virtio_net *net)
{
    net->port.closed = false;
    port_hold(&net->port);
    heard_begin(&net->port);
}

void virtio_net_resume(struct virtio_net *net)
{
    net->paused = net->port.closed = false;
    virtio_net_port_update(net);
    port_release(&net->port);
    __atomic_fetch_or(&net->pending, BIT(VIRTIO_NET_TX) | BIT(VIRTIO_NET_CTRL), __ATOMIC_RELAXED);
    cpu_kick(0);
}

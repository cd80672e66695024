/* SPDX-License-Identifier: BSD-2-Clause */
/* Moves frames from the guest to the switch, so that the driver and we disturb each other as rarely as possible. */
#include "dev/virtio_net_tx.h"

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/bits.h"
#include "hv/vm.h"
#include "net/ethernet.h"
#include "net/output.h"

/* Bytes of a frame that are copied, so that the switch judges and forwards the same headers. */
#define HEADER_COPY 256

#define BUDGET 64 /* frames of one device in a round */

/*
 * A doorbell ends the guest's run, and so does an interrupt. So if a guest has sent LOOK_BYTES, we look at its ring
 * without a doorbell: after LOOK_NS, and then after twice as long each time, until it has sent as much again. After
 * LOOKS such looks the driver has to ring again. We tell the driver that its frames were sent TELL_NS after the last
 * frame, or as soon as there are TELL_FRAMES: most drivers find out by themselves when a frame comes in.
 */
#define LOOK_BYTES 4096
#define LOOK_NS 25000
#define LOOKS 6
#define TELL_NS 1000000
#define TELL_FRAMES 64

static struct virtqueue *queue(struct virtio_net *net)
{
    return &net->virtio.queue[VIRTIO_NET_TX];
}

/* Scratch of the frame that is being sent; host loop, one at a time. */
static struct {
    struct virtqueue_chain chain;
    struct frame frame;
    u8 header[HEADER_COPY];
    u8 bounce[FRAME_MAX]; /* frames in too many pieces */
} sending;

/* Point frame parts at the rest of the chain, from `skip` bytes on. False: more pieces than a frame can have. */
static bool parts_map(struct virtio_net *net, u32 skip)
{
    for (unsigned i = 0; i < sending.chain.nr_read; i++) {
        gpa_t gpa = sending.chain.part[i].addr;
        u64 len = sending.chain.part[i].len, step;

        step = MIN((u64)skip, len);
        skip -= (u32)step;
        for (gpa += step, len -= step; len; gpa += step, len -= step) {
            const void *data = guest_ptr(&net->vm->mem, gpa, len, &step);

            if (!data || sending.frame.nr_parts == FRAME_PARTS)
                return false;
            sending.frame.part[sending.frame.nr_parts++] = (struct frame_part){ data, (u32)step };
        }
    }
    return true;
}

/* Copy the headers, and leave the rest where it is. If the rest is in too many pieces, copy all. */
static void frame_map(struct virtio_net *net)
{
    struct virtqueue *vq = queue(net);
    u32 copied = virtqueue_read(vq, &sending.chain, VIRTIO_NET_HDR_SIZE, sending.header,
                                MIN(sending.frame.len, HEADER_COPY));

    sending.frame.part[0] = (struct frame_part){ sending.header, copied };
    sending.frame.nr_parts = 1;
    if (parts_map(net, VIRTIO_NET_HDR_SIZE + copied))
        return;
    virtqueue_read(vq, &sending.chain, VIRTIO_NET_HDR_SIZE, sending.bounce, sending.frame.len);
    sending.frame.part[0] = (struct frame_part){ sending.bounce, sending.frame.len };
    sending.frame.nr_parts = 1;
}

/* Are the offloads that the driver asks for this frame possible, and negotiated? */
static bool offload_valid(const struct virtio *virtio, const struct virtio_net_hdr *hdr, u32 len)
{
    bool partial = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

    if (partial && (!virtio_has(virtio, VIRTIO_NET_F_CSUM) || hdr->csum_start < ETH_HEADER ||
                    (u32)hdr->csum_start + hdr->csum_offset + 2 > len))
        return false;
    switch (hdr->gso_type) {
    case VIRTIO_NET_HDR_GSO_NONE: return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return partial && hdr->gso_size && hdr->hdr_len <= len && virtio_has(virtio, VIRTIO_NET_F_HOST_TSO4);
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return partial && hdr->gso_size && hdr->hdr_len <= len && virtio_has(virtio, VIRTIO_NET_F_HOST_TSO6);
    default: return false;
    }
}

/* Make a frame of the chain. False: the chain holds no valid frame. */
static bool frame_make(struct virtio_net *net)
{
    struct virtio_net_hdr hdr;

    if (virtqueue_read(queue(net), &sending.chain, 0, &hdr, VIRTIO_NET_HDR_SIZE) != VIRTIO_NET_HDR_SIZE)
        return false;
    sending.frame = (struct frame){ .len = sending.chain.read_len - VIRTIO_NET_HDR_SIZE };
    if (sending.frame.len < ETH_HEADER || sending.frame.len > FRAME_MAX ||
        !offload_valid(&net->virtio, &hdr, sending.frame.len))
        return false;
    if (hdr.gso_type == VIRTIO_NET_HDR_GSO_NONE && sending.frame.len > VIRTIO_NET_MTU + ETH_HEADER + 8)
        return false; /* with two VLAN tags (QinQ) that is the longest frame */
    if (hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
        sending.frame.offload = (struct frame_offload){
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
            .gso_type = hdr.gso_type,
            .header_len = hdr.hdr_len,
            .gso_size = hdr.gso_size,
            .csum_start = hdr.csum_start,
            .csum_offset = hdr.csum_offset,
        };
    frame_map(net);
    headers_parse(&sending.frame); /* they are in the copy that frame_map has made */
    return true;
}

/* Send the next frame. False: there is none, or the device has been reset meanwhile. */
static bool transmit_one(struct virtio_net *net)
{
    struct virtqueue *vq = queue(net);
    u32 epoch = net->virtio.epoch;

    if (!virtio_live(&net->virtio, VIRTIO_NET_TX) || !virtqueue_pop(vq, &sending.chain))
        return false;
    if (sending.chain.nr_parts > sending.chain.nr_read) {
        virtqueue_fail(vq, "transmit request has a writable buffer");
        return false;
    }
    if (!frame_make(net)) {
        net->malformed++;
    } else {
        spin_unlock(&net->vm->device_lock);
        port_output(&net->port, &sending.frame);
        spin_lock(&net->vm->device_lock);
        if (epoch != net->virtio.epoch)
            return false;
    }
    net->tx.bytes += sending.chain.read_len;
    virtqueue_push(vq, sending.chain.head, 0);
    return true;
}

/* Has this turn sent enough, or is there no room for more, on the wire or among the frames that are held? Frames that
 * wait are safe in the guest's ring. */
static bool pauses(const struct virtio_net *net, unsigned sent)
{
    return sent == BUDGET || switch_congested(0) || !port_output_room(&net->port);
}

/*
 * The ring is empty. Look again later, or have the driver ring: on a machine with one CPU each look would cost the
 * guest more than its doorbell. True if something came meanwhile.
 */
static bool drained(struct virtio_net *net)
{
    struct virtio_net_tx *tx = &net->tx;

    tx->looks = tx->bytes >= LOOK_BYTES ? 0 : MIN(tx->looks + 1, LOOKS);
    tx->bytes = 0;
    if (cpu_count() > 1 && tx->looks < LOOKS) {
        tx->look = rdtsc() + (clock_ns_to_ticks(LOOK_NS) << tx->looks);
        return false;
    }
    tx->look = VIRTIO_NET_NEVER;
    return virtqueue_notify_on(queue(net));
}

/* The device_lock is held. */
static void tell(struct virtio_net *net)
{
    net->tx.tell = VIRTIO_NET_NEVER;
    virtio_complete(&net->virtio, VIRTIO_NET_TX);
}

bool virtio_net_transmit(struct virtio_net *net)
{
    struct virtqueue *vq = queue(net);
    unsigned sent = 0;
    bool more;

    assert_held(&net->vm->device_lock);
    virtqueue_notify_off(vq);
    do {
        while (!pauses(net, sent) && transmit_one(net))
            sent++;
        more = pauses(net, sent) || drained(net);
    } while (more && !pauses(net, sent) && virtio_live(&net->virtio, VIRTIO_NET_TX));
    virtqueue_publish(vq);
    if (sent)
        net->tx.tell = rdtsc() + clock_ns_to_ticks(TELL_NS);
    if ((u16)(vq->used_idx - vq->signalled) >= TELL_FRAMES)
        tell(net);
    virtio_check(&net->virtio, VIRTIO_NET_TX);
    net->tx.waits = !port_output_room(&net->port);
    if (net->tx.waits)
        net->tx.look = VIRTIO_NET_NEVER;
    return more && !net->tx.waits && virtio_live(&net->virtio, VIRTIO_NET_TX);
}

void virtio_net_tell(struct virtio_net *net, u64 now)
{
    if (net->tx.tell > now)
        return;
    spin_lock(&net->vm->device_lock);
    tell(net);
    spin_unlock(&net->vm->device_lock);
}

void virtio_net_tx_stop(struct virtio_net *net)
{
    net->tx.look = VIRTIO_NET_NEVER;
    if (net->tx.tell != VIRTIO_NET_NEVER)
        virtio_net_tell(net, VIRTIO_NET_NEVER);
}

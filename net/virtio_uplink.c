/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A modern virtio network device (virtio 1.2, 4.1 PCI transport, 2.7 split virtqueues, 5.1 network device) as uplink.
 *
 * Received frames go to the switch where the device put them; one that was merged from several buffers is a frame of
 * several pieces. Frames to send are copied once, into buffers of ours.
 */
#define LOG_PREFIX "virtio"

#include <errno.h>
#include <string.h>

#include "host/cpu.h"
#include "host/clock.h"
#include "host/traps.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/frame.h"
#include "host/host_map.h"
#include "net/ethernet.h"
#include "net/pci_host.h"
#include "net/uplink.h"

/* 4.1.4: types of the vendor capability's structures. */
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_DEVICE 4

/* 4.1.4.3: the common configuration, by offset. */
#define DEVICE_FEATURE_SELECT 0x00
#define DEVICE_FEATURE 0x04
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURE 0x0C
#define CONFIG_MSIX_VECTOR 0x10
#define DEVICE_STATUS 0x14
#define QUEUE_SELECT 0x16
#define QUEUE_SIZE 0x18
#define QUEUE_MSIX_VECTOR 0x1A
#define QUEUE_ENABLE 0x1C
#define QUEUE_NOTIFY_OFF 0x1E
#define QUEUE_DESC 0x20
#define QUEUE_DRIVER 0x28
#define QUEUE_DEVICE 0x30
#define NO_VECTOR 0xFFFF

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4
#define STATUS_FEATURES_OK 8
#define STATUS_FAILED 128

#define F_CSUM BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_MAC BIT(5)
#define F_GUEST_TSO4 BIT(7)
#define F_GUEST_TSO6 BIT(8)
#define F_HOST_TSO4 BIT(11)
#define F_HOST_TSO6 BIT(12)
#define F_MRG_RXBUF BIT(15)
#define F_VERSION_1 BIT(32)
#define F_WANTED                                                                                             \
    (F_CSUM | F_GUEST_CSUM | F_MAC | F_GUEST_TSO4 | F_GUEST_TSO6 | F_HOST_TSO4 | F_HOST_TSO6 | F_MRG_RXBUF | \
     F_VERSION_1)
#define F_NEEDED (F_MAC | F_MRG_RXBUF | F_VERSION_1)

/* MSI-X (PCI 3.0, 6.8.2): the capability's control word, and a table entry of four words. */
#define MSIX_ENABLE BIT(31)
#define MSIX_MASK_ALL BIT(30)
#define MSI_ADDRESS 0xFEE00000

#define RX 0 /* queues */
#define TX 1
#define SIZE 256
#define BUFFER 4096 /* so that a frame of 64 KiB has less than FRAME_PARTS pieces */
#define RX_NOTIFY 16
#define TX_MAX (FRAME_MAX / BUFFER + 2) /* descriptors of the largest frame, its header included */

struct vq_descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
};
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2

struct vq_avail {
    u16 flags, index, ring[SIZE], used_event;
};
#define AVAIL_NO_INTERRUPT 1

struct vq_used {
    u16 flags, index;
    struct {
        u32 id, length;
    } ring[SIZE];
    u16 avail_event;
};
#define USED_NO_NOTIFY 1
_Static_assert(sizeof(struct vq_descriptor) == 16 && sizeof(struct vq_avail) == 6 + 2 * SIZE, "virtqueue layout");
_Static_assert(offsetof(struct vq_used, ring) == 4 && sizeof(struct vq_descriptor) * SIZE == PAGE_SIZE, "layout");

/* 5.1.6: in front of every frame. */
struct net_header {
    u8 flags, gso_type;
    u16 header_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct net_header) == 12, "virtio_net_hdr");

struct queue {
    volatile struct vq_descriptor *descriptor;
    volatile struct vq_avail *avail;
    volatile struct vq_used *used;
    u8 *buffers;
    volatile u16 *doorbell;
    u16 used_seen; /* our copy of used->index: so many entries have we looked at */
    u16 added;     /* our copy of avail->index */
};

struct virtio_uplink {
    struct uplink uplink;
    volatile u8 *common, *notify, *device;
    u32 notify_multiplier;
    u64 features;
    struct queue rx, tx;
    u32 tx_next, tx_clean; /* descriptors are used round-robin: next to fill, oldest not known to be sent */
    u8 tx_chain[SIZE];     /* of the frame that begins here: its descriptors */
    u32 rx_unnotified;
};

static u8 *buffer_of(const struct queue *q, u32 index)
{
    return q->buffers + (size_t)index * BUFFER;
}

static void queue_publish(struct queue *q, u16 head)
{
    q->avail->ring[q->added % SIZE] = head;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* descriptors and ring before the index */
    q->avail->index = ++q->added;
}

static void queue_notify(struct queue *q, u16 number)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index before the look at the flag, and before the doorbell */
    if (!(q->used->flags & USED_NO_NOTIFY))
        *q->doorbell = number;
}

static bool queue_used(const struct queue *q)
{
    bool some = q->used->index != q->used_seen;

    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index before the entries and buffers */
    return some;
}

/* --- Receiving -------------------------------------------------------------------------------------------------- */

/* Append the next used buffer, from `skip` on, to the frame. False if the device named an impossible buffer. */
static bool rx_take(struct virtio_uplink *v, struct frame *frame, u32 skip, u16 *id)
{
    u32 index = v->rx.used_seen++ % SIZE, length = v->rx.used->ring[index].length;

    *id = (u16)(v->rx.used->ring[index].id % SIZE);
    if (length < skip || length > BUFFER || frame->nr_parts == FRAME_PARTS)
        return false;
    frame->part[frame->nr_parts++] = (struct frame_part){ buffer_of(&v->rx, *id) + skip, length - skip };
    frame->len += length - skip;
    return true;
}

/* One frame to the switch; its buffers go back to the device. */
static void rx_one(struct virtio_uplink *v)
{
    struct frame frame = { .nr_parts = 0 };
    struct net_header header;
    u16 ids[SIZE];
    unsigned count = 1;
    bool good = rx_take(v, &frame, sizeof(header), &ids[0]);

    memcpy(&header, buffer_of(&v->rx, ids[0]), sizeof(header));
    while (count < header.num_buffers && count < SIZE && queue_used(&v->rx))
        good &= rx_take(v, &frame, 0, &ids[count++]);
    frame.offload = (struct frame_offload){ header.flags,    header.gso_type,   header.header_len,
                                            header.gso_size, header.csum_start, header.csum_offset };
    if (good && count == header.num_buffers) {
        headers_parse(&frame);
        switch_input(&v->uplink.port, &frame);
    } else
        v->uplink.port.counters.rx_dropped++;
    for (unsigned i = 0; i < count; i++)
        queue_publish(&v->rx, ids[i]);
    v->rx_unnotified += count;
}

static void rx_notify(struct virtio_uplink *v)
{
    if (v->rx_unnotified)
        queue_notify(&v->rx, RX);
    v->rx_unnotified = 0;
}

static bool virtio_poll(struct uplink *uplink)
{
    struct virtio_uplink *v = (struct virtio_uplink *)uplink;

    for (unsigned n = 0; n < UPLINK_BUDGET; n++) {
        if (!queue_used(&v->rx)) {
            rx_notify(v);
            v->rx.avail->flags = 0;
            __atomic_thread_fence(__ATOMIC_SEQ_CST); /* interrupts on before the last look */
            if (!queue_used(&v->rx))
                return false;
            v->rx.avail->flags = AVAIL_NO_INTERRUPT;
        }
        rx_one(v);
        if (v->rx_unnotified >= RX_NOTIFY)
            rx_notify(v);
    }
    return true;
}

static bool virtio_silence(struct uplink *uplink)
{
    struct virtio_uplink *v = (struct virtio_uplink *)uplink;

    v->rx.avail->flags = AVAIL_NO_INTERRUPT;
    v->tx.avail->flags = AVAIL_NO_INTERRUPT;
    return true;
}

/* --- Sending ---------------------------------------------------------------------------------------------------- */

/* The device finishes frames in the order in which they were sent, and frames use descriptors in the same order. */
static u32 tx_room(struct virtio_uplink *v)
{
    while (queue_used(&v->tx)) {
        v->tx.used_seen++;
        v->tx_clean = (v->tx_clean + v->tx_chain[v->tx_clean]) % SIZE;
    }
    return (v->tx_clean + SIZE - v->tx_next - 1) % SIZE;
}

/* Interrupts for sent frames are on only while somebody waits for room. */
static bool virtio_congested(struct port *port, unsigned spare)
{
    struct virtio_uplink *v = (struct virtio_uplink *)port;
    u32 need = (1 + spare) * TX_MAX;

    if (tx_room(v) >= need)
        return false;
    uplink_flush();
    v->tx.avail->flags = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* interrupts on before the last look */
    if (tx_room(v) < need)
        return true;
    v->tx.avail->flags = AVAIL_NO_INTERRUPT;
    return false;
}

static bool virtio_deliver(struct port *port, const struct frame *frame)
{
    struct virtio_uplink *v = (struct virtio_uplink *)port;
    const struct frame_offload *o = &frame->offload;
    struct net_header header = {
        o->flags & OFFLOAD_NEEDS_CSUM, o->gso_type, o->header_len, o->gso_size, o->csum_start, o->csum_offset, 0
    };
    u32 total = frame->len + sizeof(header), count = (total + BUFFER - 1) / BUFFER, first = v->tx_next;

    if (tx_room(v) < count)
        return false;
    for (u32 i = 0, done = 0; i < count; i++) {
        u32 index = (first + i) % SIZE, piece = MIN(total - done, (u32)BUFFER), head = i ? 0 : sizeof(header);
        u8 *buffer = buffer_of(&v->tx, index);

        memcpy(buffer, &header, head);
        frame_read(frame, i ? done - sizeof(header) : 0, buffer + head, piece - head);
        v->tx.descriptor[index].length = piece;
        v->tx.descriptor[index].flags = i + 1 < count ? DESCRIPTOR_NEXT : 0;
        done += piece;
    }
    v->tx_chain[first] = (u8)count;
    v->tx_next = (first + count) % SIZE;
    port->counters.copied_bytes += frame->len;
    queue_publish(&v->tx, (u16)first);
    uplink_delivered();
    return true;
}

static void virtio_flush(struct uplink *uplink)
{
    queue_notify(&((struct virtio_uplink *)uplink)->tx, TX);
}

/* --- Start ------------------------------------------------------------------------------------------------------ */

static u8 common_read8(struct virtio_uplink *v, u32 offset)
{
    return v->common[offset];
}

static u16 common_read16(struct virtio_uplink *v, u32 offset)
{
    return *(volatile u16 *)(v->common + offset);
}

static u32 common_read32(struct virtio_uplink *v, u32 offset)
{
    return *(volatile u32 *)(v->common + offset);
}

static void common_write8(struct virtio_uplink *v, u32 offset, u8 value)
{
    v->common[offset] = value;
}

static void common_write16(struct virtio_uplink *v, u32 offset, u16 value)
{
    *(volatile u16 *)(v->common + offset) = value;
}

static void common_write32(struct virtio_uplink *v, u32 offset, u32 value)
{
    *(volatile u32 *)(v->common + offset) = value;
}

/* 4.1.3: 64-bit fields are written as two halves. */
static void common_write64(struct virtio_uplink *v, u32 offset, u64 value)
{
    common_write32(v, offset, (u32)value);
    common_write32(v, offset + 4, (u32)(value >> 32));
}

/* Map the structure that a vendor capability points to. */
static volatile u8 *structure_map(const struct pci_host_function *f, u8 cap)
{
    u32 offset = pci_read(f, cap + 8), length = pci_read(f, cap + 12);
    u64 size = 0;
    hpa_t base = pci_bar(f, pci_read(f, cap + 4) & 0xFF, &size);

    if (!base || (u64)offset + length > size)
        return NULL;
    return host_map_device(base + offset, length);
}

static int structures_find(struct virtio_uplink *v, const struct pci_host_function *f)
{
    for (u8 cap = pci_capability(f, PCI_CAP_VENDOR, 0); cap; cap = pci_capability(f, PCI_CAP_VENDOR, cap)) {
        u8 type = (u8)(pci_read(f, cap) >> 24);

        if (type == CAP_COMMON && !v->common)
            v->common = structure_map(f, cap);
        if (type == CAP_DEVICE && !v->device)
            v->device = structure_map(f, cap);
        if (type == CAP_NOTIFY && !v->notify) {
            v->notify = structure_map(f, cap);
            v->notify_multiplier = pci_read(f, cap + 16);
        }
    }
    return v->common && v->notify && v->device ? 0 : -ENODEV;
}

/* Entry 0 of the MSI-X table: IRQ_UPLINK on this CPU. */
static int msix_set(const struct pci_host_function *f)
{
    u8 cap = pci_capability(f, PCI_CAP_MSIX, 0);
    u32 table = cap ? pci_read(f, cap + 4) : 0;
    u64 size = 0;
    hpa_t base = cap ? pci_bar(f, table & 7, &size) : 0;
    volatile u32 *entry = base ? host_map_device(base + (table & ~7U), 16) : NULL;

    if (!entry)
        return -ENODEV;
    pci_write(f, cap, (pci_read(f, cap) | MSIX_ENABLE) & ~(u32)MSIX_MASK_ALL);
    entry[0] = MSI_ADDRESS | this_cpu()->apic_id << 12;
    entry[1] = 0;
    entry[2] = IRQ_UPLINK;
    entry[3] = 0; /* not masked */
    return 0;
}

/* 3.1.1, steps 1 to 6. */
static int features_agree(struct virtio_uplink *v)
{
    u64 offered;

    common_write8(v, DEVICE_STATUS, 0);
    for (unsigned us = 0; common_read8(v, DEVICE_STATUS) != 0; us += 10) {
        if (us >= 100000)
            return -ETIMEDOUT;
        clock_delay_us(10);
    }
    common_write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    common_write32(v, DEVICE_FEATURE_SELECT, 0);
    offered = common_read32(v, DEVICE_FEATURE);
    common_write32(v, DEVICE_FEATURE_SELECT, 1);
    offered |= (u64)common_read32(v, DEVICE_FEATURE) << 32;
    v->features = offered & F_WANTED;
    if (!(v->features & F_CSUM)) /* 5.1.3.1: segmentation needs checksums */
        v->features &= ~(F_HOST_TSO4 | F_HOST_TSO6);
    if (!(v->features & F_GUEST_CSUM))
        v->features &= ~(F_GUEST_TSO4 | F_GUEST_TSO6);
    common_write32(v, DRIVER_FEATURE_SELECT, 0);
    common_write32(v, DRIVER_FEATURE, (u32)v->features);
    common_write32(v, DRIVER_FEATURE_SELECT, 1);
    common_write32(v, DRIVER_FEATURE, (u32)(v->features >> 32));
    common_write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    if ((v->features & F_NEEDED) != F_NEEDED || !(common_read8(v, DEVICE_STATUS) & STATUS_FEATURES_OK))
        return -ENOTSUP;
    return 0;
}

static void *dma_alloc(unsigned order)
{
    hpa_t frame = frame_alloc(order);

    return frame == FRAME_NONE ? NULL : memset(frame_window(frame), 0, PAGE_SIZE << order);
}

static hpa_t dma_address(const volatile void *memory)
{
    return frame_address((const void *)memory);
}

/* Descriptor i always means buffer i; only lengths and flags change, and only those of sent frames. */
static int queue_start(struct virtio_uplink *v, struct queue *q, u16 number, u16 flags, u16 vector)
{
    q->descriptor = dma_alloc(0);
    q->avail = dma_alloc(0);
    q->used = dma_alloc(0);
    q->buffers = dma_alloc(8);
    if (!q->descriptor || !q->avail || !q->used || !q->buffers)
        return -ENOMEM;
    common_write16(v, QUEUE_SELECT, number);
    if (common_read16(v, QUEUE_SIZE) < SIZE)
        return -ENOTSUP;
    for (u32 i = 0; i < SIZE; i++)
        q->descriptor[i] = (struct vq_descriptor){ dma_address(buffer_of(q, i)), BUFFER, flags, (u16)((i + 1) % SIZE) };
    q->avail->flags = AVAIL_NO_INTERRUPT;
    q->doorbell = (volatile u16 *)(v->notify + (u64)common_read16(v, QUEUE_NOTIFY_OFF) * v->notify_multiplier);
    common_write16(v, QUEUE_SIZE, SIZE);
    common_write16(v, QUEUE_MSIX_VECTOR, vector);
    if (common_read16(v, QUEUE_MSIX_VECTOR) != vector)
        return -ENOTSUP;
    common_write64(v, QUEUE_DESC, dma_address(q->descriptor));
    common_write64(v, QUEUE_DRIVER, dma_address(q->avail));
    common_write64(v, QUEUE_DEVICE, dma_address(q->used));
    common_write16(v, QUEUE_ENABLE, 1);
    return 0;
}
_Static_assert(SIZE *BUFFER == PAGE_SIZE << 8, "order of the buffers");

static int device_start(struct virtio_uplink *v, const struct pci_host_function *f)
{
    int rc = structures_find(v, f);

    pci_enable(f, false);
    rc = rc ? rc : msix_set(f);
    rc = rc ? rc : features_agree(v);
    rc = rc ? rc : queue_start(v, &v->rx, RX, DESCRIPTOR_WRITE, 0);
    rc = rc ? rc : queue_start(v, &v->tx, TX, 0, 0);
    if (rc)
        return rc;
    common_write16(v, CONFIG_MSIX_VECTOR, NO_VECTOR);
    for (unsigned i = 0; i < MAC_LEN; i++)
        v->uplink.mac[i] = v->device[i];
    common_write8(v, DEVICE_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
    for (u16 i = 0; i < SIZE; i++)
        queue_publish(&v->rx, i);
    queue_notify(&v->rx, RX);
    return 0;
}

/* Called once at boot: memory that a failed start has taken is not given back. */
struct uplink *virtio_uplink_probe(const struct pci_host_function *f)
{
    static struct virtio_uplink device;
    struct virtio_uplink *v = &device;
    int rc;

    if (v->common)
        return NULL;
    rc = device_start(v, f);
    if (rc) {
        pr_err("network card at %02x:%02x.%u not usable (%d): a modern device with MSI-X is needed", f->bus, f->slot,
               f->function, rc);
        if (v->common)
            common_write8(v, DEVICE_STATUS, STATUS_FAILED);
        return NULL;
    }
    v->uplink.driver = "virtio";
    v->uplink.poll = virtio_poll;
    v->uplink.silence = virtio_silence;
    v->uplink.flush = virtio_flush;
    v->uplink.port = (struct port){
        .name = "uplink",
        .offload_csum = v->features & F_CSUM,
        .offload_tso = (v->features & (F_HOST_TSO4 | F_HOST_TSO6)) == (F_HOST_TSO4 | F_HOST_TSO6),
        .deliver = virtio_deliver,
        .congested = virtio_congested,
    };
    return &v->uplink;
}

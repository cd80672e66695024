/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/guests/virtio/virtio.h"

#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

#define VENDOR 0x1AF4
#define CAP_VENDOR 9
#define CAP_MSIX 0x11
#define NO_VECTOR 0xFFFF

/* Offsets in the common configuration. */
enum {
    DEVICE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_SELECT = 0x08,
    DRIVER_FEATURE = 0x0C,
    CONFIG_VECTOR = 0x10,
    STATUS = 0x14,
    SELECT = 0x16,
    SIZE = 0x18,
    VECTOR = 0x1A,
    ENABLE = 0x1C,
    NOTIFY_OFF = 0x1E,
    DESC = 0x20,
    DRIVER = 0x28,
    DEVICE = 0x30,
};

#define IN8(dev, at) (*(volatile u8 *)((dev)->common + (at)))
#define IN16(dev, at) (*(volatile u16 *)((dev)->common + (at)))
#define IN32(dev, at) (*(volatile u32 *)((dev)->common + (at)))

static void address(unsigned slot, unsigned offset)
{
    outl(0xCF8, 0x80000000 | slot << 11 | (offset & 0xFC));
}

u32 pci_read(unsigned slot, unsigned offset)
{
    address(slot, offset);
    return inl(0xCFC);
}

void pci_write(unsigned slot, unsigned offset, u32 value)
{
    address(slot, offset);
    outl(0xCFC, value);
}

/* A BAR as a pointer; NULL if it is above 4 GiB, where we have no mapping. */
static volatile u8 *bar(unsigned slot, unsigned n)
{
    u32 low = pci_read(slot, 0x10 + 4 * n);

    if ((low & 6) == 4 && pci_read(slot, 0x14 + 4 * n) != 0)
        return NULL;
    return (volatile u8 *)(u64)(low & ~0xFU);
}

static void capability(struct virtio *dev, u8 at)
{
    u32 head = pci_read(dev->slot, at);
    volatile u8 *where;

    if ((u8)head == CAP_MSIX) {
        u32 table = pci_read(dev->slot, at + 4);

        dev->msix_cap = at;
        dev->msix = (volatile u32 *)(bar(dev->slot, table & 7) + (table & ~7U));
    }
    if ((u8)head != CAP_VENDOR)
        return;
    where = bar(dev->slot, (u8)pci_read(dev->slot, at + 4)) + pci_read(dev->slot, at + 8);
    switch (head >> 24) {
    case 1: dev->common = where; break;
    case 2:
        dev->notify = where;
        dev->notify_multiplier = pci_read(dev->slot, at + 16);
        break;
    case 3: dev->isr = where; break;
    case 4: dev->config = where; break;
    default: break;
    }
}

bool virtio_find(struct virtio *dev, u16 id)
{
    memset(dev, 0, sizeof(*dev));
    for (unsigned slot = 0; slot < 32; slot++) {
        if (pci_read(slot, 0) != (u32)(id << 16 | VENDOR))
            continue;
        dev->slot = slot;
        for (u8 at = (u8)pci_read(slot, 0x34); at; at = (u8)(pci_read(slot, at) >> 8))
            capability(dev, at);
        pci_write(slot, 4, (pci_read(slot, 4) & 0xFFFF) | 6); /* memory and bus master */
        return dev->common && dev->notify && dev->isr && dev->msix;
    }
    return false;
}

void virtio_reset(struct virtio *dev)
{
    IN8(dev, STATUS) = 0;
    while (IN8(dev, STATUS))
        pause();
    memset(dev->queue, 0, sizeof(dev->queue));
}

u8 virtio_status(struct virtio *dev)
{
    return IN8(dev, STATUS);
}

u64 virtio_offered(struct virtio *dev)
{
    u64 offered;

    IN32(dev, DEVICE_SELECT) = 1;
    offered = (u64)IN32(dev, DEVICE_FEATURE) << 32;
    IN32(dev, DEVICE_SELECT) = 0;
    return offered | IN32(dev, DEVICE_FEATURE);
}

bool virtio_negotiate(struct virtio *dev, u64 wanted)
{
    virtio_reset(dev);
    IN8(dev, STATUS) = 1;
    IN8(dev, STATUS) = 3;
    dev->features = virtio_offered(dev) & wanted;
    for (u32 i = 0; i < 2; i++) {
        IN32(dev, DRIVER_SELECT) = i;
        IN32(dev, DRIVER_FEATURE) = (u32)(dev->features >> 32 * i);
    }
    IN8(dev, STATUS) = 3 | STATUS_FEATURES_OK;
    return IN8(dev, STATUS) & STATUS_FEATURES_OK;
}

static void write64(struct virtio *dev, unsigned at, u64 value)
{
    IN32(dev, at) = (u32)value;
    IN32(dev, at + 4) = (u32)(value >> 32);
}

void virtio_queue_enable(struct virtio *dev, unsigned n, u64 desc, u64 avail, u64 used)
{
    IN16(dev, SELECT) = (u16)n;
    IN16(dev, SIZE) = QUEUE_SIZE;
    IN16(dev, VECTOR) = 0;
    write64(dev, DESC, desc);
    write64(dev, DRIVER, avail);
    write64(dev, DEVICE, used);
    IN16(dev, ENABLE) = 1;
}

/* MSI-X Control: the function's mask off, and MSI-X on or off. */
static void msix_switch(struct virtio *dev, bool on)
{
    pci_write(dev->slot, dev->msix_cap, (pci_read(dev->slot, dev->msix_cap) & 0x3FFFFFFF) | (on ? 0x80000000 : 0));
}

static void start(struct virtio *dev, unsigned n)
{
    IN16(dev, CONFIG_VECTOR) = NO_VECTOR;
    for (unsigned i = 0; i < n; i++) {
        struct queue *queue = &dev->queue[i];

        virtio_queue_enable(dev, i, (u64)queue->desc, (u64)&queue->avail, (u64)&queue->used);
    }
    IN8(dev, STATUS) = 3 | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

void virtio_start(struct virtio *dev, unsigned n, u8 vector)
{
    dev->msix[0] = 0xFEE00000;
    dev->msix[1] = 0;
    dev->msix[2] = vector;
    dev->msix[3] = 0;
    msix_switch(dev, true);
    start(dev, n);
}

void virtio_start_intx(struct virtio *dev, unsigned n)
{
    msix_switch(dev, false);
    start(dev, n);
}

void queue_notify(struct virtio *dev, unsigned n)
{
    IN16(dev, SELECT) = (u16)n;
    *(volatile u16 *)(dev->notify + IN16(dev, NOTIFY_OFF) * dev->notify_multiplier) = (u16)n;
}

/* Does the device want to hear of the entry that makes `idx` of the ring? What we do not have to say, we do not. */
static bool notify_wanted(const struct virtio *dev, const struct queue *queue, u16 idx)
{
    if (dev->features & FEATURE_EVENT_IDX)
        return *(const volatile u16 *)&queue->used.avail_event == (u16)(idx - 1);
    return !(*(const volatile u16 *)&queue->used.flags & 1);
}

void queue_offer(struct virtio *dev, unsigned n, u16 head)
{
    struct queue *queue = &dev->queue[n];

    queue->avail.ring[queue->avail.idx % QUEUE_SIZE] = head;
    /* The ring entry is visible before the index. */
    __atomic_store_n(&queue->avail.idx, (u16)(queue->avail.idx + 1), __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (notify_wanted(dev, queue, queue->avail.idx))
        queue_notify(dev, n);
}

int queue_wait(struct virtio *dev, unsigned n, u64 us, u32 *head)
{
    struct queue *queue = &dev->queue[n];
    u64 end = rdtsc() + clock_ticks(us);

    while (__atomic_load_n(&queue->used.idx, __ATOMIC_ACQUIRE) == queue->seen) {
        if (rdtsc() > end)
            return -1;
        pause();
    }
    if (head)
        *head = queue->used.ring[queue->seen % QUEUE_SIZE].id;
    return (int)queue->used.ring[queue->seen++ % QUEUE_SIZE].len;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver for modern virtio PCI devices (virtio 1.2), written apart from the hypervisor's own headers: both sides
 * follow the standard, not each other.
 */
#pragma once

#include "host/types.h"

#define VIRTIO_NET 0x1041 /* PCI device ids */
#define VIRTIO_RNG 0x1044

#define QUEUE_SIZE 16
#define MAX_QUEUES 3

#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4

#define STATUS_FEATURES_OK 8
#define STATUS_DRIVER_OK 4
#define STATUS_NEEDS_RESET 64

#define FEATURE_INDIRECT (1ULL << 28)
#define FEATURE_EVENT_IDX (1ULL << 29)
#define FEATURE_VERSION_1 (1ULL << 32)

struct desc {
    u64 addr;
    u32 len;
    u16 flags, next;
};

/* The three areas of a queue; identity-mapped, so their addresses are physical. */
struct queue {
    struct desc desc[QUEUE_SIZE];
    struct {
        u16 flags, idx, ring[QUEUE_SIZE], used_event;
    } avail;
    struct {
        u16 flags, idx;
        struct {
            u32 id, len;
        } ring[QUEUE_SIZE];
        u16 avail_event;
    } used __attribute__((aligned(16)));
    u16 seen; /* used entries that we have taken */
} __attribute__((aligned(64)));

struct virtio {
    unsigned slot;
    volatile u8 *common, *notify, *isr, *config;
    volatile u32 *msix; /* its table */
    u8 msix_cap;
    u32 notify_multiplier;
    u64 features; /* negotiated */
    struct queue queue[MAX_QUEUES];
};

/* PCI configuration space of bus 0. */
u32 pci_read(unsigned slot, unsigned offset);
void pci_write(unsigned slot, unsigned offset, u32 value);

/* Find the device on bus 0, map its structures, switch it on. False: there is none. */
bool virtio_find(struct virtio *dev, u16 id);

void virtio_reset(struct virtio *dev);

/* Reset, and negotiate: what the device offers of `wanted`. False: it refuses. */
bool virtio_negotiate(struct virtio *dev, u64 wanted);

u64 virtio_offered(struct virtio *dev);
u8 virtio_status(struct virtio *dev);

/* Enable the first n queues, each empty, with MSI-X entry 0, which is `vector`; and say DRIVER_OK. */
void virtio_start(struct virtio *dev, unsigned n, u8 vector);

/* The same without MSI-X: the device's interrupts are its pin's. */
void virtio_start_intx(struct virtio *dev, unsigned n);

/* Tell the device of one queue's areas. */
void virtio_queue_enable(struct virtio *dev, unsigned n, u64 desc, u64 avail, u64 used);

/* Make the chain that begins at `head` available, and tell the device. */
void queue_offer(struct virtio *dev, unsigned n, u16 head);
void queue_notify(struct virtio *dev, unsigned n);

/* Wait for the next used entry, for us microseconds at most. Its length, or -1. *head: whose it is; may be NULL. */
int queue_wait(struct virtio *dev, unsigned n, u64 us, u32 *head);

/* Its pin, by the 8259s and by the I/O APIC (intx.c). */
void intx_test(struct virtio *dev);

/* Lies in rings (attack.c). Ends with the device in use again. */
void attack_rings(struct virtio *dev);

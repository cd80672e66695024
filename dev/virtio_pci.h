/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtio transport over PCI, modern only (virtio 1.2, 4.1): feature negotiation, status, queues' areas, interrupts.
 *
 * A driver that breaks the rules of a queue loses this device and no more: the status says DEVICE_NEEDS_RESET, the log
 * says why, and the device touches no queue until the driver has reset it. The VM's device_lock is held in all calls
 * and callbacks.
 */
#pragma once

#include "dev/pci.h"
#include "dev/virtqueue.h"

#define VIRTIO_QUEUES_MAX 4
#define VIRTIO_CONFIG_MAX 64 /* bytes of device configuration */
#define VIRTIO_NO_VECTOR 0xFFFF

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED 128

#define VIRTIO_F_INDIRECT_DESC (1ULL << 28)
#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_VERSION_1 (1ULL << 32)

/* Capability types (cfg_type). */
enum virtio_cap {
    VIRTIO_CAP_COMMON = 1,
    VIRTIO_CAP_NOTIFY = 2,
    VIRTIO_CAP_ISR = 3,
    VIRTIO_CAP_DEVICE = 4,
    VIRTIO_CAP_PCI = 5,
};

/* The common configuration's registers, as offsets (struct virtio_pci_common_cfg). */
enum virtio_common {
    VIRTIO_DEVICE_FEATURE_SELECT = 0x00,
    VIRTIO_DEVICE_FEATURE = 0x04,
    VIRTIO_DRIVER_FEATURE_SELECT = 0x08,
    VIRTIO_DRIVER_FEATURE = 0x0C,
    VIRTIO_CONFIG_VECTOR = 0x10,
    VIRTIO_NUM_QUEUES = 0x12,
    VIRTIO_STATUS = 0x14,
    VIRTIO_GENERATION = 0x15,
    VIRTIO_QUEUE_SELECT = 0x16,
    VIRTIO_QUEUE_SIZE = 0x18,
    VIRTIO_QUEUE_VECTOR = 0x1A,
    VIRTIO_QUEUE_ENABLE = 0x1C,
    VIRTIO_QUEUE_NOTIFY_OFF = 0x1E,
    VIRTIO_QUEUE_DESC = 0x20, /* three times 64 bits, also in halves */
    VIRTIO_QUEUE_DRIVER = 0x28,
    VIRTIO_QUEUE_DEVICE = 0x30,
    VIRTIO_COMMON_SIZE = 0x38,
};

struct virtio;

/* The properties and callbacks of one kind of device. */
struct virtio_kind {
    const char *name;
    u16 id;         /* virtio 1.2, 5 "Device Types" */
    u32 class_code; /* PCI */
    u64 features;   /* the device offers these, and the transport's own */
    unsigned nr_queues;
    u16 queue_size;
    unsigned config_size;
    u16 version; /* of `state` */
    /* Optional: do these accepted features make sense together? */
    bool (*features_valid)(u64 features);
    /* The driver has made requests available in a queue, or is now ready for all queues (DRIVER_OK). */
    void (*notify)(struct virtio *virtio, unsigned queue);
    void (*reset)(struct virtio *virtio);
    void (*state)(struct virtio *virtio, struct codec *c); /* saved or restored, behind the transport's own */
};

/* Embedded first in a device's own struct. */
struct virtio {
    struct pci_function pci;
    const struct virtio_kind *kind;
    u8 config[VIRTIO_CONFIG_MAX]; /* device configuration, read-only for drivers */
    u64 features;                 /* the ones that the driver has accepted */
    u32 device_feature_select, driver_feature_select;
    u16 queue_select, config_vector;
    u8 status, isr, generation;
    struct virtqueue queue[VIRTIO_QUEUES_MAX];
    u16 queue_vector[VIRTIO_QUEUES_MAX];
    unsigned cfg_cap; /* offset of the PCI configuration access capability */
    u32 epoch;        /* counts resets: a request that was begun before one must not be finished after it */
    u64 interrupts, notifications, failures;
};

/* Make a device of a kind, in a slot of the bus. The caller fills its configuration before the VM runs. */
void virtio_init(struct virtio *virtio, const struct virtio_kind *kind, struct pci_bus *bus, unsigned slot);

/* May the device use this queue now? */
bool virtio_live(const struct virtio *virtio, unsigned queue);

/* Was this feature negotiated? */
bool virtio_has(const struct virtio *virtio, u64 feature);

/* Publish the requests that were returned in the queue, and interrupt if the driver wants that. */
void virtio_complete(struct virtio *virtio, unsigned queue);

/* The configuration has changed: count its generation, and interrupt. */
void virtio_config_changed(struct virtio *virtio);

/* Call this after use of a queue: if the queue has become broken, the device needs a reset. Returns whether it is. */
bool virtio_check(struct virtio *virtio, unsigned queue);

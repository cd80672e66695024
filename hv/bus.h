/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port and memory-mapped I/O: each bus is a small sorted array of regions, and a device serves each region. Offsets are
 * relative to the region, and a device has one handler for ports and MMIO. An address that no device has reads
 * as all ones and ignores writes.
 */
#pragma once

#include "host/list.h"
#include "host/types.h"

#define BUS_REGIONS 32

struct codec;
struct device;
struct vcpu;

/* One access. */
struct io {
    struct vcpu *vcpu; /* the vcpu that accesses the device */
    u64 off;           /* in the region */
    u8 size;           /* 1, 2, 4, 8 */
    bool write;
    u64 val; /* the value to write, or the answer to a read, preset to all ones */
};

struct device_ops {
    const char *name;
    u16 version; /* of the saved state */
    void (*io)(struct device *device, unsigned region, struct io *io);
    void (*reset)(struct device *device);
    /* Save or restore all of the device's state (dev/codec.h). What is restored is judged; a device whose restore was
     * refused is void, and so is its VM. */
    void (*state)(struct device *device, struct codec *c);
};

/* The first member of a device's own struct. */
struct device {
    const struct device_ops *ops;
    struct list node; /* of the VM's devices (vm_add_device) */
};

struct bus_region {
    u64 base, size;
    struct device *device;
    unsigned region; /* the device's own number for this region */
};

struct bus {
    struct bus_region region[BUS_REGIONS];
    u32 nr_regions;
    u64 accesses, unclaimed;
};

/*
 * Give [base, base+size) to a device. A region may lie in another one, and comes first there. Returns 0, -EBUSY on any
 * other overlap, -ENOSPC if the bus is full. The VM is not running, or the caller holds device_lock.
 */
int bus_add(struct bus *bus, u64 base, u64 size, struct device *device, unsigned region);

/* Remove the regions of `device` that have the number `region`. A device may call this from its own handler, but not
 * for the bus of the access that it handles. The caller holds device_lock. */
void bus_remove(struct bus *bus, const struct device *device, unsigned region);

/* Perform the access at `address`. The VM's device_lock is held. */
void bus_access(struct bus *bus, u64 address, struct io *io);

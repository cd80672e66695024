/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port and memory-mapped I/O: a small sorted array of regions per bus, each served by a device. Offsets are relative to
 * the region, and ports and MMIO share a device's handler. What nobody claims reads as all ones and swallows writes.
 */
#pragma once

#include "host/list.h"
#include "host/types.h"

#define BUS_REGIONS 32

struct device;
struct reader;
struct vcpu;
struct writer;

/* One access. */
struct io {
    struct vcpu *vcpu; /* who asks */
    u64 off;           /* in the region */
    u8 size;           /* 1, 2, 4, 8 */
    bool write;
    u64 val; /* to write, or the answer: preset to all ones */
};

struct device_ops {
    const char *name;
    u16 version; /* of the saved state */
    void (*io)(struct device *device, unsigned region, struct io *io);
    void (*reset)(struct device *device);
    int (*save)(struct device *device, struct writer *writer);
    int (*load)(struct device *device, struct reader *reader);
};

/* Embedded first in a device's own struct. */
struct device {
    const struct device_ops *ops;
    struct list node; /* of the VM's devices (vm_add_device) */
};

struct bus_region {
    u64 base, size;
    struct device *device;
    unsigned region; /* which of the device's regions */
};

struct bus {
    struct bus_region region[BUS_REGIONS];
    u32 nr_regions;
    u64 accesses, unclaimed;
};

/*
 * Claim [base, base+size). A region may lie inside another, and takes precedence there. Returns 0, -EBUSY on any other
 * overlap, -ENOSPC. VM not running, or device_lock held.
 */
int bus_add(struct bus *bus, u64 base, u64 size, struct device *device, unsigned region);

/* Give up the regions of `device` numbered `region`. From within one of its own accesses too, but then not of the same
 * bus. device_lock held. */
void bus_remove(struct bus *bus, const struct device *device, unsigned region);

/* Perform the access at `address`. The VM's device_lock is held. */
void bus_access(struct bus *bus, u64 address, struct io *io);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's entropy source (virtio 1.2, 5.4): it fills buffers with random bytes.
 *
 * The bytes come from the processor's RDRAND. On a processor without it they are hashed TSC jitter, which is WEAK: good
 * enough to boot, not for keys. A guest gets VIRTIO_RNG_RATE bytes a second, so that a guest that asks all the time
 * costs the host very little; requests above that rate wait.
 */
#pragma once

#include "dev/virtio_pci.h"
#include "host/list.h"

#define VIRTIO_RNG_RATE 65536  /* bytes a second */
#define VIRTIO_RNG_BURST 4096  /* bytes that can be saved up */
#define VIRTIO_RNG_REQUEST 256 /* bytes that a request gets at most; drivers accept less than they asked for */

struct virtio_rng {
    struct virtio virtio;
    struct list node; /* of all devices; host loop */
    struct vm *vm;
    bool pending;    /* a request may wait; set by anyone, taken by the host loop */
    u32 credit;      /* bytes that may be given now */
    u64 credited_ns; /* when credit was last added */
    u64 bytes;       /* given in all */
};

/* Create the device in a slot, and destroy it. Host loop. */
void virtio_rng_init(struct virtio_rng *rng, struct vm *vm, struct pci_bus *bus, unsigned slot);
void virtio_rng_fini(struct virtio_rng *rng);

/* Host work: answer requests. Returns the host TSC at which it wants its next turn. */
u64 virtio_rng_poll(void);

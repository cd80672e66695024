/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the network card that moves with its guest, except transport and rings. For virtio_net.c only. */
#pragma once

#include "dev/virtio_net.h"

/* save and load of struct virtio_kind: the driver's settings, and the addresses that live behind the port. */
void virtio_net_save(struct virtio *virtio, struct writer *w);
int virtio_net_load(struct virtio *virtio, struct reader *r);

/* Has the driver negotiated this offload for received frames, and not turned it off? */
static inline bool virtio_net_wants(const struct virtio_net *net, u64 offload)
{
    return virtio_has(&net->virtio, offload) && !(net->offloads_off & offload);
}

/* Tell the switch which offloads the driver takes, and which MAC it has taken. Host loop. */
void virtio_net_port_update(struct virtio_net *net);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the network card that moves with its guest, except transport and rings. For virtio_net.c only. */
#pragma once

#include "dev/virtio_net.h"

/* `state` of struct virtio_kind: the driver's settings, and the addresses that live behind the port. */
void virtio_net_state(struct virtio *virtio, struct codec *c);

/* Has the driver negotiated this offload for received frames, and not turned it off? */
static inline bool virtio_net_wants(const struct virtio_net *net, u64 offload)
{
    return virtio_has(&net->virtio, offload) && !(net->offloads_off & offload);
}

/* Tell the switch which offloads the driver takes, and which MAC it has taken. Host loop. */
void virtio_net_port_update(struct virtio_net *net);

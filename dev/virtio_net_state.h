/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the network card that moves with its guest, transport and rings apart; for virtio_net.c only. */
#pragma once

#include "dev/virtio_net.h"

/* As struct virtio_kind has them: what the driver asked for, and the addresses that live behind the port. */
void virtio_net_save(struct virtio *virtio, struct writer *w);
int virtio_net_load(struct virtio *virtio, struct reader *r);

/* Has the driver agreed to an offload of what it receives, and wants it now? */
static inline bool virtio_net_wants(const struct virtio_net *net, u64 offload)
{
    return virtio_has(&net->virtio, offload) && !(net->offloads_off & offload);
}

/* Tell the switch what the driver has agreed to, and which MAC it has taken. Host loop. */
void virtio_net_port_update(struct virtio_net *net);

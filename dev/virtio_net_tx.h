/* SPDX-License-Identifier: BSD-2-Clause */
/* Transmission of the network card; for virtio_net.c only. Host loop. */
#pragma once

#include "dev/virtio_net.h"

/* Give the switch what waits in the ring. True if there is more. device_lock held. */
bool virtio_net_transmit(struct virtio_net *net);

/* Interrupt for what was sent, if it is time (`now`, of the host's TSC) and the driver wants it. */
void virtio_net_tell(struct virtio_net *net, u64 now);

/* Owe the driver no interrupt, and look at nothing until the next virtio_net_transmit. */
void virtio_net_tx_stop(struct virtio_net *net);

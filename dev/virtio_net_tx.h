/* SPDX-License-Identifier: BSD-2-Clause */
/* Transmission of the network card; for virtio_net.c only. Host loop. */
#pragma once

#include "dev/virtio_net.h"

/* Send the frames that wait in the ring. True if there are more that can go now. device_lock held. */
bool virtio_net_transmit(struct virtio_net *net);

/* Interrupt for the sent frames, if it is time (`now` is of the host's TSC) and the driver wants that. */
void virtio_net_tell(struct virtio_net *net, u64 now);

/* Send the interrupt that is still owed, and don't look at the ring until the next virtio_net_transmit. */
void virtio_net_tx_stop(struct virtio_net *net);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The control queue and the receive filter of the network card; for virtio_net.c only. */
#pragma once

#include "dev/virtio_net.h"

/* Set the filter as after a reset: it holds the card's own address and nothing else. */
void virtio_net_filter_reset(struct virtio_net *net);

/* Does the driver want a frame with this destination? */
bool virtio_net_filter_passes(const struct virtio_net *net, const u8 destination[MAC_LEN]);

/* Carry out the commands that wait in the control queue. True if there are more. device_lock held, host loop. */
bool virtio_net_control(struct virtio_net *net);

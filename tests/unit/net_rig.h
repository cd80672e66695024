/* SPDX-License-Identifier: BSD-2-Clause */
/* A network card in the rig (virtio_rig.h), for unit tests of it. */
#pragma once

#include "dev/virtio_net.h"
#include "net/ethernet.h"
#include "tests/unit/virtio_rig.h"

#define SLOT 1
#define HDR 12
#define BASE (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS)
#define BUFFER(i) (RIG_BUFFER + 0x10000ULL * (i))

extern struct virtio_net net;
extern const u8 net_mac[MAC_LEN];
extern u8 frame_bytes[FRAME_MAX]; /* of a broadcast */

/* cmocka fixtures. */
int net_setup(void **state);
int net_teardown(void **state);

/* The driver negotiates these features and starts the queues. */
void net_start(u64 features);

/* Put header and frame into guest memory, send them as one buffer, and give the host a turn. */
void net_send(const struct virtio_net_hdr *hdr, u32 len);

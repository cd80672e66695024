/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames in and out of the network card. */
#pragma once

#include "tests/guests/virtio/virtio.h"

#define NET_RX 0
#define NET_TX 1
#define NET_CTRL 2
#define FRAME_SIZE 1514
#define HDR_SIZE 12
#define ETHERTYPE_TEST 0x88B5 /* IEEE 802 local experimental */
#define ETHERTYPE_ARP 0x0806

#define NET_F_MAC (1ULL << 5)
#define NET_F_MRG_RXBUF (1ULL << 15)
#define NET_F_STATUS (1ULL << 16)
#define NET_F_CTRL_VQ (1ULL << 17)
#define NET_F_CTRL_RX (1ULL << 18)
#define NET_FEATURES                                                                                         \
    (FEATURE_VERSION_1 | FEATURE_INDIRECT | FEATURE_EVENT_IDX | NET_F_MAC | NET_F_MRG_RXBUF | NET_F_STATUS | \
     NET_F_CTRL_VQ | NET_F_CTRL_RX)

struct net_frame {
    u8 to[6], from[6];
    u8 type[2];
    u8 data[FRAME_SIZE - 14];
};

extern u8 net_mac[6];

/* Negotiate, start the queues and fill the receive queue. */
bool net_start(struct virtio *dev, u8 vector);

/* Send a frame and wait until the device has taken it. */
bool net_send(struct virtio *dev, const struct net_frame *frame, u32 len);

/* The next frame, within us microseconds; returns its length, or 0. */
u32 net_receive(struct virtio *dev, struct net_frame *frame, u64 us);

/* A command to the control queue; returns the device's answer, or -1. */
int net_command(struct virtio *dev, u8 class, u8 command, const void *data, u32 len);

/* Ask for an IPv4 address on the network (a.b.c.d); does its owner answer? */
void net_arp_test(struct virtio *dev, const char *address);

/* Echo what comes until told to end; and the other side, which tests it. */
void net_echo_server(struct virtio *dev);
void net_echo_client(struct virtio *dev);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading frames in pieces (net/port.h), and the few numbers of Ethernet, IP and TCP that net/ shares. Pure. */
#pragma once

#include <string.h>

#include "net/port.h"

#define ETH_HEADER 14
#define ETH_SOURCE 6 /* offsets */
#define ETH_TYPE 12
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_RARP 0x8035
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_QINQ 0x88A8
#define ETH_TYPE_IP6 0x86DD
#define ETH_TYPE_PEERS 0x88B6 /* between hypervisors; IEEE 802's Local Experimental Ethertype 2 */
#define ETH_MIN 60            /* without FCS */

#define IP4_HEADER 20  /* without options */
#define IP4_PROTOCOL 9 /* offsets (RFC 791, RFC 9293) */
#define TCP_DATA_OFFSET 12
#define TCP_CSUM 16
#define IP_PROTO_TCP 6
#define IP_PROTO_ICMP6 58
#define UDP_DESTINATION 2 /* offsets (RFC 768) */
#define UDP_CSUM 6
#define UDP_PORT_DHCP_CLIENT 68

/* frame_offload's constants: virtio 1.2, 5.1.6. */
#define OFFLOAD_NEEDS_CSUM 1
#define OFFLOAD_DATA_VALID 2
#define OFFLOAD_GSO_NONE 0
#define OFFLOAD_GSO_TCP4 1
#define OFFLOAD_GSO_TCP6 4

/* Copy [offset, offset + len) out. False if the frame is shorter. */
bool frame_read(const struct frame *frame, u32 offset, void *to, u32 len);

/* Append [offset, offset + len) of `frame` to `out` by reference. False if it is shorter or has too many pieces. */
bool frame_append(struct frame *out, const struct frame *frame, u32 offset, u32 len);

/* Write an Ethernet header; returns the place behind it, where the payload begins. */
u8 *frame_header(u8 *out, const u8 *destination, const u8 *source, u16 type);

extern const u8 mac_broadcast[MAC_LEN];

/* A frame of one piece. */
struct frame frame_of(const void *data, u32 len);

/* Unfolded Internet checksum of [offset, offset + len), which must exist. */
u64 frame_csum(const struct frame *frame, u32 offset, u32 len);

/* Is this EtherType that of a VLAN tag? */
static inline bool frame_is_tag(u16 type)
{
    return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

/* Big-endian fields at any address. */
static inline u16 be16_get(const void *at)
{
    const u8 *b = at;

    return (u16)(b[0] << 8 | b[1]);
}

static inline void be16_put(void *at, u16 value)
{
    u8 *b = at;

    b[0] = (u8)(value >> 8);
    b[1] = (u8)value;
}

static inline u32 be32_get(const void *at)
{
    return (u32)be16_get(at) << 16 | be16_get((const u8 *)at + 2);
}

static inline void be32_put(void *at, u32 value)
{
    be16_put(at, (u16)(value >> 16));
    be16_put((u8 *)at + 2, (u16)value);
}

static inline bool mac_is_multicast(const u8 *mac)
{
    return mac[0] & 1;
}

static inline bool mac_is_zero(const u8 *mac)
{
    static const u8 zero[MAC_LEN];

    return memcmp(mac, zero, MAC_LEN) == 0;
}

/* May this MAC be the address of one card? */
static inline bool mac_is_card(const u8 *mac)
{
    return !mac_is_multicast(mac) && !mac_is_zero(mac);
}

static inline bool mac_equal(const u8 *a, const u8 *b)
{
    return memcmp(a, b, MAC_LEN) == 0;
}

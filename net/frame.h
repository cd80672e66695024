/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading frames in pieces (net/port.h), and the few numbers of Ethernet, IP and TCP that net/ shares. Pure. */
#pragma once

#include <string.h>

#include "net/port.h"

#define ETH_HEADER 14
#define ETH_TYPE 12 /* offset */
#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_RARP 0x8035
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_QINQ 0x88A8
#define ETH_TYPE_IP6 0x86DD
#define ETH_TYPE_PEERS 0x88B6 /* between hypervisors; IEEE 802's Local Experimental Ethertype 2 */
#define ETH_MIN 60            /* without FCS */

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
bool frame_read(const struct frame *frame, uint32_t offset, void *to, uint32_t len);

/* Append [offset, offset + len) of `frame` to `out` by reference. False if it is shorter or has too many pieces. */
bool frame_append(struct frame *out, const struct frame *frame, uint32_t offset, uint32_t len);

/* Write an Ethernet header; returns the place behind it, where the payload begins. */
uint8_t *frame_header(uint8_t *out, const uint8_t *destination, const uint8_t *source, uint16_t type);

extern const uint8_t mac_broadcast[MAC_LEN];

/* A frame of one piece. */
struct frame frame_of(const void *data, uint32_t len);

/* Unfolded Internet checksum of [offset, offset + len), which must exist. */
uint64_t frame_csum(const struct frame *frame, uint32_t offset, uint32_t len);

/* Returns the EtherType behind at most two VLAN tags, and in *l3 the offset behind it. 0 if the frame is too short. */
uint16_t frame_type(const struct frame *frame, uint32_t *l3);

/* Is this EtherType that of a VLAN tag? */
static inline bool frame_is_tag(uint16_t type)
{
    return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

/* Big-endian fields at any address. */
static inline uint16_t be16_get(const void *at)
{
    const uint8_t *b = at;

    return (uint16_t)(b[0] << 8 | b[1]);
}

static inline void be16_put(void *at, uint16_t value)
{
    uint8_t *b = at;

    b[0] = (uint8_t)(value >> 8);
    b[1] = (uint8_t)value;
}

static inline uint32_t be32_get(const void *at)
{
    return (uint32_t)be16_get(at) << 16 | be16_get((const uint8_t *)at + 2);
}

static inline void be32_put(void *at, uint32_t value)
{
    be16_put(at, (uint16_t)(value >> 16));
    be16_put((uint8_t *)at + 2, (uint16_t)value);
}

static inline bool mac_is_multicast(const uint8_t *mac)
{
    return mac[0] & 1;
}

static inline bool mac_is_zero(const uint8_t *mac)
{
    static const uint8_t zero[MAC_LEN];

    return memcmp(mac, zero, MAC_LEN) == 0;
}

/* May this MAC be the address of one card? */
static inline bool mac_is_card(const uint8_t *mac)
{
    return !mac_is_multicast(mac) && !mac_is_zero(mac);
}

static inline bool mac_equal(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, MAC_LEN) == 0;
}

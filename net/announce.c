/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames by hand, field by field: ARP and RARP (RFC 826, RFC 903), neighbour advertisement (RFC 4861, 4.4). */
#include "net/announce.h"

#include "net/csum.h"
#include "net/frame.h"
#include "net/offload.h"

#define ARP_LENGTH 28
#define ARP_HARDWARE 0 /* offsets in an ARP packet (RFC 826) */
#define ARP_PROTOCOL 2
#define ARP_LENGTHS 4
#define ARP_OPERATION 6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP 14
#define ARP_TARGET_MAC 18
#define ARP_TARGET_IP 24
#define ARP_REQUEST 1
#define RARP_REQUEST 3

#define NA_LENGTH 32 /* with the option */
#define NA_TYPE 136
#define NA_OVERRIDE 0x20
#define NA_OPTION_TARGET_MAC 2

static uint8_t *header(uint8_t *out, const uint8_t *destination, const uint8_t *source, uint16_t type)
{
    memset(out, 0, ANNOUNCE_MAX);
    return frame_header(out, destination, source, type);
}

static uint8_t *arp_header(uint8_t *out, const uint8_t *mac, uint16_t type, uint16_t operation)
{
    uint8_t *arp = header(out, mac_broadcast, mac, type);

    be16_put(arp + ARP_HARDWARE, 1);
    be16_put(arp + ARP_PROTOCOL, ETH_TYPE_IP4);
    arp[ARP_LENGTHS] = MAC_LEN;
    arp[ARP_LENGTHS + 1] = 4;
    be16_put(arp + ARP_OPERATION, operation);
    memcpy(arp + ARP_SENDER_MAC, mac, MAC_LEN);
    return arp;
}

uint32_t announce_arp(uint8_t out[ANNOUNCE_MAX], const uint8_t mac[MAC_LEN], const uint8_t ip4[4])
{
    uint8_t *arp = arp_header(out, mac, ETH_TYPE_ARP, ARP_REQUEST);

    memcpy(arp + ARP_SENDER_IP, ip4, 4);
    memcpy(arp + ARP_TARGET_IP, ip4, 4);
    return ETH_MIN;
}

uint32_t announce_rarp(uint8_t out[ANNOUNCE_MAX], const uint8_t mac[MAC_LEN])
{
    uint8_t *rarp = arp_header(out, mac, ETH_TYPE_RARP, RARP_REQUEST);

    memcpy(rarp + ARP_TARGET_MAC, mac, MAC_LEN);
    return ETH_MIN;
}
_Static_assert(ETH_HEADER + ARP_LENGTH <= ETH_MIN && ETH_MIN <= ANNOUNCE_MAX, "ARP is padded");

uint32_t announce_na(uint8_t out[ANNOUNCE_MAX], const uint8_t mac[MAC_LEN], const uint8_t ip6[16])
{
    static const uint8_t all_nodes_mac[MAC_LEN] = { 0x33, 0x33, 0, 0, 0, 1 };
    static const uint8_t all_nodes[16] = { 0xFF, 0x02, [15] = 1 };
    uint8_t *ip = header(out, all_nodes_mac, mac, ETH_TYPE_IP6), *na = ip + 40;
    uint64_t sum;
    uint16_t folded;

    ip[0] = 0x60;
    be16_put(ip + 4, NA_LENGTH);
    ip[6] = IP_PROTO_ICMP6;
    ip[7] = 255; /* hop limit: receivers check that no router was between */
    memcpy(ip + 8, ip6, 16);
    memcpy(ip + 24, all_nodes, 16);
    na[0] = NA_TYPE;
    na[4] = NA_OVERRIDE;
    memcpy(na + 8, ip6, 16);
    na[24] = NA_OPTION_TARGET_MAC;
    na[25] = 1; /* times 8 bytes */
    memcpy(na + 26, mac, MAC_LEN);
    sum = (uint64_t)csum_fold(offload_pseudo_sum(ip, true, IP_PROTO_ICMP6, NA_LENGTH)) +
          csum_fold(csum_add(0, na, NA_LENGTH));
    folded = (uint16_t)~csum_fold(sum);
    memcpy(na + 2, &folded, 2);
    return ETH_HEADER + 40 + NA_LENGTH;
}
_Static_assert(ETH_HEADER + 40 + NA_LENGTH <= ANNOUNCE_MAX, "the advertisement fits");

static void send(struct port *port, const uint8_t *bytes, uint32_t len)
{
    struct frame frame = frame_of(bytes, len);

    switch_input(port, &frame);
}

unsigned announce_port(struct port *port)
{
    struct port_address address[PORT_ADDRESSES]; /* a copy: sending moves the entries about */
    unsigned count = port->nr_addresses;
    uint8_t bytes[ANNOUNCE_MAX];

    memcpy(address, port->address, sizeof(address));
    send(port, bytes, announce_rarp(bytes, port->mac));
    for (unsigned i = 0; i < count; i++)
        send(port, bytes,
             address[i].ip6 ? announce_na(bytes, port->mac, address[i].bytes)
                            : announce_arp(bytes, port->mac, address[i].bytes));
    return count + 1;
}

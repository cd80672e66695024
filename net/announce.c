/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the frames field by field: ARP and RARP (RFC 826, RFC 903), neighbour advertisement (RFC 4861, 4.4). */
#include "net/announce.h"

#include "host/clock.h"
#include "net/csum.h"
#include "net/ethernet.h"
#include "net/neighbour.h"
#include "net/offload.h"
#include "net/snoop.h"

#define NA_LENGTH (ND_OPTIONS + 8) /* with the option */

/* At the end of each frame that announce_port sends: a hypervisor that reads it knows that no guest has sent it. */
static const u8 mark[8] = { 'G', 'O', 'D', 'W', 'I', 'T', 'A', 'N' };

static u8 *header(u8 *out, const u8 *destination, const u8 *source, u16 type)
{
    memset(out, 0, ANNOUNCE_MAX);
    return frame_header(out, destination, source, type);
}

static u8 *arp_header(u8 *out, const u8 *mac, u16 type, u16 operation)
{
    u8 *arp = header(out, mac_broadcast, mac, type);

    be16_put(arp + ARP_HARDWARE, ARP_ETHERNET);
    be16_put(arp + ARP_PROTOCOL, ETH_TYPE_IP4);
    arp[ARP_LENGTHS] = MAC_LEN;
    arp[ARP_LENGTHS + 1] = 4;
    be16_put(arp + ARP_OPERATION, operation);
    memcpy(arp + ARP_SENDER_MAC, mac, MAC_LEN);
    return arp;
}

u32 announce_arp(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN], const u8 ip4[4])
{
    u8 *arp = arp_header(out, mac, ETH_TYPE_ARP, ARP_REQUEST);

    memcpy(arp + ARP_SENDER_IP, ip4, 4);
    memcpy(arp + ARP_TARGET_IP, ip4, 4);
    return ETH_MIN;
}

u32 announce_rarp(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN])
{
    u8 *rarp = arp_header(out, mac, ETH_TYPE_RARP, RARP_REQUEST);

    memcpy(rarp + ARP_TARGET_MAC, mac, MAC_LEN);
    return ETH_MIN;
}
_Static_assert(ETH_HEADER + ARP_LENGTH <= ETH_MIN && ETH_MIN <= ANNOUNCE_MAX, "ARP is padded");

u32 announce_na(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN], const u8 ip6[16], bool router)
{
    static const u8 all_nodes_mac[MAC_LEN] = { 0x33, 0x33, 0, 0, 0, 1 };
    static const u8 all_nodes[16] = { 0xFF, 0x02, [15] = 1 };
    u8 *ip = header(out, all_nodes_mac, mac, ETH_TYPE_IP6), *na = ip + IP6_HEADER;
    u64 sum;
    u16 folded;

    ip[0] = 0x60;
    be16_put(ip + 4, NA_LENGTH);
    ip[IP6_NEXT_HEADER] = IP_PROTO_ICMP6;
    ip[IP6_HOP_LIMIT] = ND_HOP_LIMIT; /* receivers check that no router was between */
    memcpy(ip + IP6_SOURCE, ip6, 16);
    memcpy(ip + IP6_DESTINATION, all_nodes, 16);
    na[0] = ND_ADVERTISEMENT;
    na[ND_FLAGS] = ND_OVERRIDE | (router ? ND_ROUTER : 0);
    memcpy(na + ND_TARGET, ip6, 16);
    na[ND_OPTIONS] = ND_OPTION_TARGET_MAC;
    na[ND_OPTIONS + 1] = 1; /* the option's length in units of 8 bytes */
    memcpy(na + ND_OPTIONS + 2, mac, MAC_LEN);
    sum = (u64)csum_fold(offload_pseudo_sum(ip, true, IP_PROTO_ICMP6, NA_LENGTH)) +
          csum_fold(csum_add(0, na, NA_LENGTH));
    folded = (u16)~csum_fold(sum);
    memcpy(na + ND_CSUM, &folded, 2);
    return ETH_HEADER + IP6_HEADER + NA_LENGTH;
}
_Static_assert(ETH_HEADER + IP6_HEADER + NA_LENGTH <= ANNOUNCE_MAX, "the advertisement fits");

/* Send the frame with the tags behind its addresses, and the mark at its end. */
static void send(struct port *port, const u8 *bytes, u32 len, const struct vlan_tags *tags)
{
    struct frame frame = { .part = { { bytes, ETH_TYPE },
                                     { tags->bytes, tags->len },
                                     { bytes + ETH_TYPE, len - ETH_TYPE },
                                     { mark, sizeof(mark) } },
                           .nr_parts = 4,
                           .len = len + tags->len + sizeof(mark) };

    headers_parse(&frame);
    switch_input(port, &frame);
}

static u32 build(u8 *out, const struct port_address *address)
{
    switch (address->kind) {
    case PORT_IP4: return announce_arp(out, address->mac, address->ip);
    case PORT_IP6: return announce_na(out, address->mac, address->ip, address->router);
    default: return announce_rarp(out, address->mac);
    }
}

unsigned announce_port(struct port *port)
{
    struct port_address own = { .kind = PORT_MAC }, address[PORT_ADDRESSES]; /* a copy: each frame is snooped, too */
    unsigned count = port->nr_addresses, sent = 1;
    u64 now = clock_ns();
    u8 bytes[ANNOUNCE_MAX];

    memcpy(own.mac, port->mac, MAC_LEN);
    memcpy(address, port->address, sizeof(address));
    send(port, bytes, build(bytes, &own), &own.tags);
    for (unsigned i = 0; i < count; i++) {
        if (!snoop_alive(&address[i], now))
            continue;
        send(port, bytes, build(bytes, &address[i]), &address[i].tags);
        sent++;
    }
    return sent;
}

/* Are these the headers of a kind of frame that announce_port sends? */
static bool may_announce(const struct headers *headers)
{
    return headers->type == ETH_TYPE_ARP || headers->type == ETH_TYPE_RARP ||
           (headers->neighbour == HEADERS_ND && headers->said[IP6_HEADER] == ND_ADVERTISEMENT);
}

bool announce_made(const struct frame *frame)
{
    u8 end[sizeof(mark)];

    return may_announce(&frame->headers) && frame->len >= ETH_MIN &&
           frame_read(frame, frame->len - sizeof(end), end, sizeof(end)) && memcmp(end, mark, sizeof(mark)) == 0;
}

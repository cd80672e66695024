/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/headers.h"

#include <string.h>

#include "net/ethernet.h"

/* Go over the tags, to the type behind them. False: the frame ends before. */
static bool parse_tags(const struct frame *frame, struct headers *h)
{
    struct vlan_tags *tags = &h->tags;
    u8 next[VLAN_TAG]; /* the tag's number, and the next type */

    while (frame_is_tag(h->type) && tags->len < sizeof(tags->bytes)) {
        if (!frame_read(frame, h->l3, next, sizeof(next)))
            return false;
        be16_put(tags->bytes + tags->len, h->type);
        tags->bytes[tags->len + 2] = next[0] & 0x0F; /* no priority, no drop eligibility (IEEE 802.1Q, 9.6) */
        tags->bytes[tags->len + 3] = next[1];
        tags->len += VLAN_TAG;
        h->type = be16_get(next + 2);
        h->l3 += VLAN_TAG;
    }
    return true;
}

static void parse_arp(const struct frame *frame, struct headers *h)
{
    static const u8 head[] = { 0, ARP_ETHERNET, ETH_TYPE_IP4 >> 8, ETH_TYPE_IP4 & 0xFF, MAC_LEN, 4 };

    if (frame_read(frame, h->l3, h->said, ARP_TARGET_MAC) && memcmp(h->said, head, sizeof(head)) == 0)
        h->neighbour = HEADERS_ARP;
}

static void parse_ip4(const struct frame *frame, struct headers *h)
{
    u8 ip[IP4_HEADER];

    if (!frame_read(frame, h->l3, ip, sizeof(ip)) || ip[0] >> 4 != 4)
        return;

    u32 len = (ip[0] & 15) * 4U;

    if (len < IP4_HEADER || len > frame->len - h->l3)
        return;
    h->ip = 4;
    h->protocol = ip[IP4_PROTOCOL];
    h->l4 = h->l3 + len;
}

/* Extension headers are not passed over: no machine puts one before neighbour discovery. */
static void parse_ip6(const struct frame *frame, struct headers *h)
{
    u8 ip[IP6_HEADER];

    if (!frame_read(frame, h->l3, ip, sizeof(ip)) || ip[0] >> 4 != 6)
        return;
    h->ip = 6;
    h->protocol = ip[IP6_NEXT_HEADER];
    h->l4 = h->l3 + IP6_HEADER;
    if (h->protocol == IP_PROTO_ICMP6 && ip[IP6_HOP_LIMIT] == ND_HOP_LIMIT &&
        frame_read(frame, h->l3, h->said, sizeof(h->said)))
        h->neighbour = HEADERS_ND;
}

void headers_parse(struct frame *frame)
{
    struct headers *h = &frame->headers;
    u8 ether[ETH_HEADER];

    *h = (struct headers){ 0 };
    if (frame->len > FRAME_MAX || !frame_read(frame, 0, ether, sizeof(ether)))
        return;
    memcpy(h->destination, ether, MAC_LEN);
    memcpy(h->source, ether + MAC_LEN, MAC_LEN);
    h->type = be16_get(ether + ETH_TYPE);
    h->l3 = ETH_HEADER;
    h->valid = parse_tags(frame, h);
    if (!h->valid)
        return;
    switch (h->type) {
    case ETH_TYPE_ARP: parse_arp(frame, h); break;
    case ETH_TYPE_IP4: parse_ip4(frame, h); break;
    case ETH_TYPE_IP6: parse_ip6(frame, h); break;
    default: break;
    }
}

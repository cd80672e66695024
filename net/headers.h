/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the headers of a frame say. headers_parse reads them once, where the frame comes in: from a guest's ring, from
 * the card, from lwIP, from another hypervisor (net/heard.h), or out of a port's store (net/hold.h). The result travels
 * with the frame, and nobody looks for a header again. Guests and strangers write frames, so each bound is checked
 * here, once. What a sender asks of its card (struct frame_offload) is no header: net/offload.h judges it. Pure.
 */
#pragma once

#include "host/types.h"
#include "net/neighbour.h"

#define MAC_LEN 6
#define VLAN_TAG 4 /* bytes of one */

struct frame;

/* VLAN tags as they stand in a frame, the outermost first, without priorities. */
struct vlan_tags {
    u8 len; /* 0, 4 or 8 */
    u8 bytes[2 * VLAN_TAG];
};

/* A protocol in which a machine says that it has an address. */
enum headers_neighbour { HEADERS_NO_NEIGHBOUR, HEADERS_ARP, HEADERS_ND };

struct headers {
    bool valid;  /* the frame has addresses, whole tags and a type; false: nothing below counts */
    u8 ip;       /* 4 or 6: version of the whole IP header at l3; 0: there is none */
    u8 protocol; /* of IP: what is at l4; of IPv6 perhaps an extension header */
    u16 type;    /* EtherType behind at most two tags: a third tag is taken for payload */
    u8 destination[MAC_LEN], source[MAC_LEN];
    struct vlan_tags tags;            /* between the MACs and the type */
    u32 l3;                           /* offset of what is behind the type */
    u32 l4;                           /* of IP: offset behind the header with IPv4's options; not beyond the frame */
    enum headers_neighbour neighbour; /* ARP of Ethernet and IPv4, or ICMPv6 from this link; the beginning in `said` */
    u8 said[IP6_HEADER +
            ND_OPTIONS]; /* ARP: the first ARP_TARGET_MAC bytes; ND: the IPv6 header, and all but options */
};

/* Fill frame->headers from the frame's bytes. */
void headers_parse(struct frame *frame);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of ARP (RFC 826), RARP (RFC 903) and neighbour discovery (RFC 4861), which join MACs and IP addresses. */
#pragma once

/* Offsets in an ARP packet of Ethernet and IPv4. */
#define ARP_HARDWARE 0
#define ARP_PROTOCOL 2
#define ARP_LENGTHS 4
#define ARP_OPERATION 6
#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP 14
#define ARP_TARGET_MAC 18
#define ARP_TARGET_IP 24
#define ARP_LENGTH 28

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define RARP_REQUEST 3

/* Offsets in an IPv6 header, and the hop limit of a packet that no router has forwarded. */
#define IP6_NEXT_HEADER 6
#define IP6_HOP_LIMIT 7
#define IP6_SOURCE 8
#define IP6_DESTINATION 24
#define IP6_HEADER 40
#define ND_HOP_LIMIT 255

/* ICMPv6 types, and offsets in solicitations and advertisements of neighbours. */
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_CSUM 2
#define ND_FLAGS 4
#define ND_TARGET 8
#define ND_OPTIONS 24

#define ND_ROUTER 0x80 /* flags of an advertisement */
#define ND_OVERRIDE 0x20
#define ND_OPTION_TARGET_MAC 2

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames that tell switches and neighbours where a MAC and its addresses are now. They are sent after a move and at the
 * start. The builders are pure; each fills `out` and returns the frame's length.
 */
#pragma once

#include "net/port.h"

#define ANNOUNCE_MAX 96

/* Gratuitous ARP: a request for our own address (RFC 5227, "ARP Announcement"). */
u32 announce_arp(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN], const u8 ip4[4]);

/* Unsolicited neighbour advertisement to all nodes, override set (RFC 4861, 7.2.6). If the advertisement of a router
 * does not say that it is a router, its neighbours stop using it as one (7.2.5). */
u32 announce_na(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN], const u8 ip6[16], bool router);

/* RARP request for our own MAC (RFC 903). It teaches switches where the MAC is, even if no IP address is known. */
u32 announce_rarp(u8 out[ANNOUNCE_MAX], const u8 mac[MAC_LEN]);

/*
 * Send RARP for the port's mac, and the right announcement for each address that lives behind the port (net/snoop.h).
 * The frames come in as if the port sent them, each with the VLAN tags and the MAC of its address. Returns the number
 * of frames. Host loop.
 */
unsigned announce_port(struct port *port);

/*
 * Was this frame made by announce_port, of this or another hypervisor? Only switches need to believe such a frame: the
 * neighbours of a guest that has moved reach it under the MAC that they know.
 */
bool announce_made(const struct frame *frame);

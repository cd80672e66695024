/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses behind a port, read from what it sends: a move must announce them elsewhere.
 *
 * An IP address is the guest's if it says so itself, in ARP or neighbour discovery, with the MAC that it sends from;
 * never because it sends packets from that address, which a router does with everybody's. It is so under the VLAN tags
 * that the guest said it with, until PORT_ADDRESS_AGE_NS after the last time, or until somebody else says to have it.
 * MACs beside the port's own (of a bridge in the guest), and its own under VLAN tags, are noted too. What announce_port
 * sends teaches nothing. Host loop.
 */
#pragma once

#include "net/port.h"

/* Learn from a frame that came in from `from` at `now`: what it has, and what other ports have no longer. */
void snoop(struct port *from, const struct frame *frame, uint64_t now);

/* Is it still worth an announcement? */
bool snoop_alive(const struct port_address *address, uint64_t now);

/* May a port have such an address? For those that come from another machine. */
bool snoop_valid(const struct port_address *address);

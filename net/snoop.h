/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The addresses behind a port, read from the frames that it sends: after a move they must be announced elsewhere.
 *
 * A guest has an IP address if the guest itself says so, in ARP or neighbour discovery, with the MAC that it sends
 * from. Packets from that address prove nothing: a router sends packets from everybody's. The guest has the address
 * under the VLAN tags of the frame that said so, until PORT_ADDRESS_AGE_NS after the last such frame, or until another
 * port says that it has the address. MACs beside the port's own (of a bridge in the guest), and the port's own under
 * VLAN tags, are noted, too. The frames of announce_port teach nothing. Host loop.
 */
#pragma once

#include "net/port.h"

/* Learn from a frame that came in from `from` at `now`: which addresses this port has, and other ports no longer. */
void snoop(struct port *from, const struct frame *frame, u64 now);

/* Has the address been seen lately enough to be announced? */
bool snoop_alive(const struct port_address *address, u64 now);

/* May a port have such an address? This judges addresses that come from another machine. */
bool snoop_valid(const struct port_address *address);

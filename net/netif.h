/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own interface: lwIP as a port of the switch.
 *
 * Frames from the switch are queued and given to lwIP by the next netif_port_poll(): lwIP answers at once, and the
 * answer must not reach a port that is still busy with the question. Host loop.
 */
#pragma once

#include "hv/lib/types.h"

struct config_net;
struct uplink;

/* Create the interface, join the switch and begin to get addresses. `uplink` may be NULL. Boot, after net_init. */
void netif_port_start(const struct config_net *config, const struct uplink *uplink);

/* Give queued frames to lwIP. True if some are left. */
bool netif_port_poll(void);

/* Our IPv4 address in network byte order, 0 before there is one; and our MAC. For reports. */
u32 netif_port_ip4(void);
const u8 *netif_port_mac(void);

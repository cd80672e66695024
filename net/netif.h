/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own interface: lwIP as a port of the switch.
 *
 * Frames from the switch are queued, and the next netif_port_poll() gives them to lwIP: lwIP answers at once, and the
 * answer must not reach a port that is still busy with the question. Host loop.
 */
#pragma once

#include "host/types.h"

struct config_net;
struct uplink;

/* Create the interface, join the switch and begin to get addresses. `uplink` may be NULL. Boot, after net_init. */
void netif_port_start(const struct config_net *config, const struct uplink *uplink);

/* Give queued frames to lwIP. True if some are left. */
bool netif_port_poll(void);

/*
 * Messages between the hypervisors of a link, without IP addresses: one says bytes in a broadcast frame of
 * ETH_TYPE_PEERS, and all others hear them. Guests can neither hear nor say such frames. `hear` gets the MAC from which
 * they came, and the bytes, perhaps with zeros behind them. Say nothing from within a port's deliver(). Without [net]
 * nothing is said. Lost frames are not said again.
 */
#define NETIF_PEERS_MAX 704 /* bytes that may be said */
typedef void netif_peers_fn(const u8 *mac, const u8 *bytes, size_t len);

void netif_peers_hear(netif_peers_fn *hear);
void netif_peers_say(const void *bytes, size_t len);

/* Does the configuration have [net]? */
bool netif_port_configured(void);

/* Our IPv4 address in network byte order, 0 before there is one; and our MAC. For reports. */
u32 netif_port_ip4(void);
const u8 *netif_port_mac(void);

/* Is this one of our own addresses (4 bytes, or 16 of IPv6)? */
bool netif_port_owns(const u8 *address, bool ip6);

/* How many ARP packets said that our address belongs to another machine. */
u64 netif_port_conflicts(void);

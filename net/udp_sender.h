/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams to one IPv4 server. Host loop. */
#pragma once

#include "host/types.h"

struct config_server;

/* Set the server. Once, after net_init. False: no memory. */
bool udp_sender_open(const struct config_server *server);

/* Can a datagram be sent now? There must be an address of our own and a route, and ARP must know the next hop's MAC,
 * because lwIP keeps only one packet while it asks for one. If the MAC is not known, ARP asks, once a second. */
bool udp_sender_ready(void);

/* Send one datagram, after udp_sender_ready; it may get lost on its way. False: the network does not take it now. */
bool udp_sender_send(const void *bytes, size_t len);

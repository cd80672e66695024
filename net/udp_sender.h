/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagrams to one IPv4 server. Host loop. */
#pragma once

#include "host/types.h"

struct config_server4;

/* Once, after net_init. False: no memory. */
bool udp_sender_open(const struct config_server4 *server);

/* Can a datagram be sent now? There must be an address of our own and a way, and ARP must know who takes it: lwIP keeps
 * only one packet while it asks. If it does not, it is asked, once a second at most. */
bool udp_sender_ready(void);

/* Send one; it may get lost, but not for want of readiness. False: the network does not take it now. */
bool udp_sender_send(const void *bytes, size_t len);

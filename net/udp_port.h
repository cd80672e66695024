/* SPDX-License-Identifier: BSD-2-Clause */
/* A UDP port of our own, on which this machine hears datagrams, and from which it sends them, over IPv4. Host loop. */
#pragma once

#include "net/tcp_address.h"

/* A datagram of `len` bytes has come. */
typedef void udp_port_fn(const struct tcp_address *from, const u8 *bytes, size_t len);

/* Open the port; `hear` gets datagrams of at most UDP_PORT_MAX bytes, others are dropped. Once, after net_init. False:
 * no memory. */
#define UDP_PORT_MAX 256
bool udp_port_open(u16 port, udp_port_fn *hear);

/* Send a datagram of at most UDP_PORT_MAX bytes. It may get lost on its way, as the first one to a machine often is
 * whose MAC is asked for. False: the network does not take it now. */
bool udp_port_say(const struct tcp_address *to, const void *bytes, size_t len);

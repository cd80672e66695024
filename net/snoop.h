/* SPDX-License-Identifier: BSD-2-Clause */
/* The IP addresses behind a port, read from what it sends: a move must announce them elsewhere. Pure. */
#pragma once

#include "net/port.h"

/* Note the addresses that `frame`, sent by the port's own mac, is from: ARP's sender, the source of IPv4 and IPv6. */
void snoop(struct port *port, const struct frame *frame);

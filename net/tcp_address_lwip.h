/* SPDX-License-Identifier: BSD-2-Clause */
/* An address as lwIP wants it; inside net/ only. */
#pragma once

#include <lwip/ip_addr.h>

#include "net/tcp_address.h"

ip_addr_t tcp_address_lwip(const struct tcp_address *address);

/* The other way; the port is 0. An IPv4 address that is written as one of IPv6 is that of IPv4. */
struct tcp_address tcp_address_of_lwip(const ip_addr_t *ip);

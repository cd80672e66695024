/* SPDX-License-Identifier: BSD-2-Clause */
/* An address as lwIP wants it; inside net/ only. */
#pragma once

#include <lwip/ip_addr.h>

#include "net/tcp_address.h"

ip_addr_t tcp_address_lwip(const struct tcp_address *address);

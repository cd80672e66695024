/* SPDX-License-Identifier: BSD-2-Clause */
/* The address of a TCP connection's other end, and how people write it. */
#pragma once

#include <string.h>

#include "host/types.h"

/* An address of either kind, in network byte order. */
struct tcp_address {
    bool ip6;
    u8 bytes[16]; /* IPv4: the first four */
    u16 port;
};

/* Who may be at the other end of a connection. */
enum tcp_trust {
    TCP_ANYBODY, /* neither end knows the other, and all is in the clear */
    TCP_CLIENTS, /* anybody, to whom we show our certificate (tls/certificate.h): nobody else can read what is said */
    TCP_PEERS,   /* hypervisors that have our key (tls/keyring.h): nobody can read or change what they say */
    TCP_SERVERS, /* to connect to: the server's certificate is one of our CA (tls/authority.h), and we show ours */
};

static inline bool tcp_address_equal(const struct tcp_address *a, const struct tcp_address *b)
{
    return a->ip6 == b->ip6 && a->port == b->port && !memcmp(a->bytes, b->bytes, a->ip6 ? 16 : 4);
}

/* "10.9.0.2", "fd09::2" or "[fd09::2]:4900", the port added unless it is 0. */
#define TCP_ADDRESS_TEXT 56
void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT]);

/* Read such a text, which names a machine: no group, and no address of loopback. `port` is used if the text names none.
 * Returns 0 or -EINVAL. */
int tcp_address_parse(const char *text, u16 port, struct tcp_address *address);

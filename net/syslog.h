/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's log, sent to a syslog server as RFC 5424 messages, one in each UDP datagram (RFC 5426). Host work reads
 * the log by the numbers of its lines, so code that logs never waits for the network. Lines from before the network was
 * there are sent when it is, if the log still has them. Lines that the log has overwritten meanwhile are counted, and
 * the server is told. UDP tells nobody about lost datagrams: each message has its line's number, so that a gap shows.
 */
#pragma once

#include "host/types.h"

struct config_server;
struct kept_line;

#define SYSLOG_MESSAGE 480 /* bytes at most; below what every receiver takes (RFC 5424, 6.1) */

/* Begin, if a server is configured (its port is not 0). Once, after net_init. */
void syslog_start(const struct config_server *server);

/* The line as a message into `out`, from a host of this IPv4 address (network byte order). Returns its length. */
size_t syslog_message(const struct kept_line *line, u32 ip4, char out[SYSLOG_MESSAGE]);

struct syslog_status {
    u8 address[4];
    u32 port;
    bool reachable;          /* there is a route, and ARP knows the MAC of the next hop */
    u64 sent, lost, waiting; /* lines: given to the network; overwritten before that; not sent yet */
};

/* For reports. False: no server is configured. Host loop. */
bool syslog_status(struct syslog_status *status);

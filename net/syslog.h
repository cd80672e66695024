/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's log, sent to a syslog server: RFC 5424 messages, one a UDP datagram (RFC 5426). Host work, which reads the
 * log by the numbers of its lines: nobody who logs waits for the network, and what was logged before there was a
 * network is sent when there is one, as far as the log has kept it. Lines that it has lost meanwhile are counted, and
 * the server is told. UDP tells nobody what gets lost on the way: messages have the line's number, so that a gap shows.
 */
#pragma once

#include "host/types.h"

struct config_server4;
struct log_record;

#define SYSLOG_MESSAGE 480 /* bytes at most; below what every receiver takes (RFC 5424, 6.1) */

/* Begin, if a server is configured (its port is not 0). Once, after net_init. */
void syslog_start(const struct config_server4 *server);

/* The line as a message into `out`, from a host of this IPv4 address (network byte order). Returns its length. */
size_t syslog_message(const struct log_record *record, u32 ip4, char out[SYSLOG_MESSAGE]);

struct syslog_status {
    u8 address[4];
    u32 port;
    bool reachable;          /* there is a way, and ARP knows who takes it */
    u64 sent, lost, waiting; /* lines: given to the network; overwritten before they could be; not sent yet */
};

/* For reports. False: no server is configured. Host loop. */
bool syslog_status(struct syslog_status *status);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls to lwIP that tcp_server.c and tcp_stream.c share; inside net/ only. */
#pragma once

#include <lwip/altcp.h>

#include "host/types.h"
#include "net/tcp_address.h"

struct tcp_stream;

/* altcp_poll's interval, in the slow timer's 2 * TCP_TMR_INTERVAL: twice a second. */
#define TCP_PCB_POLL 5
/* A connection that we have closed is reset after so many polls in which its peer took nothing: 30 s. */
#define TCP_PCB_LINGER 60

/* ms until the first retransmission: of a SYN (RFC 6298, 2.1), and of data before a round trip has been measured. */
#define TCP_PCB_RTO_SYN 1000
#define TCP_PCB_RTO_DATA 300

/* Listen on a port of all addresses; `accept` is called with `arg` for each connection of somebody who is trusted.
 * Returns 0, -EADDRINUSE or -ENOMEM. Host loop. */
int tcp_pcb_listen(u16 port, enum tcp_trust trust, void *arg, altcp_accept_fn accept);

/* A pcb that is to connect. NULL: no memory. Host loop. */
struct altcp_pcb *tcp_pcb_new(u8 ip_type, enum tcp_trust trust);

/* Set how long the pcb waits for an acknowledgement, in ms, until a round trip has been measured. lwIP begins with 3 s,
 * whatever its tick is, and takes a dozen round trips to forget that. Host loop. */
void tcp_pcb_set_rto(struct altcp_pcb *pcb, u16 ms);

/* Mark a connection of bulk data: a whole window may wait behind a gap (TCP_OOSEQ_BYTES_LIMIT). Host loop. */
void tcp_pcb_set_stream(struct altcp_pcb *pcb);

/* The address of a connection's own end, or of the other one. False: the connection is gone. Host loop. */
bool tcp_pcb_address(struct altcp_pcb *pcb, bool own, struct tcp_address *address);

/* Make a stream (tcp_stream.h) of a connection that was taken otherwise. `waiting` are bytes that were received and not
 * taken, `finished`: the peer will send no more; so many bytes are sent and not acknowledged. Returns NULL without
 * memory: all is as before. Host loop. */
struct tcp_stream *tcp_stream_adopt(struct altcp_pcb *pcb, struct pbuf *waiting, bool finished, size_t unacknowledged);

/* Free the empty pbufs of the queue that lwIP gives to a receiver, and return the others. A pbuf is empty if the header
 * filled the first fragment of its packet, or if its part of the segment has come before. Host loop. */
struct pbuf *tcp_pcb_filled(struct pbuf *p);

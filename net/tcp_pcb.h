/* SPDX-License-Identifier: BSD-2-Clause */
/* What tcp_server.c and tcp_stream.c have in common with lwIP; inside net/ only. */
#pragma once

#include <lwip/altcp.h>

/* altcp_poll's interval, in the slow timer's 2 * TCP_TMR_INTERVAL: twice a second. */
#define TCP_PCB_POLL 5
/* Polls until a connection that we have closed is reset, because its peer took nothing meanwhile: 30 s. */
#define TCP_PCB_LINGER 60

/* ms until the first retransmission: of a SYN (RFC 6298, 2.1), and of data before a round trip has been measured. */
#define TCP_PCB_RTO_SYN 1000
#define TCP_PCB_RTO_DATA 300

/* Listen on a port of all addresses; `accept` is called with `arg` for each connection. Returns 0, -EADDRINUSE or
 * -ENOMEM. Host loop. */
int tcp_pcb_listen(u16_t port, void *arg, altcp_accept_fn accept);

/* How long to wait for an acknowledgement, in ms, until a measured round trip says better. lwIP begins with 3 s,
 * whatever its tick, and takes a dozen round trips to forget it. Host loop. */
void tcp_pcb_set_rto(struct altcp_pcb *pcb, u16_t ms);

/* It carries bulk data: as much as its window may wait behind a gap (TCP_OOSEQ_BYTES_LIMIT). Host loop. */
void tcp_pcb_set_stream(struct altcp_pcb *pcb);

/* What lwIP gives to a receiver, without the pieces that hold nothing: of a segment whose header filled the first
 * fragment of its packet, or of which a part has come before, the bytes are behind such a one. Host loop. */
struct pbuf *tcp_pcb_filled(struct pbuf *p);

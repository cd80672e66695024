/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS as a layer of lwIP's altcp: a pcb that looks like a TCP connection to its owner, over the TCP connection's own
 * pcb. Both ends prove that they have a key of the keyring (tls/keyring.h), or who they are (TCP_SERVERS), or we alone
 * do (TCP_CLIENTS), before the owner hears of the connection: a client's `connected` and a server's `accept` are called
 * after the handshake. Inside net/ only. Host loop.
 *
 * The owner's bytes are encrypted from where they are, and never looked at again: `stable` memory is the owner's again
 * as soon as it has been written. Without a close_notify the end of a connection is an error: ERR_RST.
 */
#pragma once

#include <lwip/altcp.h>

#include "host/types.h"
#include "net/tcp_address.h"

/* The layer over a new pcb, which is to connect to TCP_PEERS or TCP_SERVERS. NULL: no memory; `inner` stays the
 * caller's.
 */
struct altcp_pcb *tls_pcb_new(struct altcp_pcb *inner, enum tcp_trust trust);

/* Does its handshake go on? */
bool tls_pcb_shakes(const struct altcp_pcb *pcb);

/* While the owner's `err` is called: what the handshake has come to, an -errno of handshake_step or -ETIMEDOUT. 0: it
 * is over, or has not begun; or the pcb has no such layer. */
int tls_pcb_refused(const struct altcp_pcb *pcb);

/* The connections of `listener`, of TCP_PEERS or TCP_CLIENTS, get the layer: `accept` is called with `arg` and the new
 * pcb. Returns 0 or -ENOMEM. */
int tls_pcb_listen(struct altcp_pcb *listener, enum tcp_trust trust, void *arg, altcp_accept_fn accept);

/* The name that a client has said, and that its key allows; "": we are the client; NULL: the pcb has no such layer. */
const char *tls_pcb_peer(const struct altcp_pcb *pcb);

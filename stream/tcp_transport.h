/* SPDX-License-Identifier: BSD-2-Clause */
/* A migration's transport over a TCP stream of net/. Host loop. */
#pragma once

#include "net/tcp_address.h"
#include "stream/transport.h"

struct tcp_stream;

/* The stream belongs to the transport from now on. */
struct transport tcp_transport(struct tcp_stream *stream);

/* How hypervisors know each other: by their keys if this one has a keyring, and not at all without one. */
enum tcp_trust tcp_transport_trust(void);

/* Does the configuration say that connections may be in the clear (`insecure` of [migration])? Boot. */
void tcp_transport_insecure(bool meant);

/* May a connection to this address be opened: is it another machine's, by keys, unless it is meant that there are none,
 * and, where the keyring names peers, that of one? Returns true, or false with *why, in words that hold until the next
 * call. */
bool tcp_transport_may(const struct tcp_address *to, const char **why);

/* Open a connection. Returns 0 and *transport; -EAGAIN: not yet, call again; -EADDRNOTAVAIL: there may be none
 * (tcp_transport_may); or another -errno. *connecting, NULL at first, is the stream until then; a caller that gives up
 * aborts that stream. */
int tcp_transport_dial(const struct tcp_address *to, struct tcp_stream **connecting, struct transport *transport);

/* Who has opened this connection, as ADDRESS:PORT, or NAME@ADDRESS:PORT if it is a peer with a key of its own. The log
 * says so, too, if it has any key. */
void tcp_transport_peer(const struct tcp_stream *stream, char *text, size_t room);

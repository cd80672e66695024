/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP connections for bulk data, opened from either end, for the rooms above net/, which don't see lwIP: calls that
 * never block, no callbacks. Whoever waits for something is in the host loop, which turns when frames have come. Host
 * loop only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/tcp_address.h"

struct tcp_stream;

/*
 * Take connections to a port of all addresses: `accepted` is given each, which is then its own. Returns 0, -EADDRINUSE
 * or -ENOMEM.
 */
int tcp_stream_listen(uint16_t port, void (*accepted)(struct tcp_stream *stream));

/* Begin to connect: 0 and *stream, which takes bytes when it is there; -EHOSTUNREACH: no route; -ENOMEM. */
int tcp_stream_connect(const struct tcp_address *to, struct tcp_stream **stream);

/* Is it there? 0; -EAGAIN: not yet; another -errno: it failed, or has ended. */
int tcp_stream_state(const struct tcp_stream *stream);

/*
 * Send from bytes[0..len): returns how many were taken, more than 0; -EAGAIN: no room now; or another -errno: the
 * connection is gone. `stable` memory is not copied: it must exist, whatever is in it, until the peer has said that it
 * got it, or tcp_stream_abort_lingering. It leaves at the latest with tcp_stream_push_all, so that what is said in one
 * turn of the host loop shares segments.
 */
long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable);
void tcp_stream_push_all(void);

/* Has the peer acknowledged all that was sent? False for one that is gone. */
bool tcp_stream_drained(const struct tcp_stream *stream);

/* Take up to len bytes: how many, more than 0; -EAGAIN: none now; -EPIPE: the peer has closed, and all has been taken;
 * another -errno: it is gone. */
long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len);

/* Whom it leads to. False: it is gone. */
bool tcp_stream_peer(const struct tcp_stream *stream, struct tcp_address *peer);

/* Done with it: what it has taken is still sent, then it closes; and at once, by a reset. `stream` is gone. */
void tcp_stream_close(struct tcp_stream *stream);
void tcp_stream_abort(struct tcp_stream *stream);

/* Reset those that are closed but not through with sending: they let go of stable memory. */
void tcp_stream_abort_lingering(void);

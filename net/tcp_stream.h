/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TCP connections for bulk data, opened from either end, for the rooms above net/, which don't see lwIP. The calls
 * never block, and there are no callbacks: a caller that waits for something asks again in its next turn of the host
 * loop, which runs when frames have come. Host loop only.
 */
#pragma once

#include "host/types.h"
#include "net/tcp_address.h"

struct tcp_stream;

/*
 * Take connections to a port of all addresses: `accepted` is given each stream, of TCP_PEERS once the peer has proved
 * its key, and owns it from then on. Returns 0, -EADDRINUSE or -ENOMEM.
 */
int tcp_stream_listen(u16 port, enum tcp_trust trust, void (*accepted)(struct tcp_stream *stream));

/* This host is one of ours: strangers do not keep it from connecting to us. */
void tcp_stream_expect(const struct tcp_address *host);

/* Begin to connect. Returns 0 and *stream, which takes bytes once it is connected; -EHOSTUNREACH: no route; -ENOMEM. */
int tcp_stream_connect(const struct tcp_address *to, enum tcp_trust trust, struct tcp_stream **stream);

/* The stable memory that the stream will send belongs to `lender`, anything that tells owners of memory apart. */
void tcp_stream_lend(struct tcp_stream *stream, const void *lender);

/* Is the stream connected? 0: yes; -EAGAIN: not yet; another -errno: it failed, or has ended. Of TCP_PEERS and
 * TCP_SERVERS that may be one of handshake_step (tls/handshake.h): -EACCES, for one: the peer has no key in common with
 * us.
 */
int tcp_stream_state(const struct tcp_stream *stream);

/* Is it still connecting, but the other end has been reached, so that only the handshake of TLS is to come? */
bool tcp_stream_shakes(const struct tcp_stream *stream);

/*
 * Send from bytes[0..len). Returns how many were taken, more than 0; -EAGAIN: no room now; or another -errno: the
 * connection is gone. `stable` memory is not copied: it must exist, though its contents may change, until the peer has
 * acknowledged it or until tcp_stream_abort_lingering of its lender. The bytes leave with tcp_stream_push_all at the
 * latest, so that all calls of one turn of the host loop share segments.
 */
long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable);
void tcp_stream_push_all(void);

/* How many of the bytes that were sent has the peer not acknowledged? The number stays if the connection is gone. */
size_t tcp_stream_unacknowledged(const struct tcp_stream *stream);

/* Take up to len bytes. Returns how many, more than 0; -EAGAIN: none now; -EPIPE: the peer has closed, and all bytes
 * have been taken; another -errno: the connection is gone. */
long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len);

/* The address of the other end. False: the connection is gone. */
bool tcp_stream_peer(const struct tcp_stream *stream, struct tcp_address *peer);

/* The name of a peer that has connected to us, which its key allows; NULL: it could be anybody. */
const char *tcp_stream_peer_name(const struct tcp_stream *stream);

/* The owner is done with the stream: after either call `stream` is gone. close still sends the bytes that were taken,
 * and then closes; a stream that is not connected yet it resets. abort resets at once. */
void tcp_stream_close(struct tcp_stream *stream);
void tcp_stream_abort(struct tcp_stream *stream);

/* Reset the streams that are closed but still refer to stable memory of this lender, because not all of it has been
 * acknowledged. Streams with the memory of others go on. */
void tcp_stream_abort_lingering(const void *lender);

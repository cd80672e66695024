/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP server for the rooms above net/, which don't see lwIP. Host loop only.
 *
 * A connection belongs to its application from opened() until closed() is called or the application calls
 * tcp_conn_close or tcp_conn_abort, both of which may happen inside a callback; afterwards `conn` must not be used.
 * Received bytes that the application does not take stay with the connection and close its window.
 */
#pragma once

#include "host/types.h"
#include "net/tcp_address.h"

struct tcp_conn;
struct tcp_stream;

struct tcp_server_ops {
    /* A connection has come. Returns the application's context for it, or NULL to refuse it. */
    void *(*opened)(struct tcp_conn *conn);
    /* Bytes have come. Returns how many the application takes; the others are offered again with later ones, or by
     * tcp_conn_receive. */
    size_t (*received)(void *ctx, const void *data, size_t len);
    /* There is room to send again. */
    void (*writable)(void *ctx);
    /* The peer has closed or is gone: the connection has ended. Never called inside a call of the application. */
    void (*closed)(void *ctx);
};

/* Listen on a port of all addresses, for TCP_ANYBODY or TCP_CLIENTS. Returns 0, -EADDRINUSE or -ENOMEM. `ops` stays
 * valid. */
int tcp_server_start(u16 port, enum tcp_trust trust, const struct tcp_server_ops *ops);

/* The address of the other end. False: the connection is gone. */
bool tcp_conn_peer(const struct tcp_conn *conn, struct tcp_address *peer);

/* Send: copy as many bytes as there is room for. Returns how many. */
size_t tcp_conn_write(struct tcp_conn *conn, const void *data, size_t len);

/* Offer the bytes again that received() did not take. */
void tcp_conn_receive(struct tcp_conn *conn);

/* Make a stream (tcp_stream.h) of the connection, for bulk data: `passed` is called with it, now or when the callback
 * that is running is over, and `conn` is gone then. Bytes that were not taken wait in the stream. NULL: there was no
 * memory, and the connection is reset. If the peer has gone before, closed() is called instead. */
void tcp_conn_pass(struct tcp_conn *conn, void (*passed)(void *ctx, struct tcp_stream *stream));

/* Close the connection once all is sent. Bytes that the peer still sends are thrown away, so that the peer can read our
 * last ones; if it takes none of them for 30 s, the connection is reset. */
void tcp_conn_close(struct tcp_conn *conn);

/* Reset the connection. */
void tcp_conn_abort(struct tcp_conn *conn);

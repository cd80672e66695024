/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TCP server for the rooms above net/, which don't see lwIP. Host loop only.
 *
 * A connection belongs to its application from opened() until closed() is called or the application calls
 * tcp_conn_close or tcp_conn_abort, both of which may happen inside a callback; afterwards `conn` must not be used.
 * Received bytes that the application does not take stay with the connection and close its window.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tcp_conn;

struct tcp_server_ops {
    /* A connection has come: the application's context for it, or NULL to refuse it. */
    void *(*opened)(struct tcp_conn *conn);
    /* Bytes have come. Returns how many it takes; the others are offered again with later ones, or by tcp_conn_receive.
     */
    size_t (*received)(void *ctx, const void *data, size_t len);
    /* There is room to send again. */
    void (*writable)(void *ctx);
    /* The peer has closed or gone: the connection is no more. Never called inside a call of the application. */
    void (*closed)(void *ctx);
};

/* Listen on a port of all addresses. Returns 0, -EADDRINUSE or -ENOMEM. `ops` stays valid. */
int tcp_server_start(uint16_t port, const struct tcp_server_ops *ops);

/* Send: copies as many bytes as there is room for and returns how many. */
size_t tcp_conn_write(struct tcp_conn *conn, const void *data, size_t len);

/* Offer the bytes again that received() did not take. */
void tcp_conn_receive(struct tcp_conn *conn);

/* Close once all is sent. What the peer still sends is thrown away, so that it can read our last words; one that takes
 * none of them for 30 s is reset. */
void tcp_conn_close(struct tcp_conn *conn);

/* Reset it. */
void tcp_conn_abort(struct tcp_conn *conn);

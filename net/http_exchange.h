/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request to an HTTP server and its answer, over a connection that no other request uses meanwhile. Then the
 * connection waits for the next one: a handshake of TLS costs more than a request. One that has waited may have ended
 * without a word; if that shows, the request is sent again over a new one. It has no clock: its owner ends what takes
 * too long. Host loop.
 */
#pragma once

#include "net/tcp_address.h"
#include "net/http_answer.h"

struct tcp_stream;

#define HTTP_KEPT 4 /* connections to a server that wait */

struct http_server {
    struct tcp_address address;
    enum tcp_trust trust; /* TCP_ANYBODY or TCP_SERVERS */
    const char *verdict;  /* why the last handshake failed for which nobody waited; NULL: none since an answer */
    unsigned count;
    struct tcp_stream *kept[HTTP_KEPT]; /* the first `count`; the one that was used last is the last */
};

struct http_exchange {
    struct http_server *server;  /* of the owner's; NULL: nothing was begun */
    struct tcp_stream *stream;   /* NULL: there is no connection */
    bool waited;                 /* it was there before this request */
    bool given;                  /* a byte of the request has been given to a connection, this one or one before */
    const char *request;         /* its owner's, until it is over */
    size_t len, sent;            /* of the request: bytes, and those that the connection has taken */
    char bytes[HTTP_ANSWER_MAX]; /* of the answer */
    size_t got;                  /* so many of them have come */
    struct http_answer answer;
    const char *fault; /* why it failed, in words; NULL: it has not */
};

enum http_progress { HTTP_WAITS, HTTP_ANSWERED, HTTP_FAILED };

/* Begin to send request[0..len) to the server. What was begun before is over. */
void http_exchange_begin(struct http_exchange *exchange, struct http_server *server, const char *request, size_t len);

/*
 * Do all that can be done now without waiting. HTTP_ANSWERED: `answer` and the bytes behind its head are the server's.
 * HTTP_FAILED: `fault` says why. If a byte was given, it is not known whether the server has done what it was asked.
 */
enum http_progress http_exchange_step(struct http_exchange *exchange);

/*
 * Why it will probably come to nothing, in words, when the request is still in a handshake: one before it took longer
 * than its request had, and failed so. NULL: nothing like that is known.
 */
const char *http_exchange_doubt(const struct http_exchange *exchange);

/* Whatever was begun is over. A connection in its handshake goes on with that, for the next request; any other is
 * reset.
 */
void http_exchange_abort(struct http_exchange *exchange);

/* The same for a request that took too long. If its connection had waited for it, what is between may have forgotten
 * the server's connections: the others that wait are reset, too. */
void http_exchange_late(struct http_exchange *exchange);

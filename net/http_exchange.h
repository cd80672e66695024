/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request to an HTTP server and its answer, over a connection of their own: one that was kept from an earlier request
 * may have ended without a word, which shows only when no answer comes. It has no clock: its owner ends what takes too
 * long. Host loop.
 */
#pragma once

#include "net/tcp_address.h"
#include "net/http_answer.h"

struct tcp_stream;

struct http_exchange {
    struct tcp_stream *stream;   /* NULL: there is no connection */
    const char *request;         /* its owner's, until it is over */
    size_t len, sent;            /* of the request: bytes, and those that the connection has taken */
    char bytes[HTTP_ANSWER_MAX]; /* of the answer */
    size_t got;                  /* so many of them have come */
    struct http_answer answer;
    const char *fault; /* why it failed, in words; NULL: it has not */
};

enum http_progress { HTTP_WAITS, HTTP_ANSWERED, HTTP_FAILED };

/* Begin to send request[0..len) to the server, one of TCP_ANYBODY or TCP_SERVERS. What was begun before is over. */
void http_exchange_begin(struct http_exchange *exchange, const struct tcp_address *server, enum tcp_trust trust,
                         const char *request, size_t len);

/*
 * Do all that can be done now without waiting. HTTP_ANSWERED: `answer` and the bytes behind its head are the server's.
 * HTTP_FAILED: `fault` says why. If a byte was sent, it is not known whether the server has done what it was asked.
 */
enum http_progress http_exchange_step(struct http_exchange *exchange);

/* Reset the connection if there is one: whatever was begun is over. */
void http_exchange_abort(struct http_exchange *exchange);

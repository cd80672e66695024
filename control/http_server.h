/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP/1.1 over net/tcp_server: connections, their limits and their time-outs. api.c makes the answers.
 *
 * A client gets one answer at a time; what the client sends meanwhile waits in its connection's window. Host loop only.
 */
#pragma once

#include "control/buffer.h"
#include "host/types.h"
#include "net/tcp_address.h"

struct http_request;
struct tcp_stream;

#define HTTP_CLIENTS 16       /* connections served at once: the oldest idle one gives way; none is idle: 503 */
#define HTTP_STRANGERS 8      /* of these, strangers (not yet accepted by the handler): the oldest gives way */
#define HTTP_WAITERS 8        /* of these, such as wait for something to happen: the oldest gives way ... */
#define HTTP_WAITED_MS 1000   /* ... when it has waited so long; before: 429 */
#define HTTP_REQUEST_MS 10000 /* for a request to arrive whole; longer: 408 */
#define HTTP_IDLE_MS 30000    /* between requests; longer: closed */
#define HTTP_SEND_MS 30000    /* without any progress of an answer; longer: reset */

/* Takes a connection over from HTTP, when what the response says has been sent: bytes[0..len) of the request's body
 * have come already, the others come from the stream. NULL: the client has gone, or there was no memory. */
typedef void http_taker(void *ctx, struct tcp_stream *stream, const char *bytes, size_t len);

struct http_response {
    int status;       /* with a taker: 0: nothing is said; else the taker sends the body */
    const char *type; /* of the content */
    char fields[160]; /* further header fields; each ends with CRLF */
    bool stranger;    /* nobody knows who the client is: the connection ends */
    struct buffer body;
    http_taker *taker; /* not NULL: it has the connection from now on. Called once */
    void *taker_ctx;
    u32 wait_ms; /* not 0: no answer yet; the handler is asked again for so long, the last time with `last` */
};

/* Answer a request: fill *response, which is zeroed. A body longer than HTTP_BODY_MAX is not awaited: it is
 * for a taker, or refused. `last`: do not set wait_ms any more. A client is known from its first request
 * on that is no stranger's: the limit for strangers then no longer counts for it. */
typedef void http_handler(const struct http_request *request, const char *body, bool last,
                          struct http_response *response);

/* Listen, for TCP_ANYBODY or, by HTTPS, TCP_CLIENTS. Returns 0 or tcp_server_start's error. Call it once; it adds
 * nothing to the host loop. */
int http_server_start(u16 port, enum tcp_trust trust, http_handler *handler);

/* Part of host work: time-outs and requests that wait. Returns the host TSC of the next call. */
u64 http_server_poll(void);

/* Put the head of an answer that is followed by its body, or (len ~0) by bytes until the connection ends. Another
 * answer may come after it if `keep_alive`. */
void http_put_head(struct buffer *out, const struct http_response *response, u64 len, bool keep_alive);

/* Fill a response with {"error": text}. */
void http_refuse(struct http_response *response, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/http_exchange.h"

#include <errno.h>
#include <string.h>

#include "net/tcp_stream.h"

void http_exchange_abort(struct http_exchange *exchange)
{
    if (exchange->stream)
        tcp_stream_abort(exchange->stream);
    exchange->stream = NULL;
}

static enum http_progress fail(struct http_exchange *exchange, const char *fault)
{
    http_exchange_abort(exchange);
    exchange->fault = fault;
    return HTTP_FAILED;
}

static const char *words(long err)
{
    switch (err) {
    case -ECONNREFUSED: return "refuses connections: does etcd listen on this address?";
    case -EHOSTUNREACH: return "there is no route to it";
    case -ENOMEM: return "no memory for a connection";
    case -EPIPE: return "closed the connection without an answer";
    case -EINVAL: return "has no server's certificate that our CA has made";
    case -ESTALE: return "its certificate has expired, or is not valid yet, by our clock";
    case -EPERM: return "its certificate is not for this address";
    case -EOPNOTSUPP: return "asks for no certificate of ours, so that anybody could change what it holds";
    case -EACCES: return "refuses our certificate, the one of [api]";
    case -EPROTO: return "speaks no TLS 1.2 by ECDHE-ECDSA-CHACHA20-POLY1305";
    case -ETIMEDOUT: return "does not complete its handshake";
    default: return "broke the connection off";
    }
}

void http_exchange_begin(struct http_exchange *exchange, const struct tcp_address *server, enum tcp_trust trust,
                         const char *request, size_t len)
{
    int err;

    exchange->request = request;
    exchange->len = len;
    exchange->sent = exchange->got = 0;
    exchange->fault = NULL;
    http_exchange_abort(exchange);
    err = tcp_stream_connect(server, trust, &exchange->stream);
    if (err) {
        exchange->stream = NULL;
        exchange->fault = words(err);
    }
}

/* Send what there is room for. Returns 0 or -errno. */
static long send(struct http_exchange *exchange)
{
    while (exchange->sent < exchange->len) {
        long n = tcp_stream_send(exchange->stream, exchange->request + exchange->sent, exchange->len - exchange->sent,
                                 false);

        if (n < 0)
            return n == -EAGAIN ? 0 : n;
        exchange->sent += (size_t)n;
    }
    return 0;
}

/* What has come makes a whole answer, or none yet, or it never will. */
static enum http_progress judge(struct http_exchange *exchange)
{
    struct http_answer *answer = &exchange->answer;

    *answer = http_answer_parse(exchange->bytes, exchange->got);
    if (answer->fault)
        return fail(exchange, answer->fault);
    if (!answer->head || exchange->got < answer->head + answer->body)
        return HTTP_WAITS;
    if (exchange->got > answer->head + answer->body || exchange->sent < exchange->len)
        return fail(exchange, "says more than it was asked");
    tcp_stream_close(exchange->stream);
    exchange->stream = NULL;
    return HTTP_ANSWERED;
}

enum http_progress http_exchange_step(struct http_exchange *exchange)
{
    enum http_progress progress = HTTP_WAITS;
    int state;
    long n;

    if (!exchange->stream)
        return HTTP_FAILED;
    state = tcp_stream_state(exchange->stream);
    if (state == -EAGAIN)
        return HTTP_WAITS;
    n = state ? 0 : send(exchange);
    while (progress == HTTP_WAITS && n >= 0) {
        n = tcp_stream_receive(exchange->stream, exchange->bytes + exchange->got,
                               sizeof(exchange->bytes) - exchange->got);
        if (n > 0) {
            exchange->got += (size_t)n;
            progress = judge(exchange);
        }
    }
    return progress == HTTP_WAITS && n != -EAGAIN ? fail(exchange, words(n)) : progress;
}

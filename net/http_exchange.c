/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/http_exchange.h"

#include <errno.h>

#include "net/tcp_stream.h"

static struct tcp_stream *kept_take(struct http_server *server, unsigned at)
{
    struct tcp_stream *stream = server->kept[at];

    server->count--;
    for (; at < server->count; at++)
        server->kept[at] = server->kept[at + 1];
    return stream;
}

static void keep(struct http_server *server, struct tcp_stream *stream)
{
    if (server->count < HTTP_KEPT)
        server->kept[server->count++] = stream;
    else
        tcp_stream_close(stream);
}

/* Nothing may come that was not asked for. */
static bool is_usable(struct tcp_stream *stream)
{
    char byte;

    return tcp_stream_shakes(stream) || (!tcp_stream_state(stream) && tcp_stream_receive(stream, &byte, 1) == -EAGAIN);
}

/* What a handshake has found out about the server. NULL: the error is not of that kind. */
static const char *verdict(long err)
{
    switch (err) {
    case -EINVAL: return "has no server's certificate that our CA has made";
    case -ESTALE: return "its certificate has expired, or is not valid yet, by our clock";
    case -EPERM: return "its certificate is not for this address";
    case -EOPNOTSUPP: return "asks for no certificate of ours, so that anybody could change what it holds";
    case -EACCES: return "refuses our certificate, the one of [api]";
    case -EPROTO: return "speaks no TLS 1.2 by ECDHE-ECDSA-CHACHA20-POLY1305";
    default: return NULL;
    }
}

/* A connection that is of no use. If its handshake has found out why, the next question that waits in vain says so. */
static void drop(struct http_server *server, struct tcp_stream *stream)
{
    const char *why = verdict(tcp_stream_state(stream));

    if (why)
        server->verdict = why;
    tcp_stream_abort(stream);
}

/* The connection that has waited for longest, rather than one in its handshake; so each is in use now and then, and who
 * is between does not forget it. NULL: there is none. */
static struct tcp_stream *take(struct http_server *server)
{
    unsigned first = 0;

    for (unsigned i = server->count; i-- > 0;)
        if (!is_usable(server->kept[i]))
            drop(server, kept_take(server, i));
    while (first < server->count && tcp_stream_state(server->kept[first]))
        first++;
    return server->count ? kept_take(server, first < server->count ? first : 0) : NULL;
}

void http_exchange_abort(struct http_exchange *exchange)
{
    if (exchange->stream && tcp_stream_shakes(exchange->stream))
        keep(exchange->server, exchange->stream);
    else if (exchange->stream)
        tcp_stream_abort(exchange->stream);
    exchange->stream = NULL;
}

void http_exchange_late(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;

    for (unsigned i = exchange->waited ? server->count : 0; i-- > 0;)
        if (!tcp_stream_shakes(server->kept[i]))
            tcp_stream_abort(kept_take(server, i));
    http_exchange_abort(exchange);
}

const char *http_exchange_doubt(const struct http_exchange *exchange)
{
    return exchange->stream && tcp_stream_shakes(exchange->stream) ? exchange->server->verdict : NULL;
}

static enum http_progress fail(struct http_exchange *exchange, const char *fault)
{
    http_exchange_abort(exchange);
    exchange->fault = fault;
    return HTTP_FAILED;
}

static const char *words(long err)
{
    const char *why = verdict(err);

    if (why)
        return why;
    switch (err) {
    case -ECONNREFUSED: return "refuses connections: does etcd listen on this address?";
    case -EHOSTUNREACH: return "there is no route to it";
    case -ENOMEM: return "no memory for a connection";
    case -EPIPE: return "closed the connection without an answer";
    case -ETIMEDOUT: return "does not complete its handshake";
    default: return "broke the connection off";
    }
}

/* Begin with a new connection; without one `fault` says why. */
static void open_new(struct http_exchange *exchange)
{
    int err = tcp_stream_connect(&exchange->server->address, exchange->server->trust, &exchange->stream);

    exchange->sent = exchange->got = 0;
    exchange->waited = false;
    if (!err)
        return;
    exchange->stream = NULL;
    exchange->fault = words(err);
}

void http_exchange_begin(struct http_exchange *exchange, struct http_server *server, const char *request, size_t len)
{
    http_exchange_abort(exchange);
    exchange->server = server;
    exchange->request = request;
    exchange->len = len;
    exchange->sent = exchange->got = 0;
    exchange->given = false;
    exchange->fault = NULL;
    exchange->stream = take(server);
    exchange->waited = exchange->stream && !tcp_stream_state(exchange->stream);
    if (!exchange->stream)
        open_new(exchange);
}

/* The connection is gone. If it had waited, the server may have been started anew meanwhile: then the others that wait
 * are gone, too. */
static enum http_progress gone(struct http_exchange *exchange, long err)
{
    struct http_server *server = exchange->server;

    if (err == -EPIPE && server->trust == TCP_ANYBODY && !exchange->waited)
        return fail(exchange, "closed the connection without an answer: does it speak HTTPS?");
    if (!exchange->waited || exchange->got > 0)
        return fail(exchange, words(err));
    http_exchange_abort(exchange);
    while (server->count > 0)
        tcp_stream_abort(kept_take(server, 0));
    open_new(exchange);
    return exchange->stream ? HTTP_WAITS : HTTP_FAILED;
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
        exchange->given = true;
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
    if (answer->closes)
        tcp_stream_close(exchange->stream);
    else
        keep(exchange->server, exchange->stream);
    exchange->stream = NULL;
    exchange->server->verdict = NULL;
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
    return progress == HTTP_WAITS && n != -EAGAIN ? gone(exchange, n) : progress;
}

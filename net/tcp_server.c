/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_server.h over lwIP's altcp: a connection of TLS looks the same from here.
 *
 * A connection's struct lives until its pcb is gone. lwIP must be told by ERR_ABRT when a pcb is aborted inside one of
 * its callbacks, so an abort asked for in there is carried out at the callback's end.
 */
#include "net/tcp_server.h"

#include <stdlib.h>

#include <lwip/altcp.h>

#include "host/context.h"
#include "net/tcp_pcb.h"
#include "tls/wipe.h"

#define WAITING_MAX 32768 /* bytes that an application may leave waiting; a peer that sends more is reset */

struct tcp_conn {
    struct altcp_pcb *pcb;
    const struct tcp_server_ops *ops;
    void *ctx;             /* NULL: the application has let go of it */
    struct pbuf *waiting;  /* bytes that were received and not taken */
    bool finished;         /* the peer will send no more */
    bool doomed;           /* to be aborted */
    bool offering;         /* received() is running */
    unsigned inside;       /* callbacks of lwIP that are running */
    unsigned lingered;     /* polls since the application closed it, or its peer took something */
    size_t unacknowledged; /* bytes that lwIP keeps */
    void (*passed)(void *ctx, struct tcp_stream *stream); /* of tcp_conn_pass; NULL: it stays */
};

/* Throw away what waits. It may be a token, or keys. */
static void waste(struct tcp_conn *conn)
{
    for (struct pbuf *p = conn->waiting; p; p = p->next)
        wipe(p->payload, p->len);
    if (conn->waiting)
        pbuf_free(conn->waiting);
    conn->waiting = NULL;
}

static void conn_free(struct tcp_conn *conn)
{
    waste(conn);
    free(conn);
}

/* Remove our callbacks from the pcb, then close or abort it. The struct is freed. */
static void conn_end(struct tcp_conn *conn, bool abort)
{
    struct altcp_pcb *pcb = conn->pcb;

    altcp_arg(pcb, NULL);
    altcp_recv(pcb, NULL);
    altcp_sent(pcb, NULL);
    altcp_err(pcb, NULL);
    altcp_poll(pcb, NULL, 0);
    if (abort || altcp_close(pcb) != ERR_OK)
        altcp_abort(pcb);
    conn_free(conn);
}

/* Offer the waiting bytes to the application, until it takes no more. */
static void offer(struct tcp_conn *conn)
{
    if (conn->offering)
        return; /* our caller's caller goes on */
    conn->offering = true;
    while (conn->waiting && conn->ctx && !conn->passed) {
        struct pbuf *p = conn->waiting;
        size_t taken = conn->ops->received(conn->ctx, p->payload, p->len);

        /* The application took nothing; or it closed the connection, and all bytes were thrown away. */
        if (!taken || !conn->waiting)
            break;
        wipe(p->payload, taken); /* it may be a token, or keys */
        altcp_recved(conn->pcb, (u16)taken);
        conn->waiting = pbuf_free_header(p, (u16)taken);
    }
    conn->offering = false;
}

static void discard(struct tcp_conn *conn)
{
    for (struct pbuf *p = conn->waiting; p; p = p->next)
        altcp_recved(conn->pcb, p->len);
    waste(conn);
}

/* The peer sends no more, and the application has taken all bytes. */
static void peer_closed(struct tcp_conn *conn)
{
    void *ctx = conn->ctx;

    conn->ctx = NULL;
    if (ctx)
        conn->ops->closed(ctx);
}

/* It becomes a stream. False: it had to be aborted instead. */
static bool pass(struct tcp_conn *conn)
{
    struct tcp_stream *stream = tcp_stream_adopt(conn->pcb, conn->waiting, conn->finished, conn->unacknowledged);
    void (*passed)(void *ctx, struct tcp_stream *stream) = conn->passed;
    void *ctx = conn->ctx;

    if (stream) {
        conn->waiting = NULL;
        conn_free(conn);
    } else {
        conn_end(conn, true);
    }
    passed(ctx, stream);
    return stream;
}

/* The end of a callback: abort the connection if that was asked for inside, or close it if both sides are done. */
static err_t leave(struct tcp_conn *conn)
{
    bool over = !conn->ctx && conn->finished;

    if (--conn->inside > 0)
        return ERR_OK;
    if (conn->doomed) {
        conn_end(conn, true);
        return ERR_ABRT;
    }
    if (over)
        conn_end(conn, false);
    else if (conn->ctx && conn->passed && !pass(conn))
        return ERR_ABRT;
    return ERR_OK;
}

/* Every callback of lwIP ends with this. Only here the application hears that its peer has closed: inside a call of its
 * own it would free things that the call still uses. */
static err_t callback_end(struct tcp_conn *conn)
{
    if (conn->doomed || (conn->finished && !conn->waiting))
        peer_closed(conn);
    return leave(conn);
}

static err_t on_received(void *arg, struct altcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tcp_conn *conn = arg;

    (void)pcb;
    (void)err;
    conn->inside++;
    if (!p)
        conn->finished = true;
    else if (conn->waiting)
        pbuf_cat(conn->waiting, tcp_pcb_filled(p));
    else
        conn->waiting = tcp_pcb_filled(p);
    if (conn->ctx)
        offer(conn);
    else
        discard(conn);
    if (conn->waiting && conn->waiting->tot_len > WAITING_MAX && !conn->passed)
        conn->doomed = true;
    return callback_end(conn);
}

static err_t on_sent(void *arg, struct altcp_pcb *pcb, u16_t len)
{
    struct tcp_conn *conn = arg;

    (void)pcb;
    conn->unacknowledged -= len;
    conn->lingered = 0;
    conn->inside++;
    if (conn->ctx)
        conn->ops->writable(conn->ctx);
    return callback_end(conn);
}

/* From time to time lwIP calls this: to send bytes for which there was no memory, and to reset peers that stay after
 * our close. */
static err_t on_poll(void *arg, struct altcp_pcb *pcb)
{
    struct tcp_conn *conn = arg;

    (void)pcb;
    conn->inside++;
    if (conn->ctx)
        conn->ops->writable(conn->ctx);
    else if (++conn->lingered >= TCP_PCB_LINGER)
        conn->doomed = true;
    return callback_end(conn);
}

/* The pcb is no more. */
static void on_error(void *arg, err_t err)
{
    struct tcp_conn *conn = arg;

    (void)err;
    peer_closed(conn);
    conn_free(conn);
}

static err_t on_accept(void *arg, struct altcp_pcb *pcb, err_t err)
{
    struct tcp_conn *conn = err == ERR_OK && pcb ? calloc(1, sizeof(*conn)) : NULL;

    if (conn) {
        conn->pcb = pcb;
        conn->ops = arg;
        conn->ctx = conn->ops->opened(conn);
    }
    if (!conn || !conn->ctx) {
        free(conn);
        return ERR_MEM; /* lwIP resets it */
    }
    altcp_arg(pcb, conn);
    altcp_recv(pcb, on_received);
    altcp_sent(pcb, on_sent);
    altcp_err(pcb, on_error);
    altcp_poll(pcb, on_poll, TCP_PCB_POLL);
    altcp_nagle_disable(pcb);
    tcp_pcb_set_rto(pcb, TCP_PCB_RTO_DATA);
    return ERR_OK;
}

int tcp_server_start(u16 port, enum tcp_trust trust, const struct tcp_server_ops *ops)
{
    return tcp_pcb_listen(port, trust, (void *)ops, on_accept);
}

bool tcp_conn_peer(const struct tcp_conn *conn, struct tcp_address *peer)
{
    return tcp_pcb_address(conn->pcb, false, peer);
}

size_t tcp_conn_write(struct tcp_conn *conn, const void *data, size_t len)
{
    size_t room = altcp_sndbuf(conn->pcb);

    assert_host_loop();
    if (len > room)
        len = room;
    if (len > UINT16_MAX)
        len = UINT16_MAX; /* what altcp_write counts in */
    if (len == 0 || altcp_write(conn->pcb, data, (u16)len, TCP_WRITE_FLAG_COPY) != ERR_OK)
        return 0;
    altcp_output(conn->pcb);
    conn->unacknowledged += len;
    return len;
}

void tcp_conn_receive(struct tcp_conn *conn)
{
    conn->inside++;
    offer(conn);
    leave(conn);
}

void tcp_conn_pass(struct tcp_conn *conn, void (*passed)(void *ctx, struct tcp_stream *stream))
{
    conn->passed = passed;
    if (!conn->inside)
        pass(conn);
}

void tcp_conn_close(struct tcp_conn *conn)
{
    conn->ctx = NULL;
    discard(conn);
    altcp_shutdown(conn->pcb, 0, 1);
    if (conn->finished && !conn->inside)
        conn_end(conn, false);
}

void tcp_conn_abort(struct tcp_conn *conn)
{
    conn->ctx = NULL;
    conn->doomed = true;
    if (!conn->inside)
        conn_end(conn, true);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * First comes the handshake (tls_hello.c), and then records: tls_out.c sends them, tls_in.c opens them. Records that
 * are under way outlive their owner: a pcb that was closed stays until they have arrived.
 *
 * What the owner does in a call of ours may end the connection. So each callback of lwIP's ends with tls_leave(), which
 * frees what has ended meanwhile, and tells lwIP if the pcb below is no more.
 */
#include "net/tls_pcb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/altcp_tcp.h>
#include <lwip/priv/altcp_priv.h>

#include "host/clock.h"
#include "net/tcp_pcb.h"
#include "net/tls_parts.h"

#define HANDSHAKE_POLLS 10    /* 5 s */
#define HANDSHAKE_BYTES 16384 /* that may wait until they are looked at: more is no handshake */
#define CLOSE_NOTIFY 0        /* RFC 5246, 7.2 */

static const struct altcp_functions functions;

/* --- The end --------------------------------------------------------------------------------------------------- */

void tls_enter(struct tls_pcb *tls)
{
    tls->inside++;
}

/* The end of each callback, and of each call of the owner's that may end the connection. */
err_t tls_leave(struct tls_pcb *tls)
{
    err_t over = tls->over;

    if (--tls->inside == 0 && !tls->inner)
        free(tls);
    return over;
}

/* The pcb below is no more; tls_leave() frees the rest. */
void tls_end(struct tls_pcb *tls, err_t over)
{
    tls->inner = NULL;
    tls->over = over;
    tls->ready = false;
    if (tls->outer)
        altcp_free(tls->outer);
    tls->outer = NULL;
    tls_hello_end(tls);
    tls_out_fini(&tls->out);
    tls_in_fini(&tls->in);
}

static void detach(struct altcp_pcb *inner)
{
    altcp_arg(inner, NULL);
    altcp_recv(inner, NULL);
    altcp_sent(inner, NULL);
    altcp_err(inner, NULL);
    altcp_poll(inner, NULL, 0);
}

void tls_reset(struct tls_pcb *tls)
{
    detach(tls->inner);
    altcp_abort(tls->inner);
    tls_end(tls, ERR_ABRT);
}

/* lwIP goes on alone with the connection's end. With bytes left unread it would reset it rather than close. */
void tls_let_go(struct tls_pcb *tls)
{
    for (size_t left = tls->in.have; left > 0; left -= LWIP_MIN(left, UINT16_MAX))
        altcp_recved(tls->inner, (u16_t)LWIP_MIN(left, UINT16_MAX));
    detach(tls->inner);
    if (altcp_close(tls->inner) == ERR_OK) {
        tls_end(tls, ERR_OK);
        return;
    }
    altcp_abort(tls->inner);
    tls_end(tls, ERR_ABRT);
}

void tls_tell_error(struct tls_pcb *tls, err_t err)
{
    if (tls->outer && tls->outer->err)
        tls->outer->err(tls->outer->arg, err);
}

/* A client of the API may be anybody who looks for open ports: the log has nothing of them. Of a server its owner says
 * what is wrong. Many a program cuts its connections off, which is no fault. */
void tls_fault(const struct tls_pcb *tls, enum tls_fault fault)
{
    struct tcp_address peer = { .ip6 = false };

    if (tls->trust != TCP_PEERS) {
        tls_with(tls)->failed += fault != TLS_CUT_OFF;
        return;
    }
    tcp_pcb_address(tls->inner, false, &peer);
    tls_report(&peer, fault, clock_ns());
}

/* Somebody else speaks, or the peer was cut off. */
static void break_off(struct tls_pcb *tls, enum tls_fault why)
{
    tls_fault(tls, why);
    tls_tell_error(tls, ERR_RST);
    if (tls_out_is_over(&tls->out))
        tls_let_go(tls); /* it may be in TIME_WAIT, where an abort would leave the altcp_pcb behind */
    else
        tls_reset(tls);
}

/* --- Records ---------------------------------------------------------------------------------------------------- */

static void take_alert(struct tls_pcb *tls, const struct tls_opened *opened)
{
    u8 alert[2];
    bool closes = opened->len == sizeof(alert) && pbuf_copy_partial(opened->data, alert, sizeof(alert), 0) &&
                  alert[1] == CLOSE_NOTIFY;

    altcp_recved(tls->inner, (u16_t)opened->len);
    if (opened->data)
        pbuf_free(opened->data);
    if (!closes) {
        break_off(tls, TLS_ALERT);
        return;
    }
    if (tls->finished)
        return;
    tls->finished = true;
    if (tls->outer && tls->outer->recv)
        tls->outer->recv(tls->outer->arg, tls->outer, NULL, ERR_OK);
}

static void take_data(struct tls_pcb *tls, const struct tls_opened *opened)
{
    if (!opened->data)
        return;
    if (!tls->finished && tls->outer && tls->outer->recv) {
        tls->outer->recv(tls->outer->arg, tls->outer, opened->data, ERR_OK);
        return;
    }
    altcp_recved(tls->inner, (u16_t)opened->len);
    pbuf_free(opened->data);
}

void tls_receive(struct tls_pcb *tls)
{
    struct tls_opened opened;

    while (tls->inner) {
        int err = tls_in_next(&tls->in, &opened);

        if (err == -EAGAIN)
            return;
        if (err) {
            break_off(tls, err == -ENOMEM ? TLS_NO_MEMORY : TLS_CHANGED);
            return;
        }
        tls_with(tls)->received += SEAL_HEADER + opened.len + SEAL_TAG;
        altcp_recved(tls->inner, SEAL_HEADER + SEAL_TAG);
        if (opened.type == SEAL_ALERT)
            take_alert(tls, &opened);
        else
            take_data(tls, &opened);
    }
}

/* --- What lwIP says of the connection below --------------------------------------------------------------------- */

/* The peer sends nothing more. */
static void cut_off(struct tls_pcb *tls)
{
    if (tls->handshake)
        tls_hello_refuse(tls, -ECONNRESET);
    else if (tls->outer && !tls->finished)
        break_off(tls, TLS_CUT_OFF);
}

static err_t on_received(void *arg, struct altcp_pcb *inner, struct pbuf *p, err_t err)
{
    struct tls_pcb *tls = arg;

    (void)inner;
    (void)err;
    tls_enter(tls);
    if (p)
        tls_in_append(&tls->in, tcp_pcb_filled(p));
    if (!p)
        cut_off(tls);
    else if (tls->handshake && tls->in.have > HANDSHAKE_BYTES)
        tls_hello_refuse(tls, -EPROTO);
    else if (tls->handshake)
        tls_hello_go_on(tls);
    else
        tls_receive(tls);
    return tls_leave(tls);
}

/* The owner hears of bytes that have arrived, in numbers that he can count. */
static void tell_sent(struct tls_pcb *tls, size_t plain)
{
    while (plain > 0 && tls->outer && tls->outer->sent) {
        u16_t part = (u16_t)LWIP_MIN(plain, UINT16_MAX);

        plain -= part;
        tls->outer->sent(tls->outer->arg, tls->outer, part);
    }
}

static err_t on_sent(void *arg, struct altcp_pcb *inner, u16_t len)
{
    struct tls_pcb *tls = arg;
    size_t plain = tls_out_acknowledged(&tls->out, len);

    (void)inner;
    tls_enter(tls);
    if (tls->handshake) {
        tls_hello_go_on(tls);
        return tls_leave(tls);
    }
    tls_out_flush(&tls->out);
    if (!tls->outer && tls_out_is_over(&tls->out))
        tls_let_go(tls);
    tell_sent(tls, plain);
    return tls_leave(tls);
}

/* Twice a second. */
static err_t on_poll(void *arg, struct altcp_pcb *inner)
{
    struct tls_pcb *tls = arg;

    (void)inner;
    tls_enter(tls);
    if (tls->handshake) {
        if (++tls->polls < HANDSHAKE_POLLS)
            tls_hello_go_on(tls);
        else
            tls_hello_refuse(tls, -ETIMEDOUT);
        return tls_leave(tls);
    }
    tls_out_flush(&tls->out);
    if (tls->outer && tls->outer->poll)
        tls->outer->poll(tls->outer->arg, tls->outer);
    else if (!tls->outer && tls_out_is_over(&tls->out))
        tls_let_go(tls);
    else if (!tls->outer && ++tls->polls >= TCP_PCB_LINGER)
        tls_reset(tls);
    return tls_leave(tls);
}

/* The connection below is no more, and nothing tells its address: a handshake that ends so is counted, not logged. */
static void on_error(void *arg, err_t err)
{
    struct tls_pcb *tls = arg;

    tls_enter(tls);
    if (tls->handshake && tls->trust == TCP_PEERS)
        tls_counters.fault[TLS_ENDED]++;
    else if (tls->handshake)
        tls_with(tls)->failed++;
    tls_tell_error(tls, err);
    tls_end(tls, ERR_OK);
    tls_leave(tls);
}

static void attach(struct tls_pcb *tls)
{
    altcp_arg(tls->inner, tls);
    altcp_recv(tls->inner, on_received);
    altcp_sent(tls->inner, on_sent);
    altcp_err(tls->inner, on_error);
    altcp_poll(tls->inner, on_poll, TCP_PCB_POLL);
}

static err_t on_connected(void *arg, struct altcp_pcb *inner, err_t err)
{
    struct tls_pcb *tls = arg;

    (void)err;
    tls_enter(tls);
    tcp_pcb_set_rto(inner, TCP_PCB_RTO_DATA);
    if (tls_hello_begin(tls, false))
        tls_hello_go_on(tls);
    else
        tls_hello_refuse(tls, -ENOMEM);
    return tls_leave(tls);
}

/* --- The layer -------------------------------------------------------------------------------------------------- */

static struct tls_pcb *tls_new(struct altcp_pcb *inner, enum tcp_trust trust, const struct tls_acceptor *acceptor)
{
    struct tls_pcb *tls = calloc(1, sizeof(*tls));
    struct altcp_pcb *outer = tls ? altcp_alloc() : NULL;

    if (!outer) {
        free(tls);
        return NULL;
    }
    list_init(&tls->node);
    tls->trust = trust;
    tls->acceptor = acceptor;
    tls_out_init(&tls->out, inner, &tls_with(tls)->sent);
    tls->outer = outer;
    tls->inner = inner;
    outer->fns = &functions;
    outer->inner_conn = inner;
    outer->state = tls;
    attach(tls);
    return tls;
}

struct altcp_pcb *tls_pcb_new(struct altcp_pcb *inner, enum tcp_trust trust)
{
    struct tls_pcb *tls = tls_new(inner, trust, NULL);

    return tls ? tls->outer : NULL;
}

bool tls_pcb_shakes(const struct altcp_pcb *pcb)
{
    return pcb->fns == &functions && ((const struct tls_pcb *)pcb->state)->handshake;
}

int tls_pcb_refused(const struct altcp_pcb *pcb)
{
    return pcb->fns == &functions ? ((const struct tls_pcb *)pcb->state)->refused : 0;
}

static err_t on_accept(void *arg, struct altcp_pcb *inner, err_t err)
{
    const struct tls_acceptor *acceptor = arg;
    struct tls_pcb *tls = err == ERR_OK ? tls_new(inner, acceptor->trust, acceptor) : NULL;

    if (!tls)
        return ERR_MEM; /* lwIP resets it */
    if (!tls_hello_begin(tls, true)) {
        detach(inner);
        tls_enter(tls);
        tls_end(tls, ERR_MEM);
        return tls_leave(tls);
    }
    tls_hello_take_place(tls);
    altcp_nagle_disable(inner);
    tcp_pcb_set_rto(inner, TCP_PCB_RTO_DATA);
    return ERR_OK;
}

int tls_pcb_listen(struct altcp_pcb *listener, enum tcp_trust trust, void *arg, altcp_accept_fn accept)
{
    struct tls_acceptor *acceptor = malloc(sizeof(*acceptor));

    if (!acceptor)
        return -ENOMEM;
    *acceptor = (struct tls_acceptor){ trust, arg, accept };
    altcp_arg(listener, acceptor);
    altcp_accept(listener, on_accept);
    return 0;
}

const char *tls_pcb_peer(const struct altcp_pcb *pcb)
{
    return pcb->fns == &functions ? ((const struct tls_pcb *)pcb->state)->peer : NULL;
}

static void tls_set_poll(struct altcp_pcb *outer, u8_t interval)
{
    altcp_poll(outer->inner_conn, on_poll, interval);
}

static err_t tls_connect(struct altcp_pcb *outer, const ip_addr_t *ip, u16_t port, altcp_connected_fn connected)
{
    outer->connected = connected;
    return altcp_connect(outer->inner_conn, ip, port, on_connected);
}

static err_t tls_write(struct altcp_pcb *outer, const void *bytes, u16_t len, u8_t flags)
{
    struct tls_pcb *tls = outer->state;

    (void)flags;
    if (!tls->ready || tls->out.said_close)
        return ERR_CONN;
    return tls_out_add(&tls->out, bytes, len) ? ERR_OK : ERR_MEM;
}

static err_t tls_output(struct altcp_pcb *outer)
{
    struct tls_pcb *tls = outer->state;

    tls_out_push(&tls->out);
    return altcp_output(tls->inner);
}

/* Both callers end their own direction only. */
static err_t tls_shutdown(struct altcp_pcb *outer, int receives, int sends)
{
    struct tls_pcb *tls = outer->state;

    (void)receives;
    (void)sends;
    tls_out_end(&tls->out);
    altcp_output(tls->inner);
    return ERR_OK;
}

static void tls_abort(struct altcp_pcb *outer)
{
    struct tls_pcb *tls = outer->state;

    tls_enter(tls);
    tls_reset(tls);
    tls_leave(tls);
}

static err_t tls_close(struct altcp_pcb *outer)
{
    struct tls_pcb *tls = outer->state;

    tls_enter(tls);
    if (tls->ready) {
        tls_shutdown(outer, 0, 1);
        altcp_free(outer);
        tls->outer = NULL;
        tls->polls = 0;
        attach(tls); /* the owner may have stopped the polls */
    }
    if (!tls->ready || tls_out_is_over(&tls->out))
        tls_let_go(tls);
    tls_leave(tls);
    return ERR_OK;
}

static const struct altcp_functions functions = {
    .set_poll = tls_set_poll,
    .recved = altcp_default_recved,
    .connect = tls_connect,
    .abort = tls_abort,
    .close = tls_close,
    .shutdown = tls_shutdown,
    .write = tls_write,
    .output = tls_output,
    .sndbuf = altcp_default_sndbuf,
    .sndqueuelen = altcp_default_sndqueuelen,
    .nagle_disable = altcp_default_nagle_disable,
    .addrinfo = altcp_default_get_tcp_addrinfo,
};

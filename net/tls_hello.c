/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handshake of a connection of TLS. tls/handshake.c knows how; here bytes come and go, and clients are served. Who
 * may be any stranger costs us memory and two multiplications on a curve. callers.c says who has a place and a turn:
 * one handshake at a time goes on by a step, and then the host loop does its other work.
 */
#include <errno.h>

#include <lwip/priv/altcp_priv.h>
#include <lwip/timeouts.h>

#include "host/clock.h"
#include "net/callers.h"
#include "net/tcp_pcb.h"
#include "net/tls_parts.h"

#define SERVE_MS 2 /* between two looks for who has its turn, while some wait */

/* A record: the alert that there can be no handshake (RFC 5246, 7.2). */
static const u8 no_handshake[] = { SEAL_ALERT, 3, 3, 0, 2, 2, 40 };

static struct list handshakes = { &handshakes, &handshakes }; /* of clients, the oldest first */
static bool waiting;                                          /* on_turn will be called */

void tls_hello_end(struct tls_pcb *tls)
{
    if (tls->handshake) {
        handshake_free(tls->handshake);
        tls_with(tls)->active--;
    }
    tls->handshake = NULL;
    if (tls->caller)
        caller_leave(tls->caller);
    tls->caller = NULL;
    list_del(&tls->node);
}

/* What the error of a handshake with a peer is called. */
static enum tls_fault fault_of(int err, bool server)
{
    switch (err) {
    case -EACCES: return TLS_KEYS_DIFFER;
    case -EPERM: return server ? TLS_NOT_MEANT : TLS_NOT_THAT_HOST;
    case -ENOPROTOOPT: return TLS_NO_KEYS;
    case -ELOOP: return TLS_OUR_NAME;
    case -EPROTO: return TLS_FOREIGN;
    case -ETIMEDOUT: return TLS_LATE;
    case -ENOMEM: return TLS_NO_MEMORY;
    default: return TLS_ENDED;
    }
}

/* The alert that says why still leaves. */
void tls_hello_refuse(struct tls_pcb *tls, int err)
{
    tls_fault(tls, fault_of(err, tls->acceptor));
    tls->refused = err;
    tls_tell_error(tls, ERR_ABRT);
    /* mbedTLS says nothing to those who speak no TLS. A hypervisor without keys understands this much. */
    if (err == -ENOPROTOOPT && tls->acceptor)
        altcp_write(tls->inner, no_handshake, sizeof(no_handshake), 0);
    altcp_output(tls->inner);
    tls_let_go(tls);
}

static long hello_send(void *ctx, const void *bytes, size_t len)
{
    struct tls_pcb *tls = ctx;

    len = LWIP_MIN(len, UINT16_MAX);
    if (altcp_write(tls->inner, bytes, (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK)
        return -EAGAIN;
    tls->out.hello += len;
    return (long)len;
}

static long hello_receive(void *ctx, void *bytes, size_t len)
{
    struct tls_pcb *tls = ctx;

    len = tls_in_take(&tls->in, bytes, LWIP_MIN(len, UINT16_MAX));
    altcp_recved(tls->inner, (u16_t)len);
    return len ? (long)len : -EAGAIN;
}

static const struct handshake_ops hello_ops = { hello_send, hello_receive };

static enum handshake_role role(const struct tls_pcb *tls)
{
    switch (tls->trust) {
    case TCP_CLIENTS: return HANDSHAKE_OF_STRANGER;
    case TCP_SERVERS: return HANDSHAKE_TO_SERVER;
    default: return tls->acceptor ? HANDSHAKE_OF_PEER : HANDSHAKE_TO_PEER;
    }
}

/* It is for the address of the server's end. */
bool tls_hello_begin(struct tls_pcb *tls, bool server)
{
    struct tcp_address host = { .ip6 = false };
    char text[TCP_ADDRESS_TEXT];

    tcp_pcb_address(tls->inner, server, &host);
    host.port = 0;
    tcp_address_text(&host, text);
    tls->handshake = handshake_begin(role(tls), text, &hello_ops, tls);
    tls_with(tls)->active += tls->handshake != NULL;
    return tls->handshake;
}

/* Both ends have the key, or have seen the certificates that are to be shown: the owner hears of the connection, and
 * then what has come with it. */
static void complete(struct tls_pcb *tls)
{
    struct altcp_pcb *outer = tls->outer;
    struct tcp_address peer;
    struct handshake_result result;
    err_t err;

    handshake_take(tls->handshake, &result);
    tls_hello_end(tls);
    tls_with(tls)->completed++;
    if (tls->trust == TCP_PEERS && tcp_pcb_address(tls->inner, false, &peer))
        caller_know(&peer, false, clock_ns());
    tls->out.seal = result.out;
    tls->in.seal = result.in;
    memcpy(tls->peer, result.peer, sizeof(tls->peer));
    seal_wipe(&result.out);
    seal_wipe(&result.in);
    tls->ready = true;
    altcp_output(tls->inner);
    if (tls->acceptor)
        err = tls->acceptor->accept(tls->acceptor->arg, outer, ERR_OK);
    else
        err = outer->connected(outer->arg, outer, ERR_OK);
    if (err != ERR_OK && tls->inner)
        tls_reset(tls);
    tls_receive(tls);
}

static void shake(struct tls_pcb *tls)
{
    u64 began = clock_ns(), now;
    int err = handshake_step(tls->handshake);

    now = clock_ns();
    tls_with(tls)->worked += now - began;
    if (tls->caller)
        caller_worked(tls->caller, now - began, now);
    if (!err)
        complete(tls);
    else if (err == -EAGAIN)
        altcp_output(tls->inner);
    else
        tls_hello_refuse(tls, err);
}

/* --- Places and turns ------------------------------------------------------------------------------------------- */

/* Whose turn is it among the clients whose handshakes can go on? NULL: nobody's now. `more`: others wait, too. */
static struct tls_pcb *whose_turn(bool *more)
{
    struct tls_pcb *first = NULL;
    u64 now = clock_ns();
    unsigned due = 0;

    list_each (struct tls_pcb, tls, &handshakes) {
        due += tls->due;
        if (tls->due && caller_may_work(tls->caller, now) && (!first || caller_is_before(tls->caller, first->caller)))
            first = tls;
    }
    *more = due > (first != NULL);
    return first;
}

static void on_turn(void *unused);

/* One client's handshake goes on. Others that could, too, wait until the host loop has done its other work. */
static void serve(void)
{
    bool more;
    struct tls_pcb *tls = whose_turn(&more);

    if (more && !waiting)
        sys_timeout(SERVE_MS, on_turn, NULL);
    waiting |= more;
    if (!tls)
        return;
    tls->due = false;
    tls_enter(tls);
    shake(tls);
    tls_leave(tls);
}

static void on_turn(void *unused)
{
    (void)unused;
    waiting = false;
    serve();
}

void tls_hello_go_on(struct tls_pcb *tls)
{
    if (!tls->acceptor) {
        shake(tls);
        return;
    }
    tls->due = true;
    serve();
}

void tls_hello_take_place(struct tls_pcb *tls)
{
    struct tcp_address peer = { .ip6 = false };
    struct caller *crowding;

    tcp_pcb_address(tls->inner, false, &peer);
    tls->caller = caller_enter(&peer, clock_ns());
    crowding = caller_crowding(tls->caller);
    list_add_tail(&handshakes, &tls->node);
    list_each_safe (struct tls_pcb, oldest, &handshakes) {
        if (oldest->caller != crowding)
            continue;
        tls_enter(oldest);
        tls_fault(oldest, TLS_GAVE_WAY);
        tls_reset(oldest);
        tls_leave(oldest);
        return;
    }
}

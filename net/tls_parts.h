/* SPDX-License-Identifier: BSD-2-Clause */
/* What tls_pcb.c shares with tls_hello.c, where its handshake is. Nobody else includes this. Host loop. */
#pragma once

#include "host/list.h"
#include "net/tls_in.h"
#include "net/tls_out.h"
#include "net/tls_pcb.h"
#include "net/tls_report.h"
#include "tls/handshake.h"

struct caller;

struct tls_acceptor {
    enum tcp_trust trust;
    void *arg;
    altcp_accept_fn accept;
};

struct tls_pcb {
    struct altcp_pcb *outer; /* NULL: the owner has closed it, or knows that it is gone */
    struct altcp_pcb *inner; /* NULL: gone */
    unsigned inside;         /* callbacks of lwIP's that run */
    err_t over;              /* what the callback that runs must return */

    enum tcp_trust trust;                /* who may be at the other end */
    struct handshake *handshake;         /* NULL: not begun, or over */
    int refused;                         /* what the handshake has come to, -errno; 0: nothing bad */
    const struct tls_acceptor *acceptor; /* of a server */
    struct caller *caller;               /* of a server's handshake */
    bool due;                            /* a server's handshake may go on when it has its turn */
    struct list node;                    /* of the servers' handshakes */
    unsigned polls;                      /* of the handshake; or since the owner has closed it */
    bool ready;                          /* the keys are agreed */
    char peer[KEYRING_NAME];

    struct tls_out out;
    struct tls_in in;
    bool finished; /* the peer has said close_notify */
};

/* What is counted of connections like this. */
static inline struct tls_with *tls_with(const struct tls_pcb *tls)
{
    return &tls_counters.with[tls->trust == TCP_CLIENTS   ? TLS_WITH_CLIENTS
                              : tls->trust == TCP_SERVERS ? TLS_WITH_WITNESS
                                                          : TLS_WITH_PEERS];
}

/* tls_pcb.c. Whoever may end the connection is between enter and leave, which then frees it, and returns what a
 * callback of lwIP's has to return. */
void tls_enter(struct tls_pcb *tls);
err_t tls_leave(struct tls_pcb *tls);

/* The pcb below is no more; leave frees the rest. reset: by a reset of ours. let_go: lwIP goes on alone with its end.
 */
void tls_end(struct tls_pcb *tls, err_t over);
void tls_reset(struct tls_pcb *tls);
void tls_let_go(struct tls_pcb *tls);

/* The owner hears of an error; the counters do, and of peers the log. */
void tls_tell_error(struct tls_pcb *tls, err_t err);
void tls_fault(const struct tls_pcb *tls, enum tls_fault fault);

/* Take the records that have come. */
void tls_receive(struct tls_pcb *tls);

/* tls_hello.c. Begin the handshake: in the end the owner hears of the connection, or of an error. False: no memory. */
bool tls_hello_begin(struct tls_pcb *tls, bool server);

/* A client's handshake takes a place among others. One of them may have to make way. */
void tls_hello_take_place(struct tls_pcb *tls);

/* Something has come, or time has passed: it goes on, a server's when it has its turn. */
void tls_hello_go_on(struct tls_pcb *tls);

/* It has come to nothing: an -errno of handshake_step, or -ETIMEDOUT. */
void tls_hello_refuse(struct tls_pcb *tls, int err);

/* It is over, in whatever way, or was none. */
void tls_hello_end(struct tls_pcb *tls);

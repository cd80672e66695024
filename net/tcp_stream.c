/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_stream.h over lwIP's altcp: a connection of TLS looks the same from here.
 *
 * A stream is its owner's until it is closed. Then it lingers: it is ours until lwIP is through with it. Received bytes
 * wait in lwIP's own buffers, and the window stays closed by as much.
 */
#include "net/tcp_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/altcp.h>
#include <lwip/netif.h>

#include "host/clock.h"
#include "host/copy.h"
#include "host/list.h"
#include "net/callers.h"
#include "net/tcp_address_lwip.h"
#include "net/tcp_pcb.h"
#include "net/tls_pcb.h"

#define ROOM_AGAIN (TCP_SND_BUF / 8) /* bytes that must be free before a full buffer counts as having room again */
#define WRITE_MAX 0x8000             /* bytes in one call: altcp_write counts in 16 bits */

struct tcp_stream {
    struct altcp_pcb *pcb; /* NULL: gone */
    int state;             /* of tcp_stream_state */
    struct pbuf *waiting;  /* received and not taken: linked by `next`, more bytes than one tot_len can count */
    struct pbuf *last;     /* the last one of `waiting` */
    bool finished;         /* the peer will send no more */
    size_t unacknowledged; /* bytes that lwIP keeps */
    bool full;             /* there was no room to send, and since then less than ROOM_AGAIN */
    size_t lent;           /* of these, the bytes up to the last of stable memory, to which lwIP refers */
    const void *lender;    /* to whom that memory belongs: tcp_stream_lend */
    unsigned lingered;     /* polls since it was closed, or its peer took something */
    struct list node;      /* of those that linger */
    struct list unpushed;  /* of those with something to send */
};

static struct list unpushed = { &unpushed, &unpushed };
static struct list lingering = { &lingering, &lingering };

/* Free a queue of pbufs, and, unless pcb is NULL, open its window by as much. Returns NULL. */
static struct pbuf *pbufs_free(struct pbuf *p, struct altcp_pcb *pcb)
{
    while (p) {
        struct pbuf *next = p->next;

        if (pcb)
            altcp_recved(pcb, p->len);
        p->next = NULL;
        pbuf_free(p);
        p = next;
    }
    return NULL;
}

static void stream_free(struct tcp_stream *stream)
{
    stream->waiting = pbufs_free(stream->waiting, NULL);
    list_del(&stream->node);
    list_del(&stream->unpushed);
    free(stream);
}

static bool is_lingering(const struct tcp_stream *stream)
{
    return !list_empty(&stream->node);
}

static void take_hold(struct tcp_stream *stream);

/* Remove our callbacks from the pcb: lwIP goes on without the stream. */
static void let_go(struct tcp_stream *stream)
{
    altcp_arg(stream->pcb, NULL);
    altcp_recv(stream->pcb, NULL);
    altcp_sent(stream->pcb, NULL);
    altcp_err(stream->pcb, NULL);
    altcp_poll(stream->pcb, NULL, 0);
}

static void reset(struct tcp_stream *stream)
{
    struct altcp_pcb *pcb = stream->pcb;

    let_go(stream);
    stream->pcb = NULL;
    altcp_abort(pcb);
}

/* End a lingering stream that has sent all and whose peer has closed: lwIP goes on alone with the end of the
 * connection. Before that the peer may still be sending, and a reset would make it lose our last words. Our FIN may
 * still be unacknowledged, and we can't wait for that: lwIP tells nobody, goes to TIME_WAIT, and frees the pcb later.
 */
static bool finish(struct tcp_stream *stream)
{
    struct altcp_pcb *pcb = stream->pcb;

    if (!stream->finished || stream->unacknowledged)
        return false;
    let_go(stream);
    if (altcp_close(pcb) != ERR_OK) { /* no memory: with the next poll */
        take_hold(stream);
        return false;
    }
    stream->pcb = NULL;
    stream_free(stream);
    return true;
}

/* Bytes have come that wait for the owner. */
static void append(struct tcp_stream *stream, struct pbuf *p)
{
    if (stream->waiting)
        stream->last->next = p;
    else
        stream->waiting = p;
    while (p->next)
        p = p->next;
    stream->last = p;
}

static err_t on_received(void *arg, struct altcp_pcb *pcb, struct pbuf *p, err_t err)
{
    struct tcp_stream *stream = arg;

    (void)err;
    if (!p) {
        stream->finished = true;
        if (is_lingering(stream))
            finish(stream);
        return ERR_OK;
    }
    if (is_lingering(stream)) { /* no owner is there to take the bytes */
        pbufs_free(p, pcb);
        return ERR_OK;
    }
    append(stream, tcp_pcb_filled(p));
    return ERR_OK;
}

/* Nobody is told that there is room to send: an owner that wants to send asks. */
static err_t on_sent(void *arg, struct altcp_pcb *pcb, u16_t len)
{
    struct tcp_stream *stream = arg;

    (void)pcb;
    stream->unacknowledged -= len;
    stream->lent -= len < stream->lent ? len : stream->lent;
    stream->lingered = 0;
    if (is_lingering(stream))
        finish(stream);
    return ERR_OK;
}

static err_t on_poll(void *arg, struct altcp_pcb *pcb)
{
    struct tcp_stream *stream = arg;

    (void)pcb;
    if (!is_lingering(stream) || finish(stream) || ++stream->lingered < TCP_PCB_LINGER)
        return ERR_OK;
    reset(stream);
    stream_free(stream);
    return ERR_ABRT;
}

/* What an error of lwIP's or of TLS means for a stream. */
static int state_after(const struct tcp_stream *stream, err_t err)
{
    int refused = tls_pcb_refused(stream->pcb);

    if (refused)
        return refused;
    return stream->state == -EAGAIN ? -ECONNREFUSED : err == ERR_RST ? -ECONNRESET : -ECONNABORTED;
}

/* The pcb is no more. */
static void on_error(void *arg, err_t err)
{
    struct tcp_stream *stream = arg;

    stream->state = state_after(stream, err);
    stream->pcb = NULL;
    if (is_lingering(stream))
        stream_free(stream);
}

/* The reverse of let_go. */
static void take_hold(struct tcp_stream *stream)
{
    altcp_arg(stream->pcb, stream);
    altcp_recv(stream->pcb, on_received);
    altcp_sent(stream->pcb, on_sent);
    altcp_err(stream->pcb, on_error);
    altcp_poll(stream->pcb, on_poll, TCP_PCB_POLL);
}

static struct tcp_stream *stream_create(struct altcp_pcb *pcb, int state)
{
    struct tcp_stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return NULL;
    list_init(&stream->node);
    list_init(&stream->unpushed);
    stream->pcb = pcb;
    stream->state = state;
    take_hold(stream);
    tcp_pcb_set_stream(pcb);
    altcp_nagle_disable(pcb);
    return stream;
}

struct tcp_stream *tcp_stream_adopt(struct altcp_pcb *pcb, struct pbuf *waiting, bool finished, size_t unacknowledged)
{
    struct tcp_stream *stream = stream_create(pcb, 0);

    if (!stream)
        return NULL;
    if (waiting)
        append(stream, waiting);
    stream->finished = finished;
    stream->unacknowledged = unacknowledged;
    return stream;
}

static err_t on_accept(void *arg, struct altcp_pcb *pcb, err_t err)
{
    void (*accepted)(struct tcp_stream * stream) = (void (*)(struct tcp_stream *))arg;
    struct tcp_stream *stream = err == ERR_OK && pcb ? stream_create(pcb, 0) : NULL;

    if (!stream)
        return ERR_MEM; /* lwIP resets it */
    tcp_pcb_set_rto(pcb, TCP_PCB_RTO_DATA);
    accepted(stream);
    return ERR_OK;
}

int tcp_stream_listen(u16 port, enum tcp_trust trust, void (*accepted)(struct tcp_stream *stream))
{
    return tcp_pcb_listen(port, trust, (void *)accepted, on_accept);
}

void tcp_stream_expect(const struct tcp_address *host)
{
    caller_know(host, true, clock_ns());
}

static err_t on_connected(void *arg, struct altcp_pcb *pcb, err_t err)
{
    (void)err;
    tcp_pcb_set_rto(pcb, TCP_PCB_RTO_DATA);
    ((struct tcp_stream *)arg)->state = 0;
    return ERR_OK;
}

int tcp_stream_connect(const struct tcp_address *to, enum tcp_trust trust, struct tcp_stream **stream)
{
    ip_addr_t ip = tcp_address_lwip(to);
    struct altcp_pcb *pcb = tcp_pcb_new(ip.type, trust);
    err_t err;

    /* A link-local address belongs to a link, and we have only one. */
    if (IP_IS_V6(&ip) && ip6_addr_lacks_zone(ip_2_ip6(&ip), IP6_UNICAST))
        ip6_addr_assign_zone(ip_2_ip6(&ip), IP6_UNICAST, netif_default);
    *stream = pcb ? stream_create(pcb, -EAGAIN) : NULL;
    if (!*stream) {
        if (pcb)
            altcp_abort(pcb);
        return -ENOMEM;
    }
    tcp_pcb_set_rto(pcb, TCP_PCB_RTO_SYN);
    err = altcp_connect(pcb, &ip, to->port, on_connected);
    if (err == ERR_OK)
        return 0;
    tcp_stream_abort(*stream);
    return err == ERR_RTE ? -EHOSTUNREACH : -ENOMEM;
}

void tcp_stream_lend(struct tcp_stream *stream, const void *lender)
{
    stream->lender = lender;
}

int tcp_stream_state(const struct tcp_stream *stream)
{
    return stream->state;
}

bool tcp_stream_shakes(const struct tcp_stream *stream)
{
    return stream->pcb && tls_pcb_shakes(stream->pcb);
}

/* There is room only for much at a time: to refill after each acknowledgement would cost a round of the host loop and a
 * doorbell for two segments. */
static size_t room_to_send(struct tcp_stream *stream)
{
    size_t room = TCP_SND_BUF - stream->unacknowledged; /* altcp_sndbuf counts in 16 bits */

    if (room == 0)
        stream->full = true;
    else if (room >= ROOM_AGAIN)
        stream->full = false;
    return stream->full ? 0 : room;
}

long tcp_stream_send(struct tcp_stream *stream, const void *bytes, size_t len, bool stable)
{
    size_t room;
    err_t err;

    if (stream->state)
        return stream->state;
    room = room_to_send(stream);
    if (room == 0)
        return -EAGAIN;
    len = len < room ? len : room;
    len = len < WRITE_MAX ? len : WRITE_MAX;
    err = altcp_write(stream->pcb, bytes, (u16)len, (stable ? 0 : TCP_WRITE_FLAG_COPY) | TCP_WRITE_FLAG_MORE);
    if (err == ERR_MEM)
        return -EAGAIN;
    if (err != ERR_OK)
        return -ECONNABORTED;
    stream->unacknowledged += len;
    if (stable)
        stream->lent = stream->unacknowledged;
    if (list_empty(&stream->unpushed))
        list_add_tail(&unpushed, &stream->unpushed);
    return (long)len;
}

void tcp_stream_push_all(void)
{
    for (struct list *node = unpushed.next, *next = node->next; node != &unpushed; node = next, next = node->next) {
        struct tcp_stream *stream = container_of(node, struct tcp_stream, unpushed);

        if (!stream->state)
            altcp_output(stream->pcb);
        /* lwIP stops when the card is full, and would go on only with the next acknowledgement. */
        if (stream->state || altcp_sndqueuelen(stream->pcb) == 0)
            list_del(node);
    }
}

size_t tcp_stream_unacknowledged(const struct tcp_stream *stream)
{
    return stream->unacknowledged;
}

long tcp_stream_receive(struct tcp_stream *stream, void *bytes, size_t len)
{
    size_t taken = 0;

    while (stream->waiting && taken < len) {
        size_t part = stream->waiting->len < len - taken ? stream->waiting->len : len - taken;

        bulk_copy((u8 *)bytes + taken, stream->waiting->payload, part);
        stream->waiting = pbuf_free_header(stream->waiting, (u16)part);
        if (stream->pcb)
            altcp_recved(stream->pcb, (u16)part);
        taken += part;
    }
    if (taken)
        return (long)taken;
    if (stream->finished)
        return -EPIPE;
    return stream->state ? stream->state : -EAGAIN;
}

bool tcp_stream_peer(const struct tcp_stream *stream, struct tcp_address *peer)
{
    return stream->pcb && tcp_pcb_address(stream->pcb, false, peer);
}

const char *tcp_stream_peer_name(const struct tcp_stream *stream)
{
    return stream->pcb ? tls_pcb_peer(stream->pcb) : NULL;
}

void tcp_stream_close(struct tcp_stream *stream)
{
    if (!stream->pcb) {
        stream_free(stream);
        return;
    }
    if (stream->state == -EAGAIN) {
        tcp_stream_abort(stream);
        return;
    }
    list_add_tail(&lingering, &stream->node);
    /* With bytes left unread lwIP would reset it rather than close. */
    stream->waiting = pbufs_free(stream->waiting, stream->pcb);
    altcp_shutdown(stream->pcb, 0, 1); /* without memory for that, on_poll ends it */
    finish(stream);
}

void tcp_stream_abort(struct tcp_stream *stream)
{
    if (stream->pcb)
        reset(stream);
    stream_free(stream);
}

void tcp_stream_abort_lingering(const void *lender)
{
    list_each_safe (struct tcp_stream, stream, &lingering) {
        if (stream->lender == lender && stream->lent)
            tcp_stream_abort(stream);
    }
}

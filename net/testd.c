/* SPDX-License-Identifier: BSD-2-Clause */
/* The services use lwIP's raw API: three sets of callbacks over one kind of session. */
#define LOG_PREFIX "testd"

#include "net/testd.h"

#include <stdlib.h>
#include <string.h>

#include <lwip/tcp.h>

#include "host/clock.h"
#include "host/bits.h"
#include "host/log.h"

#define PORT_ECHO 7
#define PORT_SOURCE 19
#define BLOCK 16384

/*
 * Fletcher's idea over 64-bit little-endian words: the second sum makes the order count. A last incomplete word is
 * filled with zeros.
 */
struct sum {
    u64 first, second;
    u8 word[8]; /* the beginning of the next word */
    unsigned in_word;
};

struct session {
    struct sum sum;
    u64 bytes, start_ns;
    struct pbuf *waiting; /* echo: received, not yet sent back */
    bool ended;           /* echo: nothing more will come */
};

/* The block that source sends again and again: word n is n. */
static u64 block[BLOCK / 8];

static void sum_word(struct sum *sum, u64 word)
{
    sum->first += word;
    sum->second += sum->first;
}

/* It lies in one page, as bulk_copy does (host/copy.h), and for the same reason. */
static __attribute__((noinline, aligned(512))) void sum_add(struct sum *sum, const u8 *data, size_t len)
{
    u64 word;

    while (len > 0 && sum->in_word > 0) {
        sum->word[sum->in_word++] = *data++;
        len--;
        if (sum->in_word == 8) {
            memcpy(&word, sum->word, 8);
            sum_word(sum, word);
            sum->in_word = 0;
        }
    }
    for (; len >= 8; data += 8, len -= 8) {
        memcpy(&word, data, 8);
        sum_word(sum, word);
    }
    if (len > 0) {
        memcpy(sum->word, data, len);
        sum->in_word = (unsigned)len;
    }
}

static void sum_end(struct sum *sum)
{
    static const u8 zeros[8];

    if (sum->in_word)
        sum_add(sum, zeros, 8 - sum->in_word);
}

static void session_end(struct session *session)
{
    if (session->waiting)
        pbuf_free(session->waiting);
    free(session);
}

/* Close; what was written is still sent. Returns what a callback must return. */
static err_t session_close(struct session *session, struct tcp_pcb *pcb)
{
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    session_end(session);
    if (tcp_close(pcb) == ERR_OK)
        return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
}

static void on_error(void *arg, err_t error)
{
    (void)error;
    session_end(arg);
}

/* --- discard ---------------------------------------------------------------------------------------------------- */

static void discard_report(struct session *session)
{
    u64 us = (clock_ns() - session->start_ns) / 1000;

    sum_end(&session->sum);
    pr_info("discard: %lu bytes in %lu us, %lu kB/s, sum %016lx%016lx", session->bytes, us,
            us ? session->bytes * 1000 / us : 0, session->sum.second, session->sum.first);
}

static err_t discard_received(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t error)
{
    struct session *session = arg;

    (void)error;
    if (!pbuf) {
        discard_report(session);
        return session_close(session, pcb);
    }
    if (session->bytes == 0)
        session->start_ns = clock_ns();
    session->bytes += pbuf->tot_len;
    for (struct pbuf *p = pbuf; p; p = p->next)
        sum_add(&session->sum, p->payload, p->len);
    tcp_recved(pcb, pbuf->tot_len);
    pbuf_free(pbuf);
    return ERR_OK;
}

/* --- echo ------------------------------------------------------------------------------------------------------- */

/* Send back as much as the send buffer takes. The peer's window opens only as far: a slow reader stops its own sender.
 */
static void echo_push(struct session *session, struct tcp_pcb *pcb)
{
    while (session->waiting) {
        struct pbuf *pbuf = session->waiting;
        u16 len = (u16)MIN((u32)pbuf->len, (u32)tcp_sndbuf(pcb));

        if (len == 0 || tcp_write(pcb, pbuf->payload, len, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        tcp_recved(pcb, len);
        session->waiting = pbuf_free_header(pbuf, len);
    }
    tcp_output(pcb);
}

static err_t echo_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    struct session *session = arg;

    (void)len;
    echo_push(session, pcb);
    return session->ended && !session->waiting ? session_close(session, pcb) : ERR_OK;
}

static err_t echo_received(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t error)
{
    struct session *session = arg;

    (void)error;
    if (!pbuf) {
        session->ended = true; /* what still waits for room is sent first */
        return session->waiting ? ERR_OK : session_close(session, pcb);
    }
    if (session->waiting) {
        /* Chains are limited to 64 KiB: what does not fit is refused, and lwIP offers it again. */
        if (session->waiting->tot_len + pbuf->tot_len > 0xFFFF)
            return ERR_MEM;
        pbuf_cat(session->waiting, pbuf);
    } else {
        session->waiting = pbuf;
    }
    echo_push(session, pcb);
    return ERR_OK;
}

/* --- source ----------------------------------------------------------------------------------------------------- */

static void source_push(struct session *session, struct tcp_pcb *pcb)
{
    /* To refill after each acknowledgement would make small segments. */
    if (tcp_sndbuf(pcb) < BLOCK)
        return;
    /* Go on where the last write ended. The block outlives every connection, so nothing is copied. */
    for (;;) {
        u32 at = session->bytes % BLOCK;
        u16 len = (u16)MIN(BLOCK - at, (u32)tcp_sndbuf(pcb));

        if (len == 0 || tcp_write(pcb, (const u8 *)block + at, len, 0) != ERR_OK)
            break;
        session->bytes += len;
    }
    tcp_output(pcb);
}

static err_t source_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
    (void)len;
    source_push(arg, pcb);
    return ERR_OK;
}

static err_t source_received(void *arg, struct tcp_pcb *pcb, struct pbuf *pbuf, err_t error)
{
    (void)error;
    if (!pbuf)
        return session_close(arg, pcb);
    tcp_recved(pcb, pbuf->tot_len);
    pbuf_free(pbuf);
    return ERR_OK;
}

/* --- All -------------------------------------------------------------------------------------------------------- */

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct session *session = error == ERR_OK && pcb ? calloc(1, sizeof(*session)) : NULL;
    u16 port = (u16)(u64)arg;

    if (!session)
        return ERR_MEM;
    tcp_arg(pcb, session);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
    if (port == TESTD_DISCARD) {
        tcp_recv(pcb, discard_received);
    } else if (port == PORT_ECHO) {
        tcp_recv(pcb, echo_received);
        tcp_sent(pcb, echo_sent);
    } else {
        tcp_recv(pcb, source_received);
        tcp_sent(pcb, source_sent);
        source_push(session, pcb);
    }
    return ERR_OK;
}

static void listen_on(u16 port)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *listening = NULL;

    if (pcb && tcp_bind(pcb, IP_ANY_TYPE, port) == ERR_OK)
        listening = tcp_listen(pcb);
    if (!listening) {
        pr_err("cannot listen on port %u", port);
        return;
    }
    tcp_arg(listening, (void *)(u64)port);
    tcp_accept(listening, on_accept);
}

void testd_start(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(block); i++)
        block[i] = i;
    listen_on(PORT_ECHO);
    listen_on(TESTD_DISCARD);
    listen_on(PORT_SOURCE);
    pr_info("echo, discard and source on TCP ports %u, %u and %u", PORT_ECHO, TESTD_DISCARD, PORT_SOURCE);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/tcp_hooks.c net/siphash.c net/tcp_pcb.c net/tcp_stream.c net/tcp_address.c net/csum.c */
/* sources: net/tls_hello.c net/callers.c net/tls_report.c net/tls_counters.c net/bucket.c */
/* sources: net/tls_pcb.c net/tls_in.c net/tls_out.c tls/seal.c tls/chacha20.c */
/* sources: tls/chacha20_vector.c tests/unit/fake_fpu.c */
/* sources: tests/unit/tcp_rig.c tests/unit/stubs.c */
/* libs: -lcmocka */
/*
 * libFuzzer entry for all that is ours between lwIP and the handshake: connections of TLS, and clients that are none,
 * come and go in any order, and packets between them are lost, doubled and changed. lwIP is real. The handshake is one
 * of a few bytes, made here: mbedTLS's takes too long. Whatever happens, an end that speaks TLS
 * receives what the other one has sent, in order, or an error; and in the end nothing is left.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/timeouts.h>

#include "net/tcp_stream.h"
#include "tests/unit/tcp_rig.h"
#include "tls/handshake.h"

#define PORT 4950 /* of hypervisors; the next one is of clients of the API */
#define ENDS 8
#define FLIGHT 40
#define TEXT 65536
#define STEPS 40
#define STEP_NS 5000000 /* that a step of a handshake takes */

static struct end {
    struct tcp_stream *stream; /* NULL: there is none */
    bool raw, server;
    size_t sent, got;
} ends[ENDS];

static u8 text[2][TEXT]; /* what a client says, and a server */
static int alive;        /* handshakes */
static bool no_memory;   /* the next handshake can't begin */

/* --- The handshake ---------------------------------------------------------------------------------------------- */

struct handshake {
    const struct handshake_ops *ops;
    void *ctx;
    bool server;
    size_t said, heard; /* bytes */
};

struct handshake *handshake_begin(enum handshake_role role, const char *host, const struct handshake_ops *ops,
                                  void *ctx)
{
    struct handshake *handshake = no_memory ? NULL : calloc(1, sizeof(*handshake));

    no_memory = false;
    REQUIRE(*host);
    if (!handshake)
        return NULL;
    alive++;
    *handshake = (struct handshake){ .ops = ops, .ctx = ctx, .server = role != HANDSHAKE_TO_PEER };
    return handshake;
}

static int say_flight(struct handshake *handshake)
{
    static const u8 flight[FLIGHT];

    while (handshake->said < FLIGHT) {
        long done = handshake->ops->send(handshake->ctx, flight, FLIGHT - handshake->said);

        if (done < 0)
            return (int)done;
        handshake->said += (size_t)done;
    }
    return 0;
}

/* Bytes of zero. Any other one is an error. */
static int hear_flight(struct handshake *handshake)
{
    static const int errors[] = { -EACCES, -EPERM, -ENOPROTOOPT, -ELOOP, -EPROTO, -ENOMEM };
    u8 byte;

    while (handshake->heard < FLIGHT) {
        long done = handshake->ops->receive(handshake->ctx, &byte, 1);

        if (done < 0)
            return (int)done;
        if (byte)
            return errors[byte % ARRAY_SIZE(errors)];
        handshake->heard++;
    }
    return 0;
}

int handshake_step(struct handshake *handshake)
{
    int err = handshake->server ? hear_flight(handshake) : say_flight(handshake);

    tcp_rig.now += STEP_NS;
    if (err)
        return err;
    return handshake->server ? say_flight(handshake) : hear_flight(handshake);
}

void handshake_take(struct handshake *handshake, struct handshake_result *result)
{
    static const u8 key[2][SEAL_KEY] = { { 1 }, { 2 } }, iv[SEAL_IV];

    seal_init(&result->out, key[handshake->server], iv, 1);
    seal_init(&result->in, key[!handshake->server], iv, 1);
    memcpy(result->peer, "alpha", 6);
}

void handshake_free(struct handshake *handshake)
{
    alive--;
    free(handshake);
}

/* --- The way ---------------------------------------------------------------------------------------------------- */

enum accident { NONE, LOST, DOUBLED, CHANGED };

static struct netif *loop(void)
{
    struct netif *netif = netif_list;

    while (netif->name[0] != 'l')
        netif = netif->next;
    return netif;
}

/* Change a byte behind the headers, which have no checksum here. */
static void change(struct pbuf *p, u8 where)
{
    u8 *bytes = p->payload;
    size_t head = 20 + (bytes[32] >> 4) * 4U;

    if (p->len > head)
        bytes[head + where % (p->len - head)] ^= 0x20;
}

/* One packet goes its way. False: there is none. */
static bool pass(enum accident accident, u8 where)
{
    struct netif *netif = loop();
    struct pbuf *p = netif->loop_first;

    if (!p)
        return false;
    REQUIRE(p->len == p->tot_len);
    netif->loop_first = p->next;
    if (!p->next)
        netif->loop_last = NULL;
    p->next = NULL;
    netif->loop_cnt_current--;
    if (accident == CHANGED)
        change(p, where);
    if (accident == DOUBLED)
        ip4_input(pbuf_clone(PBUF_RAW, PBUF_RAM, p), netif);
    if (accident == LOST)
        pbuf_free(p);
    else
        ip4_input(p, netif);
    return true;
}

static void settle(void)
{
    do
        tcp_stream_push_all();
    while (pass(NONE, 0));
}

static void wait(unsigned ms)
{
    settle();
    tcp_rig.now += ms * 1000000ULL;
    sys_check_timeouts();
}

/* --- The ends --------------------------------------------------------------------------------------------------- */

static struct end *free_end(void)
{
    for (unsigned i = 0; i < ENDS; i++)
        if (!ends[i].stream)
            return &ends[i];
    return NULL;
}

static void accepted(struct tcp_stream *stream)
{
    struct end *end = free_end();

    if (end)
        *end = (struct end){ .stream = stream, .server = true };
    else
        tcp_stream_abort(stream);
}

static void dial(bool raw, u16 port)
{
    const struct tcp_address to = { .bytes = { 127, 0, 0, 1 }, .port = port };
    struct end *end = free_end();

    if (!end)
        return;
    *end = (struct end){ .raw = raw };
    if (tcp_stream_connect(&to, raw ? TCP_ANYBODY : TCP_PEERS, &end->stream))
        end->stream = NULL;
}

static void talk(struct end *end, struct fuzz *fuzz, bool stable)
{
    size_t len = fuzz_number(fuzz, 2) % 20000;
    u8 words[64] = { 0 };
    long done;

    if (end->raw) {
        len %= sizeof(words);
        fuzz_bytes(fuzz, words, len / 2); /* zeros are right for a while */
        tcp_stream_send(end->stream, words, len, false);
        return;
    }
    done = tcp_stream_send(end->stream, text[end->server] + end->sent, MIN(len, TEXT - end->sent), stable);
    REQUIRE(done <= (long)len);
    end->sent += done > 0 ? (size_t)done : 0;
}

static void listen_to(struct end *end, size_t len)
{
    static u8 bytes[TEXT];
    long done = tcp_stream_receive(end->stream, bytes, len);

    REQUIRE(done <= (long)len);
    if (end->raw || done <= 0)
        return;
    REQUIRE(end->got + (size_t)done <= TEXT && !memcmp(bytes, text[!end->server] + end->got, (size_t)done));
    end->got += (size_t)done;
}

static void leave(struct end *end, bool at_once)
{
    struct tcp_stream *stream = end->stream;

    end->stream = NULL;
    if (at_once)
        tcp_stream_abort(stream);
    else
        tcp_stream_close(stream);
}

static void step_of_end(struct fuzz *fuzz, u8 what, struct end *end)
{
    if (!end->stream)
        return;
    switch (what) {
    case 0: talk(end, fuzz, true); break;
    case 1: talk(end, fuzz, false); break;
    case 2: listen_to(end, fuzz_number(fuzz, 2)); break;
    case 3: leave(end, false); break;
    default: leave(end, true); break;
    }
}

static void step(struct fuzz *fuzz)
{
    u8 what = fuzz_u8(fuzz), which = fuzz_u8(fuzz);

    switch (what % 16) {
    case 0: dial(false, PORT); break;
    case 1: dial(true, PORT); break;
    case 2: dial(true, PORT + 1); break;
    case 3: settle(); break;
    case 4: wait(which * 8U); break;
    case 5: no_memory = which < 64; break;
    case 6:
    case 7:
        tcp_stream_push_all();
        pass(NONE, 0);
        break;
    case 8:
    case 9:
    case 10:
        tcp_stream_push_all();
        pass((enum accident)(what % 16 - 7), which);
        break;
    default: step_of_end(fuzz, what % 16 - 11, &ends[which % ENDS]); break;
    }
}

static void begin(void)
{
    for (unsigned i = 0; i < TEXT; i++) {
        text[0][i] = (u8)(i * 31 + (i >> 8));
        text[1][i] = (u8)(i * 17 + (i >> 7));
    }
    REQUIRE(!tcp_rig_init());
    NETIF_SET_CHECKSUM_CTRL(loop(), NETIF_CHECKSUM_DISABLE_ALL);
    REQUIRE(!tcp_stream_listen(PORT, TCP_PEERS, accepted) && !tcp_stream_listen(PORT + 1, TCP_CLIENTS, accepted));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };

    if (!tcp_rig.now)
        begin();
    tcp_rig.now += 1000000;
    for (unsigned i = 0; i < STEPS && fuzz.size; i++)
        step(&fuzz);
    for (unsigned i = 0; i < ENDS; i++)
        if (ends[i].stream)
            leave(&ends[i], i % 2);
    no_memory = false;
    wait(100);
    for (unsigned i = 0; i < ENDS; i++) /* those that were accepted by then */
        if (ends[i].stream)
            leave(&ends[i], true);
    tcp_rig_clear(NULL);
    settle();
    REQUIRE(!alive && !tcp_active_pcbs);
    return 0;
}

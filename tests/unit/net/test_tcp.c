/* SPDX-License-Identifier: BSD-2-Clause */
/* Our TCP, lwIP with net/tcp_hooks.c, on a link of its own: clients are segments made by hand. */
/* sources: tls/rights.c tls/authority.c host/calendar.c */
/* sources: net/tcp_hooks.c net/siphash.c net/tcp_pcb.c net/tcp_server.c net/tcp_stream.c net/tcp_address.c */
/* sources: net/tls_hello.c net/callers.c net/tls_report.c net/tls_counters.c net/bucket.c */
/* sources: net/tls_pcb.c net/tls_in.c net/tls_out.c tls/certificate.c tls/handshake.c tls/seal.c */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c tls/keyring.c tls/hex.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: net/csum.c tests/unit/tcp_rig.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>

#include "host/clock.h"
#include "tls/random.h"
#include "net/callers.h"
#include "net/siphash.h"
#include "net/tcp_hooks.h"
#include "net/tcp_server.h"
#include "net/tcp_stream.h"
#include "tests/unit/tcp_rig.h"

#define SERVER_PORT 80

/* --- The server: it has a connection at a time to look at ------------------------------------------------------- */

static struct tcp_conn *conn;
static unsigned nr_received, nr_closed;
static bool busy; /* it takes nothing */

static void *opened(struct tcp_conn *which)
{
    conn = which;
    return &conn;
}

static size_t received(void *ctx, const void *data, size_t len)
{
    (void)ctx;
    (void)data;
    nr_received += busy ? 0 : (unsigned)len;
    return busy ? 0 : len;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void closed(void *ctx)
{
    (void)ctx;
    nr_closed++;
}

static const struct tcp_server_ops ops = {
    .opened = opened, .received = received, .writable = nothing, .closed = closed
};

static int group_setup(void **state)
{
    (void)state;
    return tcp_rig_init() || tcp_server_start(SERVER_PORT, TCP_ANYBODY, &ops);
}

/* The server closes first, then the client. Returns the client's next number; *server_next: the server's. */
static u32_t close_server_first(u16_t from, u32_t seq, u32_t *server_next)
{
    u32_t next = handshake(from, SERVER_PORT, seq);

    tcp_conn_close(conn);
    assert_true(tcp_rig.sent.flags & TCP_FIN);
    say(from, SERVER_PORT, seq + 1, next + 1, TCP_FIN | TCP_ACK, 0);
    *server_next = next + 1;
    return seq + 2;
}

static void test_time_wait_takes_a_new_connection(void **state)
{
    u32_t end, next = close_server_first(5000, 1000, &end), again;

    (void)state;
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), 1);
    say(5000, SERVER_PORT, next - 1, 0, TCP_SYN, 0); /* an old duplicate */
    assert_int_equal(tcp_rig.sent.flags, TCP_ACK);
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), 1);

    again = handshake(5000, SERVER_PORT, next + 7); /* in the old window: lwIP would answer with a reset */
    assert_true(TCP_SEQ_GT(again, end));
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), 0);
    nr_received = 0;
    say(5000, SERVER_PORT, next + 8, again, TCP_ACK, 10);
    assert_int_equal(nr_received, 10);

    tcp_rig_clear(NULL);
    next = close_server_first(5000, 1000, &end);
    handshake(5000, SERVER_PORT, next + 0x10000000); /* beyond it: lwIP would acknowledge the old connection */
}

/* The host begins so many connections, and completes none. */
static void begin_many(u16_t count)
{
    for (u16_t port = 10000; port < 10000 + count; port++)
        say(port, SERVER_PORT, port, 0, TCP_SYN, 0);
}

/* One who completes his connection is served, however many others don't; the oldest of these are forgotten. */
static void test_half_open(void **state)
{
    (void)state;
    begin_many(1000);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), TCP_HALF_OPEN_MAX);
    conn = NULL;
    handshake(5001, SERVER_PORT, 77);
    assert_non_null(conn);
    begin_many(1000);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), TCP_HALF_OPEN_MAX + 1);
}

/* A known host completes the connection that it has begun, however many strangers begin others meanwhile. But whoever
 * says that his segments are of known hosts has no more than their half. */
static void test_half_open_of_a_known_host(void **state)
{
    const struct tcp_address known = { .bytes = { 10, 9, 0, 7 } };
    u32 known_isn, isn;

    (void)state;
    caller_know(&known, true, 1);
    tcp_rig.host = 7;
    say(5001, SERVER_PORT, 77, 0, TCP_SYN, 0);
    known_isn = tcp_rig.sent.seq;
    tcp_rig.host = 9;
    begin_many(200);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), TCP_HALF_OPEN_MAX);
    conn = NULL;
    tcp_rig.host = 7;
    say(5001, SERVER_PORT, 78, known_isn + 1, TCP_ACK, 0);
    assert_non_null(conn);
    tcp_rig.host = 9;
    say(5002, SERVER_PORT, 77, 0, TCP_SYN, 0);
    isn = tcp_rig.sent.seq;
    tcp_rig.host = 7;
    begin_many(200);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), TCP_HALF_OPEN_MAX + 1);
    conn = NULL;
    tcp_rig.host = 9;
    say(5002, SERVER_PORT, 78, isn + 1, TCP_ACK, 0);
    assert_non_null(conn);
}

static void test_peers_that_do_not_close(void **state)
{
    (void)state;
    for (u16_t port = 10000; port < 11000; port++) {
        handshake(port, SERVER_PORT, port);
        tcp_conn_close(conn);
    }
    assert_in_range(tcp_rig_length(tcp_active_pcbs), 1, TCP_CLOSED_MAX);
    tcp_rig_clear(NULL);
    for (u16_t port = 10000; port < 11000; port++) {
        handshake(port, STREAM_PORT, port);
        tcp_stream_close(tcp_rig.stream);
    }
    assert_in_range(tcp_rig_length(tcp_active_pcbs), 1, TCP_CLOSED_MAX);
}

static void test_time_wait_is_bounded(void **state)
{
    u32_t end;

    (void)state;
    for (u16_t port = 10000; port < 11000; port++)
        close_server_first(port, port, &end);
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), TCP_TIME_WAIT_MAX);
    for (const struct tcp_pcb *pcb = tcp_tw_pcbs; pcb; pcb = pcb->next)
        assert_in_range(pcb->remote_port, 11000 - TCP_TIME_WAIT_MAX, 10999);
}

/* The connection of who closes at the moment when we do is in TIME_WAIT with the acknowledgement of our end, of which
 * lwIP tells nobody, and is freed some seconds later. We have let go of it before. */
static void test_both_close_at_once(void **state)
{
    static const u8_t bytes[100];
    u32_t next = handshake(5004, STREAM_PORT, 1000);

    (void)state;
    assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, sizeof(bytes), true), sizeof(bytes));
    tcp_stream_push_all();
    tcp_stream_close(tcp_rig.stream);
    assert_true(tcp_rig.sent.flags & TCP_FIN);
    say(5004, STREAM_PORT, 1001, next, TCP_FIN | TCP_ACK, 0);
    next += sizeof(bytes);
    say(5004, STREAM_PORT, 1002, next, TCP_ACK, 0);
    say(5004, STREAM_PORT, 1002, next + 1, TCP_ACK, 0);
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), 1);
    tcp_rig_clear(NULL);
    tcp_stream_abort_lingering(NULL);
}

/* A stream from that port that sends memory of this lender and then, copied, its last words; closed. Returns the number
 * of the first byte. */
static u32_t lend_and_close(u16_t from, const void *lender)
{
    static const u8_t bytes[100];
    u32_t next = handshake(from, STREAM_PORT, 1000);

    tcp_stream_lend(tcp_rig.stream, lender);
    assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, sizeof(bytes), true), sizeof(bytes));
    tcp_stream_push_all();
    assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, 4, false), 4);
    tcp_stream_push_all();
    tcp_stream_close(tcp_rig.stream);
    assert_true(tcp_rig.sent.flags & TCP_FIN);
    return next;
}

/* When a guest's memory is freed, no stream may send of it any more. Others still say their last words: streams of
 * other guests, and those whose peer has all of this guest's memory. */
static void test_who_lends_takes_back(void **state)
{
    static const char a, b;
    u32_t next;

    (void)state;
    lend_and_close(5010, &b);
    next = lend_and_close(5011, &a);
    say(5011, STREAM_PORT, 1001, next + 100, TCP_ACK, 0);
    lend_and_close(5012, &a);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 3);
    tcp_stream_abort_lingering(&a);
    assert_true(tcp_rig.sent.flags & TCP_RST);
    assert_int_equal(tcp_rig.sent.to, 5012);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 2);
    tcp_stream_abort_lingering(&b);
    assert_true(tcp_rig.sent.flags & TCP_RST);
    assert_int_equal(tcp_rig.sent.to, 5010);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 1);
}

/* A segment whose header fills the first fragment of its packet: its bytes are in a pbuf behind an empty one. */
static void say_in_fragments(u16_t from, u16_t to, u32_t seq, u32_t ack)
{
    u8_t segment[32] = { 0 };
    struct tcp_hdr hdr = { .src = lwip_htons(from),
                           .dest = lwip_htons(to),
                           .seqno = lwip_htonl(seq),
                           .ackno = lwip_htonl(ack),
                           .wnd = lwip_htons(WINDOW) };

    TCPH_HDRLEN_FLAGS_SET(&hdr, 6, TCP_ACK); /* four bytes of options: they end */
    memcpy(segment, &hdr, sizeof(hdr));
    for (unsigned at = 0; at < sizeof(segment); at += 24) {
        unsigned len = at ? sizeof(segment) - at : 24;
        struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16)(20 + len), PBUF_RAM);
        const u8_t ip[20] = {
            0x45, 0, 0, (u8_t)(20 + len), 0, 7, at ? 0 : 0x20, (u8_t)(at / 8), 64, IP_PROTO_TCP, 0, 0, 10, 9, 0, 9, 10,
            9,    0, 2
        };

        memcpy(p->payload, ip, sizeof(ip));
        memcpy((u8_t *)p->payload + sizeof(ip), segment + at, len);
        assert_int_equal(tcp_rig.link->input(p, tcp_rig.link), ERR_OK);
    }
}

/* What a peer sends in such pieces arrives as the same bytes do in one: the host loop neither waits for it for ever nor
 * takes an empty piece for the end of what has come. */
static void test_empty_pieces(void **state)
{
    u32_t next = handshake(5005, STREAM_PORT, 1000);
    u8_t bytes[16];

    (void)state;
    say_in_fragments(5005, STREAM_PORT, 1001, next);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, bytes, sizeof(bytes)), 8);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, bytes, sizeof(bytes)), -EAGAIN);
    tcp_stream_abort(tcp_rig.stream);

    next = handshake(5006, SERVER_PORT, 1000);
    nr_received = 0;
    say_in_fragments(5006, SERVER_PORT, 1001, next);
    assert_int_equal(nr_received, 8);
}

/* A peer that closes behind a request that is not taken yet: who takes it then still has its connection, answers, and
 * hears of the end later. */
static void test_end_behind_what_waits(void **state)
{
    u32_t next = handshake(5007, SERVER_PORT, 1000);

    (void)state;
    nr_received = nr_closed = 0;
    busy = true;
    say(5007, SERVER_PORT, 1001, next, TCP_ACK, 10);
    say(5007, SERVER_PORT, 1011, next, TCP_FIN | TCP_ACK, 0);
    busy = false;
    tcp_conn_receive(conn);
    assert_int_equal(nr_received, 10);
    assert_int_equal(nr_closed, 0);
    assert_int_equal(tcp_conn_write(conn, "answer", 6), 6);
    say(5007, SERVER_PORT, 1012, next + 6, TCP_ACK, 0);
    assert_int_equal(nr_closed, 1);
    assert_true(tcp_rig.sent.flags & TCP_FIN);
}

static u8_t frame[64];

static err_t frame_output(struct netif *netif, struct pbuf *p)
{
    (void)netif;
    pbuf_copy_partial(p, frame, sizeof(frame), 0);
    return ERR_OK;
}

/* A segment of a move waits for the neighbour's MAC while the connection is reset and the guest's RAM goes to others:
 * what the neighbour gets then is what was said, not what they have there. */
static void test_what_waits_for_a_mac(void **state)
{
    static u8_t ram[20] = "of the guest";
    struct pbuf *header = pbuf_alloc(PBUF_LINK, 2, PBUF_RAM), *p = pbuf_alloc(PBUF_RAW, sizeof(ram), PBUF_ROM),
                *reply = pbuf_alloc(PBUF_RAW, SIZEOF_ETHARP_HDR, PBUF_RAM);
    /* A reply: 10.9.0.9 is at 02:00:00:00:00:09. */
    static const u8_t arp[SIZEOF_ETHARP_HDR + 1] = "\0\1\10\0\6\4\0\2"
                                                   "\2\0\0\0\0\11"
                                                   "\12\11\0\11"
                                                   "\2\0\0\0\0\2"
                                                   "\12\11\0\2";
    ip4_addr_t neighbour;

    (void)state;
    IP4_ADDR(&neighbour, 10, 9, 0, 9);
    tcp_rig.link->linkoutput = frame_output;
    tcp_rig.link->hwaddr_len = ETH_HWADDR_LEN;
    tcp_rig.link->flags |= NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    p->payload = ram;
    pbuf_cat(header, p);
    assert_int_equal(etharp_query(tcp_rig.link, &neighbour, header), ERR_OK);
    pbuf_free(header);
    memcpy(ram, "of another one", 15);
    memcpy(reply->payload, arp, SIZEOF_ETHARP_HDR);
    etharp_input(reply, tcp_rig.link);
    assert_string_equal((char *)frame + SIZEOF_ETH_HDR + 2, "of the guest");
}

/* Bytes of a peer that leaves a gap after each: so many frames are kept, and what was dropped can be sent again. */
static void gaps(u16_t from, u16_t to, unsigned most)
{
    u32_t seq = 1000, ack = handshake(from, to, seq++), count = 0;

    for (u32_t i = 1; i < 10000; i += 2)
        say(from, to, seq + i, ack, TCP_ACK, 1);
    for (const struct tcp_seg *seg = tcp_active_pcbs->ooseq; seg; seg = seg->next)
        count += pbuf_clen(seg->p);
    assert_int_equal(count, most);
    for (u32_t i = 0; i < 10000; i++)
        say(from, to, seq + i, ack, TCP_ACK, 1);
    assert_int_equal(tcp_rig.sent.ack, seq + 10000);
}

static void test_out_of_order_is_bounded(void **state)
{
    (void)state;
    nr_received = 0;
    gaps(5002, SERVER_PORT, 64);
    assert_int_equal(nr_received, 10000);
    gaps(5003, STREAM_PORT, 2048);
    tcp_stream_abort(tcp_rig.stream);
}

/* A connection to a peer that takes segments of many frames, of which the first is lost and 19 more are on their way.
 * Returns the number of the first byte. */
static u32_t lose_first(u16_t from)
{
    static const u8_t bytes[TCP_SND_BUF];
    u32_t first = handshake(from, STREAM_PORT, 1000);
    struct tcp_pcb *pcb = tcp_active_pcbs;
    size_t done = 0;

    tcp_rig.link->mtu = TCP_MSS + 40;
    pcb->mss = TCP_MSS;
    pcb->cwnd = 20 * TCP_MSS;
    pcb->snd_scale = TCP_RCV_SCALE;
    say(from, STREAM_PORT, 1001, first, TCP_ACK, 0); /* the window, by the scale */
    for (long part; (part = tcp_stream_send(tcp_rig.stream, bytes + done, sizeof(bytes) - done, true)) > 0;)
        done += (size_t)part;
    tcp_rig.sent.bytes = 0;
    tcp_stream_push_all();
    assert_int_equal(tcp_rig.sent.bytes, 20 * TCP_MSS);
    return first;
}

/* Such a peer acknowledges frames. Each that has arrived behind the lost one lets a frame go, not a segment. */
static void test_frames_behind_a_loss(void **state)
{
    u32_t first = lose_first(5008);

    (void)state;
    tcp_rig.sent.bytes = 0;
    for (unsigned i = 0; i < 3; i++)
        say(5008, STREAM_PORT, 1001, first, TCP_ACK, 0);
    assert_int_equal(tcp_rig.sent.bytes, TCP_MSS); /* again */
    for (unsigned i = 3; i < 19 * TCP_MSS / TCP_FRAME; i++)
        say(5008, STREAM_PORT, 1001, first, TCP_ACK, 0);
    /* The window became half of the 20 segments, and three more, then grew by 18.7: 11 whole ones beyond the 20. */
    assert_int_equal(tcp_rig.sent.bytes, (1 + 11) * TCP_MSS);
    tcp_stream_abort(tcp_rig.stream);
    tcp_rig.link->mtu = 1500;
}

/* The reference's vectors for 8 and 16 bytes, 00 01 02 ..., under the key 00 01 ... 0f. */
static void test_siphash(void **state)
{
    const u64 key[2] = { 0x0706050403020100, 0x0F0E0D0C0B0A0908 };

    (void)state;
    assert_int_equal(siphash(key, key, 1), 0x93F5F5799A932462);
    assert_int_equal(siphash(key, key, 2), 0x3F2ACC7F57C29BDB);
}

/* Numbers of one connection's ends go up with time; from them nobody learns those of another. */
static void test_isn(void **state)
{
    ip_addr_t local = IPADDR4_INIT_BYTES(10, 9, 0, 2), remote = IPADDR4_INIT_BYTES(10, 9, 0, 9);
    u32_t first = tcp_hook_isn(&local, 80, &remote, 5000), other = tcp_hook_isn(&local, 80, &remote, 5001),
          third = tcp_hook_isn(&local, 80, &remote, 5002);

    (void)state;
    tcp_rig.now += 4000000;
    assert_int_equal(tcp_hook_isn(&local, 80, &remote, 5000) - first, 1000);
    assert_int_not_equal(other - first, third - other);
    assert_true(labs((long)(s32_t)(other - first)) > 100000 && labs((long)(s32_t)(third - other)) > 100000);
}

/* What another machine's address may look like, and how it is shown. */
static void test_addresses(void **state)
{
    static const char *const wrong[] = { "",
                                         "host",
                                         "10.9",
                                         "10.9.0.2:0",
                                         "10.9.0.2:65536",
                                         "127.0.0.1",
                                         "127.8.8.8:4900",
                                         "0.0.0.0",
                                         "224.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "[::1]:80",
                                         "ff02::1",
                                         "[fd09::2" };
    static const struct {
        const char *given, *shown;
    } right[] = {
        { "10.9.0.2", "10.9.0.2:4900" }, { "10.9.0.2:80", "10.9.0.2:80" },   { "223.0.0.1", "223.0.0.1:4900" },
        { "fd09::2", "[fd09::2]:4900" }, { "[FD09::2]:80", "[fd09::2]:80" }, { "fe80::ab", "[fe80::ab]:4900" },
    };
    struct tcp_address address;
    char text[TCP_ADDRESS_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (tcp_address_parse(wrong[i], 4900, &address) != -EINVAL)
            fail_msg("%s was taken", wrong[i]);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(tcp_address_parse(right[i].given, 4900, &address), 0);
        tcp_address_text(&address, text);
        assert_string_equal(text, right[i].shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test_teardown(test_time_wait_takes_a_new_connection, tcp_rig_clear),
        cmocka_unit_test_teardown(test_half_open, tcp_rig_clear),
        cmocka_unit_test_teardown(test_half_open_of_a_known_host, tcp_rig_clear),
        cmocka_unit_test_teardown(test_peers_that_do_not_close, tcp_rig_clear),
        cmocka_unit_test_teardown(test_time_wait_is_bounded, tcp_rig_clear),
        cmocka_unit_test_teardown(test_both_close_at_once, tcp_rig_clear),
        cmocka_unit_test_teardown(test_who_lends_takes_back, tcp_rig_clear),
        cmocka_unit_test_teardown(test_empty_pieces, tcp_rig_clear),
        cmocka_unit_test_teardown(test_end_behind_what_waits, tcp_rig_clear),
        cmocka_unit_test_teardown(test_what_waits_for_a_mac, tcp_rig_clear),
        cmocka_unit_test_teardown(test_out_of_order_is_bounded, tcp_rig_clear),
        cmocka_unit_test_teardown(test_frames_behind_a_loss, tcp_rig_clear),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_isn),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A stream as its owner sees it (net/tcp_stream.h): lwIP is real, the other end is made by hand. */
/* sources: tls/rights.c tls/authority.c host/calendar.c */
/* sources: net/tcp_hooks.c net/siphash.c net/tcp_pcb.c net/tcp_stream.c net/tcp_address.c net/csum.c */
/* sources: net/tls_hello.c net/callers.c net/tls_report.c net/tls_counters.c net/bucket.c */
/* sources: net/tls_pcb.c net/tls_in.c net/tls_out.c tls/certificate.c tls/handshake.c tls/seal.c */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c tls/keyring.c tls/hex.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/tcp_rig.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lwip/priv/tcp_priv.h>

#include "net/tcp_stream.h"
#include "tests/unit/tcp_rig.h"

#define PEER_PORT 4901

static const struct tcp_address peer = { .bytes = { 10, 9, 0, 9 }, .port = PEER_PORT };
static u8 bytes[1 << 20];

static int group_setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (u8)i;
    return tcp_rig_init();
}

/* --- Connecting ------------------------------------------------------------------------------------------------ */

static struct tcp_stream *connecting(void)
{
    struct tcp_stream *stream;

    assert_int_equal(tcp_stream_connect(&peer, TCP_ANYBODY, &stream), 0);
    assert_int_equal(tcp_rig.sent.flags, TCP_SYN);
    assert_int_equal(tcp_rig.sent.to, PEER_PORT);
    assert_int_equal(tcp_stream_state(stream), -EAGAIN);
    assert_int_equal(tcp_stream_send(stream, bytes, 10, false), -EAGAIN);
    assert_int_equal(tcp_stream_receive(stream, bytes, 10), -EAGAIN);
    return stream;
}

static void test_connect(void **state)
{
    struct tcp_stream *stream = connecting();
    struct tcp_address other;
    u16_t port = tcp_rig.sent.from;
    u32_t next = tcp_rig.sent.seq + 1;

    (void)state;
    say(PEER_PORT, port, 7000, next, TCP_SYN | TCP_ACK, 0);
    assert_int_equal(tcp_stream_state(stream), 0);
    assert_true(tcp_stream_peer(stream, &other));
    assert_true(!other.ip6 && other.port == PEER_PORT);
    assert_memory_equal(other.bytes, peer.bytes, 4);
    assert_int_equal(tcp_stream_send(stream, bytes, 10, false), 10);
    assert_int_equal(tcp_stream_unacknowledged(stream), 10);
    tcp_stream_push_all();
    assert_int_equal(tcp_rig.sent.seq, next);
    say(PEER_PORT, port, 7001, next + 10, TCP_ACK, 0);
    assert_int_equal(tcp_stream_unacknowledged(stream), 0);
    tcp_stream_abort(stream);
    assert_true(tcp_rig.sent.flags & TCP_RST);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 0);
}

static void test_refused(void **state)
{
    struct tcp_stream *stream = connecting();
    struct tcp_address other;

    (void)state;
    say(PEER_PORT, tcp_rig.sent.from, 0, tcp_rig.sent.seq + 1, TCP_RST | TCP_ACK, 0);
    assert_int_equal(tcp_stream_state(stream), -ECONNREFUSED);
    assert_int_equal(tcp_stream_send(stream, bytes, 10, false), -ECONNREFUSED);
    assert_int_equal(tcp_stream_receive(stream, bytes, 10), -ECONNREFUSED);
    assert_false(tcp_stream_peer(stream, &other));
    tcp_stream_close(stream);
}

static void test_no_route(void **state)
{
    const struct tcp_address elsewhere = { .bytes = { 192, 168, 7, 7 }, .port = PEER_PORT };
    struct tcp_stream *stream;

    (void)state;
    netif_set_default(NULL);
    assert_int_equal(tcp_stream_connect(&elsewhere, TCP_ANYBODY, &stream), -EHOSTUNREACH);
    netif_set_default(tcp_rig.link);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs) + tcp_rig_length(tcp_bound_pcbs), 0);
}

/* An owner that has enough of waiting leaves nothing behind. */
static void test_closed_before_it_is_connected(void **state)
{
    (void)state;
    tcp_stream_close(connecting());
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 0);
}

/* --- Sending --------------------------------------------------------------------------------------------------- */

/* What is sent in one turn of the host loop shares segments, and leaves with the push. */
static void test_one_turn_one_segment(void **state)
{
    unsigned count;

    (void)state;
    handshake(6001, STREAM_PORT, 1000);
    count = tcp_rig.sent.count;
    tcp_rig.sent.bytes = 0;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, 50, i % 2), 50);
    tcp_stream_push_all();
    assert_int_equal(tcp_rig.sent.bytes, 500);
    assert_int_equal(tcp_rig.sent.count, count + 1);
    tcp_stream_push_all();
    assert_int_equal(tcp_rig.sent.count, count + 1); /* nothing is left to push */
    tcp_stream_abort(tcp_rig.stream);
}

/* A full buffer says so; it takes more when there is room for much, and all that was taken leaves in order. */
static void test_full_buffer(void **state)
{
    u32_t next = handshake(6002, STREAM_PORT, 1000), acked = next;
    size_t taken = 0;
    long n;

    (void)state;
    while ((n = tcp_stream_send(tcp_rig.stream, bytes, sizeof(bytes), true)) > 0)
        taken += (size_t)n;
    assert_int_equal(n, -EAGAIN);
    assert_int_equal(taken, TCP_SND_BUF);
    tcp_rig.sent.bytes = 0;
    tcp_stream_push_all();
    say(6002, STREAM_PORT, 1001, acked += 100, TCP_ACK, 0);
    assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, 1, true), -EAGAIN); /* not for so little */
    while (tcp_stream_unacknowledged(tcp_rig.stream)) {
        u32_t before = acked;

        tcp_stream_push_all();
        say(6002, STREAM_PORT, 1001, acked = next + (u32_t)tcp_rig.sent.bytes, TCP_ACK, 0);
        assert_true(acked != before || !tcp_stream_unacknowledged(tcp_rig.stream));
    }
    assert_int_equal(acked - next, taken);
    assert_true(tcp_stream_send(tcp_rig.stream, bytes, 1, true) == 1);
    tcp_stream_abort(tcp_rig.stream);
}

/* close sends what was taken, and ends behind it; the stream is gone when the peer has all and has closed, too. */
static void test_last_words(void **state)
{
    u32_t next = handshake(6003, STREAM_PORT, 1000);

    (void)state;
    tcp_rig.sent.bytes = 0;
    assert_int_equal(tcp_stream_send(tcp_rig.stream, "last words", 10, false), 10);
    tcp_stream_close(tcp_rig.stream);
    tcp_stream_push_all();
    assert_int_equal(tcp_rig.sent.bytes, 10);
    assert_true(tcp_rig.sent.flags & TCP_FIN);
    say(6003, STREAM_PORT, 1001, next + 11, TCP_ACK, 20); /* what it says now is no reason for a reset */
    assert_false(tcp_rig.sent.flags & TCP_RST);
    say(6003, STREAM_PORT, 1021, next + 11, TCP_FIN | TCP_ACK, 0);
    assert_false(tcp_rig.sent.flags & TCP_RST);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 0);
}

/* --- Receiving ------------------------------------------------------------------------------------------------- */

/* Bytes come as they were sent, in whatever pieces, and the end behind the last of them. */
static void test_bytes_and_the_end(void **state)
{
    u32_t next = handshake(6004, STREAM_PORT, 1000);
    u8 got[64];
    size_t n = 0;
    long part;

    (void)state;
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, got, sizeof(got)), -EAGAIN);
    say(6004, STREAM_PORT, 1001, next, TCP_ACK, 10);
    say(6004, STREAM_PORT, 1011, next, TCP_ACK, 20);
    say(6004, STREAM_PORT, 1031, next, TCP_FIN | TCP_ACK, 5);
    while ((part = tcp_stream_receive(tcp_rig.stream, got + n, 7)) > 0)
        n += (size_t)part;
    assert_int_equal(part, -EPIPE);
    assert_int_equal(n, 35);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(got[i], (u8)(1001 + i));
    assert_int_equal(tcp_stream_state(tcp_rig.stream), 0); /* we may go on to send */
    assert_int_equal(tcp_stream_send(tcp_rig.stream, bytes, 5, false), 5);
    tcp_stream_abort(tcp_rig.stream);
}

/* The window is closed by what the owner has not taken, and opens when it takes it. */
static void test_window(void **state)
{
    u32_t next = handshake(6005, STREAM_PORT, 1000), seq = 1001, before = tcp_rig.sent.window;
    static u8 got[64000];

    (void)state;
    for (unsigned i = 0; i < 40; i++, seq += 1000)
        say(6005, STREAM_PORT, seq, next, TCP_ACK, 1000);
    assert_true(tcp_rig.sent.window < before);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, got, sizeof(got)), 40000);
    say(6005, STREAM_PORT, seq, next, TCP_ACK, 1);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, got, sizeof(got)), 1);
    tcp_rig.now += 1000000000;
    tcp_tmr();
    say(6005, STREAM_PORT, seq + 1, next, TCP_ACK, 1);
    tcp_tmr();
    assert_true(tcp_rig.sent.window + 2U >= before);
    tcp_stream_abort(tcp_rig.stream);
}

/* A reset ends the stream behind the bytes that have come. */
static void test_reset(void **state)
{
    u32_t next = handshake(6006, STREAM_PORT, 1000);
    u8 got[64];

    (void)state;
    say(6006, STREAM_PORT, 1001, next, TCP_ACK, 10);
    say(6006, STREAM_PORT, 1011, next, TCP_RST | TCP_ACK, 0);
    assert_int_equal(tcp_stream_state(tcp_rig.stream), -ECONNRESET);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, got, sizeof(got)), 10);
    assert_int_equal(tcp_stream_receive(tcp_rig.stream, got, sizeof(got)), -ECONNRESET);
    assert_int_equal(tcp_stream_send(tcp_rig.stream, got, 1, false), -ECONNRESET);
    tcp_stream_close(tcp_rig.stream);
}

/* lwIP has no memory for a connection that comes, and tells the listener so. */
static void test_no_memory(void **state)
{
    struct tcp_pcb_listen *listener = tcp_listen_pcbs.listen_pcbs;

    (void)state;
    while (listener && listener->local_port != STREAM_PORT)
        listener = listener->next;
    assert_non_null(listener);
    tcp_rig.stream = NULL;
    assert_int_equal(listener->accept(listener->callback_arg, NULL, ERR_MEM), ERR_MEM);
    assert_null(tcp_rig.stream);
    handshake(6007, STREAM_PORT, 1000);
    assert_non_null(tcp_rig.stream);
    tcp_stream_abort(tcp_rig.stream);
}

#define TEST(name) cmocka_unit_test_teardown(name, tcp_rig_clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connect),
        TEST(test_refused),
        TEST(test_no_route),
        TEST(test_closed_before_it_is_connected),
        TEST(test_one_turn_one_segment),
        TEST(test_full_buffer),
        TEST(test_last_words),
        TEST(test_bytes_and_the_end),
        TEST(test_window),
        TEST(test_reset),
        TEST(test_no_memory),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams over TLS (net/tls_pcb.h), from one end to the other: lwIP is real, both ends are here, and what goes between
 * them passes through the test. They share the keyring. */
/* sources: tls/rights.c tls/authority.c host/calendar.c */
/* sources: net/tcp_hooks.c net/siphash.c net/tcp_pcb.c net/tcp_stream.c net/tcp_address.c net/csum.c */
/* sources: net/tls_hello.c net/callers.c net/tls_report.c net/tls_counters.c net/bucket.c */
/* sources: net/tls_pcb.c net/tls_in.c net/tls_out.c tls/certificate.c tls/handshake.c tls/seal.c */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c tls/keyring.c tls/hex.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: tests/unit/tcp_rig.c tests/unit/stubs.c */
#include "tls/keyring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <lwip/altcp_tcp.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/timeouts.h>

#include "host/bits.h"
#include "net/tcp_pcb.h"
#include "net/tcp_stream.h"
#include "net/tls_counters.h"
#include "tests/unit/stubs.h"
#include "tests/unit/tcp_rig.h"
#include "tests/unit/tls/authority_pem.h"
#include "tls/authority.h"
#include "tls/certificate.h"

#define PORT 4950
#define BULK 300000
#define IDLE 64
#define MARK "a word that nobody may read on the way"
#define KEY_A "group 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "group f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const struct tcp_address here = { .bytes = { 127, 0, 0, 1 }, .port = PORT };
static struct tcp_stream *client, *server;
static u8 bulk[BULK], arrived[BULK];

/* The way. */
static struct {
    bool seen;        /* the mark has passed */
    size_t corrupt;   /* packets with more than so many bytes have one of them changed; 0: none */
    unsigned changed; /* packets */
    bool relayed;     /* what is for 127.0.0.1 and PORT goes to 10.9.0.2, and answers look as if they came from there */
    u8 from;          /* what is for PORT comes from 127.0.0.x, and answers go back all the same; 0: as it is */
} way;

static void masquerade(u8 *packet)
{
    u16_t from, to;

    memcpy(&from, packet + 20, sizeof(from));
    memcpy(&to, packet + 22, sizeof(to));
    if (to == lwip_htons(PORT) && way.from)
        packet[15] = way.from;
    if (from == lwip_htons(PORT))
        packet[19] = 1;
}

static void relay(u8 *packet)
{
    static const u8 meant[] = { 127, 0, 0, 1 }, other[] = { 10, 9, 0, 2 };
    u16_t from, to;

    memcpy(&from, packet + 20, sizeof(from));
    memcpy(&to, packet + 22, sizeof(to));
    if (to == lwip_htons(PORT))
        memcpy(packet + 16, other, sizeof(other));
    if (from == lwip_htons(PORT))
        memcpy(packet + 12, meant, sizeof(meant));
}

static struct netif *loop(void)
{
    struct netif *netif = netif_list;

    while (netif->name[0] != 'l')
        netif = netif->next;
    return netif;
}

/* One packet goes its way. False: there is none. */
static bool pass(void)
{
    struct netif *netif = loop();
    struct pbuf *p = netif->loop_first;
    u8 *bytes = p ? p->payload : NULL;

    if (!p)
        return false;
    assert_int_equal(p->len, p->tot_len);
    netif->loop_first = p->next;
    if (!p->next)
        netif->loop_last = NULL;
    p->next = NULL;
    netif->loop_cnt_current--;
    way.seen |= memmem(bytes, p->len, MARK, strlen(MARK)) != NULL;
    if (way.corrupt && p->len > way.corrupt) {
        bytes[p->len - 20] ^= 1;
        way.changed++;
    }
    if (way.relayed)
        relay(bytes);
    else
        masquerade(bytes);
    assert_int_equal(ip4_input(p, netif), ERR_OK);
    return true;
}

static void accepted(struct tcp_stream *stream)
{
    server = stream;
}

static int group_setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (u8)(i * 13 + (i >> 8));
    for (size_t i = 0; i + 4096 < BULK; i += 4096)
        memcpy(bulk + i, MARK, strlen(MARK));
    if (tcp_rig_init())
        return -1;
    NETIF_SET_CHECKSUM_CTRL(loop(), NETIF_CHECKSUM_DISABLE_ALL);
    return tcp_stream_listen(PORT, TCP_PEERS, accepted);
}

/* From now on the keyring is this, of a host of this name. */
static void ring_of(const char *name, const char *text)
{
    struct keyring_fault fault;

    assert_int_equal(keyring_read(text, strlen(text), name, 0, &fault), 0);
}

/* Let all that can be said now be said. */
static void settle(void)
{
    do
        tcp_stream_push_all();
    while (pass());
}

/* Let this many ticks of TCP's fast timer pass. */
static void turns(unsigned count)
{
    while (count-- > 0) {
        settle();
        tcp_rig.now += TCP_TMR_INTERVAL * 1000000ULL;
        sys_check_timeouts();
    }
}

static int setup(void **state)
{
    (void)state;
    client = server = NULL;
    memset(&way, 0, sizeof(way));
    return 0;
}

size_t __sanitizer_get_current_allocated_bytes(void); /* of address sanitizer's */

/* Each test frees its streams; then no pcb, half of one or record is left (address sanitizer sees the latter). */
static int teardown(void **state)
{
    if (client)
        tcp_stream_abort(client);
    if (server)
        tcp_stream_abort(server);
    turns(4);
    return tcp_rig_clear(state);
}

/* Alpha connects to beta, which has these keys. */
static void dial_to(const struct tcp_address *to, enum tcp_trust trust, const char *keys)
{
    turns(1); /* of what was before nothing is under way */
    settle();
    ring_of("alpha", KEY_A);
    assert_int_equal(tcp_stream_connect(to, trust, &client), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_true(pass()); /* TCP has connected them, and the client has begun */
    ring_of("beta", keys);
    turns(2);
}

static void dial(enum tcp_trust trust)
{
    dial_to(&here, trust, KEY_A);
}

/* Move bytes as fast as they go. */
static void carry(struct tcp_stream *from, struct tcp_stream *to, bool stable)
{
    size_t sent = 0, got = 0;

    memset(arrived, 0, sizeof(arrived));
    for (unsigned i = 0; got < BULK; i++) {
        size_t part = i % 3 ? 4096 : 16;
        long done = 0;

        assert_true(i < 100000);
        if (sent < BULK)
            done = tcp_stream_send(from, bulk + sent, part < BULK - sent ? part : BULK - sent, stable);
        assert_true(done >= 0 || done == -EAGAIN);
        sent += done > 0 ? (size_t)done : 0;
        if (i % 7 == 0)
            turns(1);
        while ((done = tcp_stream_receive(to, arrived + got, BULK - got)) > 0)
            got += (size_t)done;
    }
    assert_memory_equal(arrived, bulk, BULK);
    turns(4);
    assert_int_equal(tcp_stream_unacknowledged(from), 0);
}

static void test_exchange(void **state)
{
    (void)state;
    dial(TCP_PEERS);
    assert_int_equal(tcp_stream_state(client), 0);
    assert_non_null(server);
    assert_string_equal(tcp_stream_peer_name(server), "alpha");
    carry(client, server, true);
    carry(server, client, false);
    assert_false(way.seen);
}

/* What the test's eye would see without TLS. */
static void test_the_mark_is_seen_in_the_clear(void **state)
{
    (void)state;
    dial(TCP_ANYBODY);
    tcp_stream_send(client, bulk, 4096, false);
    turns(1);
    assert_true(way.seen);
    assert_null(server);
}

/* A close comes behind all bytes, and all is freed when both have closed. */
static void test_close(void **state)
{
    u8 bytes[100];

    (void)state;
    dial(TCP_PEERS);
    assert_int_equal(tcp_stream_send(client, bulk, 50, false), 50);
    tcp_stream_close(client);
    client = NULL;
    turns(4);
    assert_int_equal(tcp_stream_receive(server, bytes, sizeof(bytes)), 50);
    assert_int_equal(tcp_stream_receive(server, bytes, sizeof(bytes)), -EPIPE);
    tcp_stream_close(server);
    server = NULL;
    turns(8);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 0);
}

/* A few words take little memory until they leave, and so does the end. */
static void test_small_records(void **state)
{
    size_t before;

    (void)state;
    dial(TCP_PEERS);
    before = __sanitizer_get_current_allocated_bytes();
    assert_int_equal(tcp_stream_send(client, bulk, 20, false), 20);
    assert_true(__sanitizer_get_current_allocated_bytes() - before < 2048);
    turns(4);
    before = __sanitizer_get_current_allocated_bytes();
    tcp_stream_close(client);
    client = NULL;
    assert_true(__sanitizer_get_current_allocated_bytes() - before < 2048);
}

/* Connections that say nothing are cheap: both ends of each are here. */
static void test_idle(void **state)
{
    struct tcp_stream *streams[2 * IDLE];
    size_t before;

    (void)state;
    turns(20);
    before = __sanitizer_get_current_allocated_bytes();
    for (unsigned i = 0; i < IDLE; i++) {
        dial(TCP_PEERS);
        assert_non_null(server);
        streams[2 * i] = client;
        streams[2 * i + 1] = server;
        client = server = NULL;
    }
    turns(20);
    before = __sanitizer_get_current_allocated_bytes() - before;
    assert_in_range(before / ARRAY_SIZE(streams), 500, 2048);
    for (unsigned i = 0; i < ARRAY_SIZE(streams); i++)
        tcp_stream_abort(streams[i]);
}

static void test_keys_differ(void **state)
{
    (void)state;
    dial_to(&here, TCP_PEERS, KEY_B);
    assert_int_equal(tcp_stream_state(client), -EACCES);
    assert_null(server);
}

/* Somebody on the way gives the connection to another host of the group: to both ends that is none. */
static void test_relayed(void **state)
{
    (void)state;
    way.relayed = true;
    dial(TCP_PEERS);
    assert_int_equal(tcp_stream_state(client), -EPERM);
    assert_null(server);
}

/* ... or back to the one that connects. */
static void test_reflected(void **state)
{
    (void)state;
    ring_of("alpha", KEY_A);
    assert_int_equal(tcp_stream_connect(&here, TCP_PEERS, &client), 0);
    turns(4);
    assert_int_equal(tcp_stream_state(client), -EPERM);
    assert_null(server);
}

/* A peer that speaks no TLS, whatever it says, is never heard; and one that says nothing is not waited for. */
static void test_plain_client(void **state)
{
    (void)state;
    dial(TCP_ANYBODY);
    tcp_stream_send(client, "GET / HTTP/1.0\r\n", 16, false);
    turns(4);
    assert_null(server);
    assert_int_equal(tcp_stream_receive(client, arrived, 1), -EPIPE);
}

/* A hypervisor that has no keys hears an alert. */
static void test_no_keys(void **state)
{
    static const u8 alert[] = { 21, 3, 3, 0, 2, 2, 40 };

    (void)state;
    dial(TCP_ANYBODY);
    tcp_stream_send(client, "GODWITMG", 8, false);
    turns(4);
    assert_null(server);
    assert_int_equal(tcp_stream_receive(client, arrived, sizeof(arrived)), sizeof(alert));
    assert_memory_equal(arrived, alert, sizeof(alert));
    assert_int_equal(tcp_stream_receive(client, arrived, 1), -EPIPE);
}

static void test_silent_client(void **state)
{
    (void)state;
    dial(TCP_ANYBODY);
    turns(5000 / TCP_TMR_INTERVAL + 20);
    assert_null(server);
    assert_int_not_equal(tcp_stream_receive(client, arrived, 1), -EAGAIN);
}

/* One byte is changed on the way: the connection ends, and none of the record is believed. */
static void test_changed_on_the_way(void **state)
{
    (void)state;
    dial(TCP_PEERS);
    way.corrupt = 1000;
    assert_int_equal(tcp_stream_send(client, bulk, 8192, true), 8192);
    turns(4);
    assert_true(way.changed > 0);
    assert_int_equal(tcp_stream_receive(server, arrived, 1), -ECONNRESET);
    assert_int_equal(tcp_stream_state(client), -ECONNRESET);
}

static struct tcp_pcb *pcb_to(u16_t port)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb; pcb = pcb->next)
        if (pcb->remote_port == port)
            return pcb;
    return NULL;
}

/* Somebody ends the TCP connection in the client's name: that is not the end of what the client had to say. */
static void test_cut_off(void **state)
{
    (void)state;
    dial(TCP_PEERS);
    tcp_stream_send(client, bulk, 100, false);
    turns(1);
    tcp_shutdown(pcb_to(PORT), 0, 1);
    turns(4);
    assert_int_equal(tcp_stream_receive(server, arrived, sizeof(arrived)), 100);
    assert_int_equal(tcp_stream_receive(server, arrived, 1), -ECONNRESET);
}

/* The same when we have ended our direction, and TCP is through with both. */
static void test_cut_off_behind_our_end(void **state)
{
    (void)state;
    dial(TCP_PEERS);
    tcp_stream_close(server);
    server = NULL;
    turns(2);
    tcp_shutdown(pcb_to(PORT), 0, 1);
    turns(4);
    assert_int_equal(tcp_rig_length(tcp_tw_pcbs), 1);
    assert_int_equal(tcp_rig_length(tcp_active_pcbs), 0);
}

/* Sixteen strangers of two addresses have all places of strangers. One of a third address that has the key is served,
 * and one of theirs gives way; a host that has proved its key before takes none of their places. */
static void test_flood(void **state)
{
    struct tcp_stream *flood[16];
    unsigned gone = 0;

    (void)state;
    dial(TCP_PEERS);
    tcp_stream_abort(client);
    tcp_stream_abort(server);
    server = NULL;
    for (unsigned i = 0; i < 16; i++) {
        way.from = i < 8 ? 9 : 10;
        dial(TCP_ANYBODY);
        flood[i] = client;
    }
    way.from = 0;
    dial(TCP_PEERS);
    assert_int_equal(tcp_stream_state(client), 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(tcp_stream_state(flood[i]), 0);
    tcp_stream_abort(client);
    tcp_stream_abort(server);
    server = NULL;
    way.from = 11;
    dial(TCP_PEERS);
    assert_int_equal(tcp_stream_state(client), 0);
    assert_non_null(server);
    for (unsigned i = 0; i < 16; i++) {
        gone += tcp_stream_state(flood[i]) != 0;
        tcp_stream_abort(flood[i]);
    }
    assert_int_equal(gone, 1);
}

/* Of many strangers the log says something, and counts the others. */
static void test_log(void **state)
{
    unsigned lines = stub_log_lines, foreign = tls_counters.fault[TLS_FOREIGN];

    (void)state;
    turns(100000 / TCP_TMR_INTERVAL);
    for (unsigned i = 0; i < 40; i++) {
        way.from = (u8)(20 + i);
        dial(TCP_ANYBODY);
        tcp_stream_send(client, "GET / HTTP/1.0\r\n", 16, false);
        turns(1);
        tcp_stream_abort(client);
    }
    client = NULL;
    assert_int_equal(tls_counters.fault[TLS_FOREIGN], foreign + 40);
    assert_in_range(stub_log_lines, lines + 1, lines + 11);
}

/* A connection that is closed at once, and one that is aborted inside of lwIP's callback of its arrival. */
static unsigned aborted;

static void abort_at_once(struct tcp_stream *stream)
{
    aborted++;
    tcp_stream_abort(stream);
}

static void test_aborted_at_once(void **state)
{
    const struct tcp_address there = { .bytes = { 127, 0, 0, 1 }, .port = PORT + 1 };

    (void)state;
    assert_int_equal(tcp_stream_listen(PORT + 1, TCP_PEERS, abort_at_once), 0);
    dial_to(&there, TCP_PEERS, KEY_A);
    assert_int_equal(aborted, 1);
    assert_int_equal(tcp_stream_state(client), -ECONNREFUSED);
}

/* A server that shows a certificate: each fault of it has an -errno of its own, is counted with those of the witness,
 * and is nothing for the log. Ours asks for no certificate, which is the last fault that there can be. */
static void test_servers(void **state)
{
    static const struct {
        const char *ca, *shown;
        int err;
    } cases[] = { { PEM_CA, PEM_MEMBER, -EPERM },
                  { PEM_ROOT, PEM_MEMBER, -EINVAL },
                  { PEM_CA, PEM_HERE, -EOPNOTSUPP } };
    const struct tcp_address there = { .bytes = { 127, 0, 0, 1 }, .port = PORT + 2 };
    unsigned lines = stub_log_lines;
    u64 failed = tls_counters.with[TLS_WITH_WITNESS].failed;

    (void)state;
    assert_int_equal(tcp_stream_listen(PORT + 2, TCP_CLIENTS, accepted), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_null(certificate_read(cases[i].shown, strlen(cases[i].shown)));
        assert_null(authority_read(cases[i].ca, strlen(cases[i].ca)));
        server = NULL;
        dial_to(&there, TCP_SERVERS, KEY_A);
        assert_int_equal(tcp_stream_state(client), cases[i].err);
        assert_int_equal(tcp_stream_send(client, "x", 1, false), cases[i].err);
        tcp_stream_abort(client);
        if (server)
            tcp_stream_abort(server);
    }
    client = server = NULL;
    assert_int_equal(tls_counters.with[TLS_WITH_WITNESS].failed, failed + ARRAY_SIZE(cases));
    assert_int_equal(tls_counters.with[TLS_WITH_WITNESS].active, 0);
    assert_int_equal(stub_log_lines, lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_mark_is_seen_in_the_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keys_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reflected, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off_behind_our_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aborted_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_servers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends in one process, with a pipe in memory between them. They share the keyring, which the test changes. A client
 * of the API is mbedTLS's own. */
/* sources: tls/rights.c tls/authority.c host/calendar.c */
/* sources: tls/certificate.c tls/handshake.c tls/keyring.c tls/hex.c tls/seal.c tls/random.c tests/unit/stubs.c */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include "tls/handshake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/ssl.h>

#include "host/rtc.h"
#include "tests/unit/tls/pem.h"
#include "tls/certificate.h"
#include "tls/random.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define POINT 32    /* bytes of one on the curve */
#define STACK 16384 /* bytes that are searched */

u64 rtc_now_ns(void)
{
    return 0;
}

struct pipe {
    u8 bytes[8192];
    size_t len, taken;
};

/* An end sends into `out` and receives from `in`. To the client, or to itself, the server's address is `host`. */
struct end {
    struct pipe *out, *in;
    const char *host;
    struct handshake *handshake;
    int err;
};

static struct pipe there, back;
static struct end client = { .out = &there, .in = &back }, server = { .out = &back, .in = &there };

static long put(void *ctx, const void *bytes, size_t len)
{
    struct pipe *out = ((struct end *)ctx)->out;

    assert_true(out->len + len <= sizeof(out->bytes));
    memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
    return (long)len;
}

/* A byte at a time: each step must bear it. */
static long get(void *ctx, void *bytes, size_t len)
{
    struct pipe *in = ((struct end *)ctx)->in;

    (void)len;
    if (in->taken == in->len)
        return -EAGAIN;
    *(u8 *)bytes = in->bytes[in->taken++];
    return 1;
}

static const struct handshake_ops ops = { put, get };

/* From now on the keyring is this, of a host of this name. */
static void ring_of(const char *name, const char *text)
{
    struct keyring_fault fault;

    assert_int_equal(keyring_read(text, strlen(text), name, 0, &fault), 0);
}

static void begin(struct end *end, bool is_server)
{
    end->handshake = handshake_begin(is_server ? HANDSHAKE_OF_PEER : HANDSHAKE_TO_PEER, end->host, &ops, end);
    assert_non_null(end->handshake);
    end->err = -EAGAIN;
}

/* The client, alpha, has this keyring, and the server, beta, that. */
static void begin_both(const char *text, const char *servers)
{
    ring_of("alpha", text);
    begin(&client, false);
    begin(&server, true);
    ring_of("beta", servers);
}

static void step(struct end *end)
{
    if (end->err == -EAGAIN)
        end->err = handshake_step(end->handshake);
}

/* Both go on until nothing moves. */
static void run(void)
{
    for (unsigned i = 0; i < 20; i++) {
        step(&client);
        step(&server);
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&there, 0, sizeof(there));
    memset(&back, 0, sizeof(back));
    client.host = server.host = "192.0.2.10";
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    handshake_free(client.handshake);
    handshake_free(server.handshake);
    return 0;
}

/* Both begin, and go on until the client has to answer the server's point, and then until the server has that of the
 * client. Each returns where the point is, on its way. */
static u8 *until_servers_point(void)
{
    static const u8 params[] = { 3, 0, 29, POINT };
    u8 *at;

    begin_both("group " KEY_A, "group " KEY_A);
    step(&client);
    step(&server);
    at = memmem(back.bytes, back.len, params, sizeof(params));
    assert_non_null(at);
    return at + sizeof(params);
}

static u8 *until_clients_point(void)
{
    u8 *record = there.bytes + there.len;

    step(&client);
    return record + SEAL_HEADER + (record[3] << 8 | record[4]) - POINT;
}

static size_t sealed(struct seal *seal, u8 *record, const void *bytes, size_t len)
{
    seal_begin(seal);
    seal_add(seal, record + SEAL_HEADER, bytes, len);
    return seal_end(seal, SEAL_DATA, record, len);
}

static void agree(void **state)
{
    struct handshake_result at_client, at_server;
    u8 record[SEAL_HEADER + 5 + SEAL_TAG];

    (void)state;
    begin_both("group " KEY_A "\n", "group " KEY_A "\n");
    run();
    assert_int_equal(client.err, 0);
    assert_int_equal(server.err, 0);
    assert_int_equal(there.taken, there.len);
    assert_int_equal(back.taken, back.len);
    handshake_take(client.handshake, &at_client);
    handshake_take(server.handshake, &at_server);
    assert_string_equal(at_server.peer, "alpha");
    assert_string_equal(at_client.peer, "");

    assert_int_equal(sealed(&at_client.out, record, "hello", 5), sizeof(record));
    assert_int_equal(seal_length(record), 5 + SEAL_TAG);
    unseal_begin(&at_server.in, record);
    unseal_hash(&at_server.in, record + SEAL_HEADER, 5);
    assert_int_equal(unseal_end(&at_server.in, record + SEAL_HEADER + 5), 0);
    unseal_decrypt(&at_server.in, record + SEAL_HEADER, 5);
    assert_memory_equal(record + SEAL_HEADER, "hello", 5);
}

/* The client has the key of the identity's name, but not its bytes: a wrong key with the same short hash can't be made
 * here, so the keyring changes under the server once the client has spoken. */
static void wrong_key(void **state)
{
    (void)state;
    begin_both("group " KEY_A, "group " KEY_B);
    run();
    assert_int_equal(server.err, -EACCES);
    assert_int_equal(client.err, -EACCES);
}

/* While keys are changed, a server takes both. */
static void second_key(void **state)
{
    (void)state;
    begin_both("group " KEY_B, "# new\ngroup " KEY_A "\n\n# old\ngroup " KEY_B "\n");
    run();
    assert_int_equal(server.err, 0);
    assert_int_equal(client.err, 0);
}

/* Somebody on the way gives what is said to one host to another. */
static void relayed(void **state)
{
    (void)state;
    server.host = "192.0.2.11";
    begin_both("group " KEY_A, "group " KEY_A);
    run();
    assert_int_equal(server.err, -EPERM);
    assert_int_equal(client.err, -EPERM);
}

/* ... or to the one that has said it, even if it has gone by that address. */
static void reflected(void **state)
{
    (void)state;
    begin_both("group " KEY_A, "group " KEY_A);
    ring_of("alpha", "group " KEY_A);
    run();
    assert_int_equal(server.err, -ELOOP);
    assert_int_equal(client.err, -EPERM);
}

/* A peer that speaks the stream without TLS; and one that speaks something else. */
static void plain(void **state)
{
    (void)state;
    begin_both("group " KEY_A, "group " KEY_A);
    put(&client, "GODWITMG\1\0\1\0", 12);
    put(&server, "GODWITMG\1\0\1\0", 12);
    step(&server);
    assert_int_equal(server.err, -ENOPROTOOPT);
    step(&client);
    assert_int_equal(client.err, -ENOPROTOOPT);
}

/* Somebody between them, or the peer itself, says a point of which each scalar makes zero. It is refused when it
 * comes, before keys are compared. */
static void low_order(void **state)
{
    (void)state;
    memset(until_servers_point(), 0, POINT);
    step(&client);
    assert_int_equal(client.err, -EPROTO);
    teardown(state);

    setup(state);
    until_servers_point();
    memset(until_clients_point(), 0, POINT);
    step(&server);
    assert_int_equal(server.err, -EPROTO);
}

/* "Random" bytes. */
static int give(void *scalar, unsigned char *bytes, size_t len)
{
    memcpy(bytes, scalar, len);
    return 0;
}

/* Is there, in the memory below that of the caller, the scalar that belongs to this point? */
static __attribute__((noinline)) bool is_on_stack(const u8 *point)
{
    u8 below[STACK], made[1 + POINT];
    size_t len;

    __asm__ volatile("" : "=m"(below)); /* what was left there */
    for (size_t at = 0; at + POINT <= STACK; at++) {
        mbedtls_x25519_context trial;

        if (below[at] % 8 || below[at + POINT - 1] >> 6 != 1)
            continue;
        mbedtls_x25519_make_public(&trial, &len, made, sizeof(made), give, below + at);
        if (!memcmp(made + 1, point, POINT))
            return true;
    }
    return false;
}

/* Who reads this machine's memory later can't read what was said before. */
static void nothing_is_left(void **state)
{
    u8 *point = until_servers_point();

    (void)state;
    assert_false(is_on_stack(point));
    point = until_clients_point();
    assert_false(is_on_stack(point));
    step(&server);
    assert_false(is_on_stack(point));
}

static void stranger(void **state)
{
    (void)state;
    begin_both("group " KEY_A, "group " KEY_A);
    put(&client, "GET / HTTP/1.0\r\n\r\n", 18);
    step(&server);
    assert_int_equal(server.err, -EPROTO);
}

/* Somebody between them changes a byte, any one of the handshake's: they never agree, and nothing else happens. */
static void changed(void **state)
{
    size_t total = 0;

    (void)state;
    for (size_t at = 0; !total || at < total; at += 7) {
        setup(state);
        begin_both("group " KEY_A, "group " KEY_A);
        for (unsigned i = 0; i < 20; i++) {
            size_t before = there.len;

            step(&client);
            if (total && at >= before && at < there.len)
                there.bytes[at] ^= 0x40;
            step(&server);
        }
        if (total)
            assert_false(!client.err && !server.err);
        else
            total = there.len;
        teardown(state);
    }
    begin(&client, false);
    begin(&server, true);
}

/* --- A client of the API ---------------------------------------------------------------------------------------- */

static struct {
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
} visitor;

static int visitor_send(void *ctx, const unsigned char *bytes, size_t len)
{
    return (int)put(ctx, bytes, len);
}

static int visitor_receive(void *ctx, unsigned char *bytes, size_t len)
{
    long got = get(ctx, bytes, len);

    return got == -EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : (int)got;
}

static void visitor_begin(const int *suites, mbedtls_ecp_group_id curve)
{
    static const int hashes[] = { MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE };
    static mbedtls_ecp_group_id curves[] = { MBEDTLS_ECP_DP_NONE, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_ECP_DP_NONE };

    curves[0] = curve; /* the other one is that of the certificate's key */
    mbedtls_ssl_config_init(&visitor.config);
    mbedtls_ssl_init(&visitor.ssl);
    mbedtls_ssl_conf_endpoint(&visitor.config, MBEDTLS_SSL_IS_CLIENT);
    mbedtls_ssl_conf_min_version(&visitor.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(&visitor.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(&visitor.config, suites);
    mbedtls_ssl_conf_sig_hashes(&visitor.config, hashes);
    mbedtls_ssl_conf_curves(&visitor.config, curves);
    mbedtls_ssl_conf_authmode(&visitor.config, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_rng(&visitor.config, random_for_mbedtls, NULL);
    assert_int_equal(mbedtls_ssl_conf_psk(&visitor.config, (const u8 *)"0123456789abcdef", 16, (const u8 *)"x", 1), 0);
    assert_int_equal(mbedtls_ssl_setup(&visitor.ssl, &visitor.config), 0);
    mbedtls_ssl_set_bio(&visitor.ssl, &client, visitor_send, visitor_receive, NULL);
    server.handshake = handshake_begin(HANDSHAKE_OF_STRANGER, "192.0.2.1", &ops, &server);
    assert_non_null(server.handshake);
    server.err = -EAGAIN;
}

static int visitor_setup(void **state)
{
    static const char text[] = PEM_CERTIFICATE PEM_KEY;

    assert_null(certificate_read(text, strlen(text)));
    return setup(state);
}

static int visitor_teardown(void **state)
{
    (void)state;
    mbedtls_ssl_free(&visitor.ssl);
    mbedtls_ssl_config_free(&visitor.config);
    handshake_free(server.handshake);
    return 0;
}

/* Returns what mbedTLS returned last. */
static int visitor_run(void)
{
    int err = MBEDTLS_ERR_SSL_WANT_READ;

    for (unsigned i = 0; i < 20; i++) {
        if (err == MBEDTLS_ERR_SSL_WANT_READ)
            err = mbedtls_ssl_handshake(&visitor.ssl);
        step(&server);
    }
    return err;
}

/* After the handshake, what one end seals the other one opens. */
static void visit(mbedtls_ecp_group_id curve)
{
    static const int suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0 };
    struct handshake_result result;
    u8 *record = back.bytes, said[5];
    size_t len;

    visitor_begin(suites, curve);
    assert_int_equal(visitor_run(), 0);
    assert_int_equal(server.err, 0);
    handshake_take(server.handshake, &result);
    assert_string_equal(result.peer, "");

    back.taken = 0;
    back.len = sealed(&result.out, record, "hello", 5);
    assert_int_equal(mbedtls_ssl_read(&visitor.ssl, said, sizeof(said)), 5);
    assert_memory_equal(said, "hello", 5);

    len = there.len;
    assert_int_equal(mbedtls_ssl_write(&visitor.ssl, (const u8 *)"world", 5), 5);
    record = there.bytes + len;
    assert_int_equal(there.len - len, SEAL_HEADER + 5 + SEAL_TAG);
    unseal_begin(&result.in, record);
    unseal_hash(&result.in, record + SEAL_HEADER, 5);
    assert_int_equal(unseal_end(&result.in, record + SEAL_HEADER + 5), 0);
    unseal_decrypt(&result.in, record + SEAL_HEADER, 5);
    assert_memory_equal(record + SEAL_HEADER, "world", 5);
}

/* The second one is shown the certificate whose key has signed before. */
static void visitors(void **state)
{
    visit(MBEDTLS_ECP_DP_SECP256R1);
    visitor_teardown(state);
    setup(state);
    visit(MBEDTLS_ECP_DP_CURVE25519);
}

/* A handshake that has begun ends with the certificate with which it began, whatever is read meanwhile. */
static void the_certificate_changes(void **state)
{
    static const int suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0 };
    static const char text[] = PEM_CERTIFICATE PEM_KEY;

    (void)state;
    visitor_begin(suites, MBEDTLS_ECP_DP_CURVE25519);
    assert_null(certificate_read(text, strlen(text)));
    assert_null(certificate_read(text, strlen(text)));
    assert_non_null(certificate_read(PEM_OTHER_CERTIFICATE, strlen(PEM_OTHER_CERTIFICATE)));
    assert_int_equal(visitor_run(), 0);
    assert_int_equal(server.err, 0);
}

/* Where certificates are shown, there is nothing for who has a key but no eyes for those; and the reverse. */
static void visitors_and_peers_differ(void **state)
{
    static const int peers[] = { MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0 };
    static const int visitors[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0 };

    visitor_begin(peers, MBEDTLS_ECP_DP_CURVE25519);
    assert_int_not_equal(visitor_run(), 0);
    assert_int_equal(server.err, -EPROTO);
    visitor_teardown(state);

    visitor_setup(state);
    ring_of("alpha", "group " KEY_A);
    visitor_begin(visitors, MBEDTLS_ECP_DP_CURVE25519);
    handshake_free(server.handshake);
    begin(&server, true);
    assert_int_not_equal(visitor_run(), 0);
    assert_int_equal(server.err, -EPROTO);
}

/* Where there are peers a host that is none is offered nothing, though a connection to it was opened when it was one.
 */
static void no_peer(void **state)
{
    (void)state;
    ring_of("alpha", "group " KEY_A "\npeer beta 192.0.2.11\nkey " KEY_B "\n");
    assert_null(handshake_begin(HANDSHAKE_TO_PEER, "192.0.2.10", &ops, &client));
    client.host = server.host = "192.0.2.11";
    begin(&client, false);
    begin(&server, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agree, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_key, setup, teardown),
        cmocka_unit_test_setup_teardown(second_key, setup, teardown),
        cmocka_unit_test_setup_teardown(relayed, setup, teardown),
        cmocka_unit_test_setup_teardown(reflected, setup, teardown),
        cmocka_unit_test_setup_teardown(plain, setup, teardown),
        cmocka_unit_test_setup_teardown(no_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(low_order, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(changed, setup, teardown),
        cmocka_unit_test_setup_teardown(visitors, visitor_setup, visitor_teardown),
        cmocka_unit_test_setup_teardown(the_certificate_changes, visitor_setup, visitor_teardown),
        cmocka_unit_test_setup_teardown(visitors_and_peers_differ, visitor_setup, visitor_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

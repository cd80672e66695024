/* SPDX-License-Identifier: BSD-2-Clause */
/* A handshake with a server that shows a certificate (HANDSHAKE_TO_SERVER): whom do we take for the one that is meant?
 * The server is mbedTLS's own. */
/* sources: tls/authority.c tls/rights.c host/calendar.c */
/* sources: tls/certificate.c tls/handshake.c tls/keyring.c tls/hex.c tls/seal.c tls/random.c tests/unit/stubs.c */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include "tls/authority.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/ssl.h>

#include "host/bits.h"
#include "host/calendar.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "tests/unit/tls/authority_pem.h"
#include "tests/unit/tls/pem.h"
#include "tls/certificate.h"
#include "tls/handshake.h"
#include "tls/random.h"

#define HOST "192.0.2.10"

/* Of address sanitizer's. */
size_t __sanitizer_get_current_allocated_bytes(void);
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

struct pipe {
    u8 bytes[8192];
    size_t len, taken;
};

static struct pipe there, back;
static struct handshake *client;
static struct {
    mbedtls_ssl_config config;
    mbedtls_ssl_context ssl;
    mbedtls_x509_crt own, authority;
    mbedtls_pk_context key;
} server;
static u64 now; /* seconds */

u64 rtc_now_ns(void)
{
    return now * NS_PER_S;
}

static long put(struct pipe *pipe, const void *bytes, size_t len)
{
    assert_true(pipe->len + len <= sizeof(pipe->bytes));
    memcpy(pipe->bytes + pipe->len, bytes, len);
    pipe->len += len;
    return (long)len;
}

static long get(struct pipe *pipe, void *bytes, size_t len)
{
    len = MIN(len, pipe->len - pipe->taken);
    memcpy(bytes, pipe->bytes + pipe->taken, len);
    pipe->taken += len;
    return len ? (long)len : -EAGAIN;
}

static long client_send(void *ctx, const void *bytes, size_t len)
{
    (void)ctx;
    return put(&there, bytes, len);
}

static long client_receive(void *ctx, void *bytes, size_t len)
{
    (void)ctx;
    return get(&back, bytes, len);
}

static int server_send(void *ctx, const unsigned char *bytes, size_t len)
{
    (void)ctx;
    return (int)put(&back, bytes, len);
}

static int server_receive(void *ctx, unsigned char *bytes, size_t len)
{
    long got = get(&there, bytes, len);

    (void)ctx;
    return got == -EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : (int)got;
}

/* The server shows this, and wants a certificate of that CA; NULL: none. */
static void serve(const char *shown, const char *authority)
{
    static const int suites[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0 };
    static const int hashes[] = { MBEDTLS_MD_SHA256, MBEDTLS_MD_NONE };
    static const mbedtls_ecp_group_id curves[] = { MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                                   MBEDTLS_ECP_DP_NONE };

    mbedtls_ssl_config_init(&server.config);
    mbedtls_ssl_init(&server.ssl);
    mbedtls_x509_crt_init(&server.own);
    mbedtls_x509_crt_init(&server.authority);
    mbedtls_pk_init(&server.key);
    assert_int_equal(mbedtls_x509_crt_parse(&server.own, (const u8 *)shown, strlen(shown) + 1), 0);
    server.own.ext_types = 0; /* else mbedTLS would not show one that is for clients only */
    assert_int_equal(mbedtls_pk_parse_key(&server.key, (const u8 *)shown, strlen(shown) + 1, NULL, 0), 0);
    mbedtls_ssl_conf_endpoint(&server.config, MBEDTLS_SSL_IS_SERVER);
    mbedtls_ssl_conf_min_version(&server.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_max_version(&server.config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
    mbedtls_ssl_conf_ciphersuites(&server.config, suites);
    mbedtls_ssl_conf_sig_hashes(&server.config, hashes);
    mbedtls_ssl_conf_curves(&server.config, curves);
    mbedtls_ssl_conf_rng(&server.config, random_for_mbedtls, NULL);
    mbedtls_ssl_conf_cert_profile(&server.config, &mbedtls_x509_crt_profile_default);
    mbedtls_ssl_conf_authmode(&server.config, authority ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    if (authority)
        assert_int_equal(mbedtls_x509_crt_parse(&server.authority, (const u8 *)authority, strlen(authority) + 1), 0);
    mbedtls_ssl_conf_ca_chain(&server.config, &server.authority, NULL);
    assert_int_equal(mbedtls_ssl_conf_own_cert(&server.config, &server.own, &server.key), 0);
    assert_int_equal(mbedtls_ssl_setup(&server.ssl, &server.config), 0);
    mbedtls_ssl_set_bio(&server.ssl, NULL, server_send, server_receive, NULL);
}

static void begin(const char *host)
{
    static const struct handshake_ops ops = { client_send, client_receive };

    memset(&there, 0, sizeof(there));
    memset(&back, 0, sizeof(back));
    client = handshake_begin(HANDSHAKE_TO_SERVER, host, &ops, NULL);
    assert_non_null(client);
}

static void end(void)
{
    mbedtls_ssl_free(&server.ssl);
    mbedtls_ssl_config_free(&server.config);
    mbedtls_x509_crt_free(&server.own);
    mbedtls_x509_crt_free(&server.authority);
    mbedtls_pk_free(&server.key);
    handshake_free(client);
    client = NULL;
}

/* Returns what our handshake returned last; *servers: the server's. */
static int run(int *servers)
{
    int err = -EAGAIN;

    *servers = MBEDTLS_ERR_SSL_WANT_READ;
    for (unsigned i = 0; i < 20; i++) {
        if (err == -EAGAIN)
            err = handshake_step(client);
        if (*servers == MBEDTLS_ERR_SSL_WANT_READ)
            *servers = mbedtls_ssl_handshake(&server.ssl);
    }
    return err;
}

/* What becomes of a handshake with `host` whose server shows that, and takes what our CA has made. */
static int outcome(const char *host, const char *shown)
{
    int err, servers;

    serve(shown, PEM_CA);
    begin(host);
    err = run(&servers);
    assert_int_equal(servers == 0, err == 0); /* it has heard of it */
    end();
    return err;
}

static void authority(const char *pem)
{
    assert_null(authority_read(pem, strlen(pem)));
}

static u64 day(u32 year, u8 month)
{
    const struct date date = { .year = year, .month = month, .day = 15 };

    return calendar_seconds(&date);
}

static int setup(void **state)
{
    (void)state;
    assert_null(certificate_read(PEM_MEMBER, strlen(PEM_MEMBER)));
    authority(PEM_CA);
    now = day(2027, 6);
    return 0;
}

/* After the handshake, what one end seals the other one opens. */
static void agree(void **state)
{
    struct handshake_result result;
    u8 *record = back.bytes, said[5];
    int servers;

    (void)state;
    serve(PEM_MEMBER, PEM_CA);
    begin(HOST);
    assert_int_equal(run(&servers), 0);
    assert_int_equal(servers, 0);
    handshake_take(client, &result);
    assert_string_equal(result.peer, "");

    seal_begin(&result.out);
    seal_add(&result.out, there.bytes + SEAL_HEADER, "hello", 5);
    there.taken = 0;
    there.len = seal_end(&result.out, SEAL_DATA, there.bytes, 5);
    assert_int_equal(mbedtls_ssl_read(&server.ssl, said, sizeof(said)), 5);
    assert_memory_equal(said, "hello", 5);

    back.len = 0;
    assert_int_equal(mbedtls_ssl_write(&server.ssl, (const u8 *)"world", 5), 5);
    unseal_begin(&result.in, record);
    unseal_hash(&result.in, record + SEAL_HEADER, 5);
    assert_int_equal(unseal_end(&result.in, record + SEAL_HEADER + 5), 0);
    unseal_decrypt(&result.in, record + SEAL_HEADER, 5);
    assert_memory_equal(record + SEAL_HEADER, "world", 5);
    end();
}

/* Exactly one of the addresses in it, and of the same kind; names are none, even if they look so. */
static void addresses(void **state)
{
    (void)state;
    assert_int_equal(outcome(HOST, PEM_MEMBER), 0);
    assert_int_equal(outcome("2001:db8::10", PEM_MEMBER), 0);
    assert_int_equal(outcome("192.0.2.1", PEM_MEMBER), -EPERM);
    assert_int_equal(outcome("192.0.2.11", PEM_MEMBER), -EPERM);
    assert_int_equal(outcome("2001:db8::11", PEM_MEMBER), -EPERM);
    assert_int_equal(outcome("2001:db8::", PEM_MEMBER), -EPERM);
    assert_int_equal(outcome("32.1.13.184", PEM_MEMBER), -EPERM); /* the first four bytes of the other one */
    authority(PEM_ROOT);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), 0);
    assert_int_equal(outcome(HOST, PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), -EPERM);
    assert_int_equal(outcome("101.118.105.108", PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), -EPERM); /* evil */
    assert_null(handshake_begin(HANDSHAKE_TO_SERVER, "alpha.example", NULL, NULL));
}

/* The whole chain must be there, up to our CA; several CAs may be ours. */
static void authorities(void **state)
{
    (void)state;
    authority(PEM_ROOT);
    assert_int_equal(outcome(HOST, PEM_MEMBER), -EINVAL);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_UNDER_KEY), -EINVAL);
    authority(PEM_BETWEEN);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_UNDER_KEY), 0);
    authority(PEM_ROOT PEM_CA);
    assert_int_equal(outcome(HOST, PEM_MEMBER), 0);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), 0);
    authority(PEM_CA);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_BETWEEN PEM_ROOT PEM_UNDER_KEY), -EINVAL);
    assert_int_equal(outcome(HOST, PEM_CLIENT), -EINVAL);
    now = day(2030, 1);
    assert_int_equal(outcome("192.0.2.1", PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), -EINVAL); /* the worst of all */
}

/* Who has a certificate for a server makes one for another server with that key: it is no CA, though our CA knows it.
 */
static void no_authority(void **state)
{
    (void)state;
    authority(PEM_ROOT);
    assert_int_equal(outcome("192.0.2.11", PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), 0);
    assert_int_equal(outcome(HOST, PEM_FORGED PEM_UNDER PEM_BETWEEN PEM_UNDER_KEY), -EINVAL);
    assert_int_equal(outcome(HOST, PEM_FORGED PEM_UNDER_KEY), -EINVAL);
}

static void dates(void **state)
{
    static const struct {
        u32 year;
        u8 month;
        int err;
    } cases[] = { { 2000, 1, -ESTALE }, { 2026, 11, -ESTALE }, { 2026, 12, 0 },
                  { 2029, 2, 0 },       { 2029, 4, -ESTALE },  { 2099, 12, -ESTALE } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        now = day(cases[i].year, cases[i].month);
        assert_int_equal(outcome(HOST, PEM_MEMBER), cases[i].err);
        assert_int_equal(outcome("192.0.2.1", PEM_MEMBER), cases[i].err ? cases[i].err : -EPERM);
    }
}

/* To the second: those of PEM_MEMBER. */
static void last_second(void **state)
{
    mbedtls_x509_crt member;
    struct date until;

    (void)state;
    mbedtls_x509_crt_init(&member);
    assert_int_equal(mbedtls_x509_crt_parse(&member, (const u8 *)PEM_MEMBER, sizeof(PEM_MEMBER)), 0);
    until = (struct date){ .year = (u32)member.valid_to.year,
                           .month = (u8)member.valid_to.mon,
                           .day = (u8)member.valid_to.day,
                           .hour = (u8)member.valid_to.hour,
                           .minute = (u8)member.valid_to.min,
                           .second = (u8)member.valid_to.sec };
    mbedtls_x509_crt_free(&member);
    now = calendar_seconds(&until);
    assert_int_equal(outcome(HOST, PEM_MEMBER), 0);
    now++;
    assert_int_equal(outcome(HOST, PEM_MEMBER), -ESTALE);
}

/* A server that lets anybody in, and one that does not let us in. */
static void our_certificate(void **state)
{
    int servers;

    (void)state;
    serve(PEM_MEMBER, NULL);
    begin(HOST);
    assert_int_equal(run(&servers), -EOPNOTSUPP);
    end();
    serve(PEM_MEMBER, PEM_ROOT);
    begin(HOST);
    assert_int_equal(run(&servers), -EACCES);
    end();
}

static void no_server(void **state)
{
    static const char *const said[] = { "HTTP/1.1 400 Bad Request\r\n", "\x15\3\3\0\2\2\x28", "\x16\3\3\x20\0xxxxx" };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(said); i++) {
        serve(PEM_MEMBER, PEM_CA);
        begin(HOST);
        assert_int_equal(handshake_step(client), -EAGAIN);
        put(&back, said[i], i == 1 ? 7 : strlen(said[i]) + (i == 2 ? 5 : 0));
        assert_int_equal(handshake_step(client), -EPROTO);
        end();
    }
}

/* Whatever somebody on the way changes in what the server says, we never take it for the server. */
static void changed(void **state)
{
    size_t total = 0;
    int err, servers;

    (void)state;
    for (size_t at = 5; !total || at < total; at += 9) {
        serve(PEM_MEMBER, PEM_CA);
        begin(HOST);
        err = handshake_step(client);
        servers = mbedtls_ssl_handshake(&server.ssl);
        assert_int_equal(servers, MBEDTLS_ERR_SSL_WANT_READ);
        if (total)
            back.bytes[at] ^= 0x40;
        total = back.len;
        for (unsigned i = 0; i < 20 && err == -EAGAIN; i++) {
            err = handshake_step(client);
            if (servers == MBEDTLS_ERR_SSL_WANT_READ)
                servers = mbedtls_ssl_handshake(&server.ssl);
        }
        if (at > 5)
            assert_int_not_equal(err, 0);
        end();
    }
}

/* The most that was allocated at once. */
static size_t most;

static void on_malloc(const volatile void *block, size_t size)
{
    (void)block;
    (void)size;
    most = MAX(most, __sanitizer_get_current_allocated_bytes());
}

static void on_free(const volatile void *block)
{
    (void)block;
}

/* The certificates of a server fill one message at most, of 4 KB: more than that is none. What is made of them is
 * bounded by it. */
static void a_long_chain(void **state)
{
    int err, servers;
    size_t before;

    (void)state;
    serve(PEM_MEMBER PEM_BETWEEN PEM_BETWEEN PEM_BETWEEN PEM_BETWEEN PEM_BETWEEN PEM_BETWEEN PEM_BETWEEN, PEM_CA);
    begin(HOST);
    err = handshake_step(client);
    servers = mbedtls_ssl_handshake(&server.ssl);
    assert_int_equal(err, -EAGAIN);
    assert_int_equal(servers, MBEDTLS_ERR_SSL_WANT_READ);
    before = most = __sanitizer_get_current_allocated_bytes();
    assert_int_equal(handshake_step(client), -EAGAIN);
    assert_in_range(most - before, 8 * 500, 32 << 10);
    end();
}

static void files(void **state)
{
    char text[] = PEM_CA;

    (void)state;
    assert_non_null(strstr(authority_read("", 0), "no certificate of a CA"));
    assert_non_null(strstr(authority_read(PEM_CA, 200), "no certificate of a CA"));
    assert_non_null(strstr(authority_read(PEM_MEMBER, strlen(PEM_MEMBER)), "not that of a CA"));
    assert_non_null(strstr(authority_read(PEM_CA PEM_MEMBER, strlen(PEM_CA PEM_MEMBER)), "not that of a CA"));
    text[80] = '!';
    assert_non_null(strstr(authority_read(text, strlen(text)), "no certificate of a CA"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(agree, setup),
        cmocka_unit_test_setup(addresses, setup),
        cmocka_unit_test_setup(no_authority, setup),
        cmocka_unit_test_setup(authorities, setup),
        cmocka_unit_test_setup(dates, setup),
        cmocka_unit_test_setup(last_second, setup),
        cmocka_unit_test_setup(our_certificate, setup),
        cmocka_unit_test_setup(no_server, setup),
        cmocka_unit_test_setup(changed, setup),
        cmocka_unit_test_setup(a_long_chain, setup),
        cmocka_unit_test(files),
    };

    assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

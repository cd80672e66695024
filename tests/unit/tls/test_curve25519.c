/* SPDX-License-Identifier: BSD-2-Clause */
/* What the configuration makes of ECDHE: Curve25519 is Project Everest's, by the functions that handshakes call. */
/* sources: tls/hex.c */
#include "tls/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/ecdh.h>

#define KEY 32
#define NINE "0900000000000000000000000000000000000000000000000000000000000000"

struct key {
    u8 bytes[KEY];
};

static struct key key_of(const char *digits)
{
    struct key key;

    assert_true(hex_read(digits, strlen(digits), key.bytes, KEY));
    return key;
}

/* "Random" bytes. */
static int give(void *ctx, unsigned char *bytes, size_t len)
{
    assert_int_equal(len, KEY);
    memcpy(bytes, ctx, len);
    return 0;
}

/* As a server or as a client: what is said to a peer, and which secret follows from what it says. Returns false if
 * that is refused. */
static bool exchange(struct key secret, bool server, struct key theirs, struct key *ours, struct key *shared)
{
    mbedtls_ecdh_context ecdh;
    u8 said[4 + KEY], heard[1 + KEY] = { KEY };
    size_t len, head = server ? 4 : 1;
    bool taken;

    memcpy(heard + 1, theirs.bytes, KEY);
    mbedtls_ecdh_init(&ecdh);
    assert_int_equal(mbedtls_ecdh_setup(&ecdh, MBEDTLS_ECP_DP_CURVE25519), 0);
    assert_int_equal(ecdh.var, MBEDTLS_ECDH_VARIANT_EVEREST);
    assert_int_equal(
        (server ? mbedtls_ecdh_make_params : mbedtls_ecdh_make_public)(&ecdh, &len, said, sizeof(said), give, &secret),
        0);
    assert_int_equal(len, head + KEY);
    memcpy(ours->bytes, said + head, KEY);
    assert_int_equal(mbedtls_ecdh_read_public(&ecdh, heard, sizeof(heard)), 0);
    taken = !mbedtls_ecdh_calc_secret(&ecdh, &len, shared->bytes, KEY, give, NULL);
    assert_int_equal(len, KEY);
    mbedtls_ecdh_free(&ecdh);
    return taken;
}

static void assert_keys(struct key key, const char *digits)
{
    struct key expected = key_of(digits);

    assert_memory_equal(key.bytes, expected.bytes, KEY);
}

/* RFC 7748, 5.2: some bits of a scalar are not heeded, nor the highest one of a coordinate. */
static void test_multiplication(void **state)
{
    struct key ours, shared;

    (void)state;
    assert_true(exchange(key_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"), true,
                         key_of("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"), &ours, &shared));
    assert_keys(shared, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_true(exchange(key_of("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"), false,
                         key_of("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"), &ours, &shared));
    assert_keys(shared, "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

/* The same section: again and again. */
static void test_many(void **state)
{
    struct key scalar = key_of(NINE), point = scalar, ours, shared;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(exchange(scalar, false, point, &ours, &shared));
        point = scalar;
        scalar = shared;
        if (i == 0)
            assert_keys(scalar, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    assert_keys(scalar, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

/* RFC 7748, 6.1. */
static void test_agreement(void **state)
{
    const struct key alice = key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const struct key bob = key_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct key from_alice, from_bob, shared;

    (void)state;
    assert_true(exchange(bob, false, key_of(NINE), &from_bob, &shared));
    assert_keys(from_bob, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_true(exchange(alice, true, from_bob, &from_alice, &shared));
    assert_keys(from_alice, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_keys(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_true(exchange(bob, false, from_alice, &from_bob, &shared));
    assert_keys(shared, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/* With these coordinates each scalar gives zero: the peer alone would have chosen the secret (RFC 7748, 6.1 and 7). */
static void test_low_order(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    const struct key secret = key_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    struct key ours, shared;

    (void)state;
    for (unsigned i = 0; i < 2 * sizeof(points) / sizeof(points[0]); i++) {
        struct key point = key_of(points[i / 2]);

        point.bytes[KEY - 1] ^= i % 2 ? 0x80 : 0;
        assert_false(exchange(secret, i % 4 < 2, point, &ours, &shared));
    }
}

/* What is shorter, or says that it is, is no point; neither of a client nor of a server. */
static void test_short(void **state)
{
    static const u8 params[4 + KEY] = { MBEDTLS_ECP_TLS_NAMED_CURVE, 0, 29, KEY };
    mbedtls_ecdh_context ecdh;
    u8 said[1 + KEY] = { KEY };

    (void)state;
    mbedtls_ecdh_init(&ecdh);
    assert_int_equal(mbedtls_ecdh_setup(&ecdh, MBEDTLS_ECP_DP_CURVE25519), 0);
    for (size_t len = 0; len < sizeof(said); len++)
        assert_int_not_equal(mbedtls_ecdh_read_public(&ecdh, said, len), 0);
    said[0]--;
    assert_int_not_equal(mbedtls_ecdh_read_public(&ecdh, said, sizeof(said)), 0);
    for (size_t len = 0; len <= sizeof(params); len++) {
        const u8 *at = params;

        mbedtls_ecdh_free(&ecdh);
        assert_int_equal(!mbedtls_ecdh_read_params(&ecdh, &at, params + len), len == sizeof(params));
    }
    mbedtls_ecdh_free(&ecdh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiplication), cmocka_unit_test(test_many),  cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_low_order),      cmocka_unit_test(test_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

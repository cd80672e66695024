/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/certificate.c tls/random.c tests/unit/stubs.c */
#include "tls/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/ssl_internal.h>

#include "tests/unit/tls/pem.h"
#include "tls/random.h"

/* Of its exact size, for the sanitizer. */
static const char *read_text(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    const char *wrong;

    memcpy(copy, text, len);
    wrong = certificate_read(copy, len);
    free(copy);
    return wrong;
}

/* The order of the two does not matter, nor what stands around them; those between it and the CA follow it. */
static void test_right(void **state)
{
    (void)state;
    assert_null(read_text(PEM_CERTIFICATE PEM_KEY));
    assert_null(read_text(PEM_KEY PEM_CERTIFICATE));
    assert_null(read_text("alpha, of 2026\n" PEM_CERTIFICATE PEM_OTHER_CERTIFICATE PEM_KEY "\n# the end"));
}

static void test_wrong(void **state)
{
    (void)state;
    assert_non_null(strstr(read_text(""), "no certificate"));
    assert_non_null(strstr(read_text(PEM_KEY), "no certificate"));
    assert_non_null(strstr(read_text(PEM_CERTIFICATE), "no private key"));
    assert_non_null(strstr(read_text(PEM_CERTIFICATE "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
                                                     "-----END ENCRYPTED PRIVATE KEY-----\n"),
                           "no private key"));
    assert_non_null(strstr(read_text(PEM_OTHER_CERTIFICATE PEM_KEY), "not that of the private key"));
    assert_non_null(strstr(read_text(PEM_OTHER_CERTIFICATE PEM_CERTIFICATE PEM_KEY), "not that of the private key"));
    assert_non_null(
        strstr(read_text("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n" PEM_KEY), "is damaged"));
    assert_non_null(strstr(read_text(PEM_CERTIFICATE "-----BEGIN CERTIFICATE-----\nAAAA\n" PEM_KEY), "is damaged"));
    assert_non_null(
        strstr(read_text(PEM_CERTIFICATE "-----BEGIN CERTIFICATE-----\nMAIA\n-----END CERTIFICATE-----\n" PEM_KEY),
               "is damaged"));
    assert_non_null(strstr(read_text(PEM_CERTIFICATE PEM_KEY_OF_TWO), "its public half is that of another one"));
}

/* What would not fit a message of the handshake is refused at once, and not with each client. */
static void test_too_long(void **state)
{
    char text[sizeof(PEM_KEY) + 16 * sizeof(PEM_CERTIFICATE)] = PEM_KEY;

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        strcat(text, PEM_CERTIFICATE);
    assert_null(read_text(text));
    strcat(text, PEM_CERTIFICATE);
    assert_non_null(strstr(read_text(text), "too long"));
}

/* What a signature has computed of the base point is there for the next one. */
static void test_the_first_signature_helps(void **state)
{
    const u8 hash[32] = { 1 };
    u8 signature[MBEDTLS_ECDSA_MAX_LEN];
    struct certificate *shown;
    mbedtls_ssl_config config;
    mbedtls_pk_context *key;
    size_t len;

    (void)state;
    mbedtls_ssl_config_init(&config);
    assert_null(read_text(PEM_CERTIFICATE PEM_KEY));
    assert_int_equal(certificate_show(&config, &shown), 0);
    key = config.key_cert->key;
    assert_null(mbedtls_pk_ec(*key)->grp.T);
    assert_int_equal(
        mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, hash, sizeof(hash), signature, &len, random_for_mbedtls, NULL), 0);
    assert_non_null(mbedtls_pk_ec(*key)->grp.T);
    mbedtls_ssl_config_free(&config);
    certificate_release(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_the_first_signature_helps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

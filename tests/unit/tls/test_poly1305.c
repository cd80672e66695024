/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/hex.c */
/* libs: -lcrypto */
/* The MAC beside the RFC and OpenSSL, by the functions that records and mbedTLS call. */
#include "tls/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/poly1305.h>
#include <openssl/evp.h>

#define KEY 32
#define TAG 16
#define TEXT 3000

#define NONE "00000000000000000000000000000000"
#define ONE "01000000000000000000000000000000"
#define TWO "02000000000000000000000000000000"
#define ONES "ffffffffffffffffffffffffffffffff"

static const char contribution[] =
    "Any submission to the IETF intended by the Contributor for publication as all or part of an IETF Internet-Draft "
    "or RFC and any statement made within the context of an IETF activity is considered an \"IETF Contribution\". "
    "Such statements include oral statements in IETF sessions, as well as written and electronic communications made "
    "at any time or place, which are addressed to";
static const char poem[] = "'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe:\n"
                           "All mimsy were the borogoves,\nAnd the mome raths outgrabe.";

/* RFC 8439, 2.5.2 and A.3. Those from 5 on are what goes wrong where carries are forgotten. */
static const struct vector {
    const char *r, *s; /* the key's halves */
    const char *words; /* the text, or */
    const char *digits;
    const char *tag;
} vectors[] = {
    { "85d6be7857556d337f4452fe42d506a8", "0103808afb0db2fd4abff6af4149f51b", "Cryptographic Forum Research Group",
      NULL, "a8061dc1305136c6c22b8baf0c0127a9" },
    { NONE, NONE, NULL, NONE NONE NONE NONE, NONE },
    { NONE, "36e5f6b5c5e06070f0efca96227a863e", contribution, NULL, "36e5f6b5c5e06070f0efca96227a863e" },
    { "36e5f6b5c5e06070f0efca96227a863e", NONE, contribution, NULL, "f3477e7cd95417af89a6b8794c310cf0" },
    { "1c9240a5eb55d38af333888604f6b5f0", "473917c1402b80099dca5cbc207075c0", poem, NULL,
      "4541669a7eaaee61e708dc7cbcc5eb62" },
    { TWO, NONE, NULL, ONES, "03000000000000000000000000000000" },
    { TWO, ONES, NULL, TWO, "03000000000000000000000000000000" },
    { ONE, NONE, NULL, ONES "f0ffffffffffffffffffffffffffffff11000000000000000000000000000000",
      "05000000000000000000000000000000" },
    { ONE, NONE, NULL, ONES "fbfefefefefefefefefefefefefefefe01010101010101010101010101010101", NONE },
    { TWO, NONE, NULL, "fdffffffffffffffffffffffffffffff", "faffffffffffffffffffffffffffffff" },
    { "01000000000000000400000000000000", NONE, NULL,
      "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000" NONE ONE, "14000000000000005500000000000000" },
    { "01000000000000000400000000000000", NONE, NULL,
      "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000" NONE, "13000000000000000000000000000000" },
};

static u8 text[TEXT];

static void read_digits(const char *digits, u8 *bytes)
{
    assert_true(hex_read(digits, strlen(digits), bytes, strlen(digits) / 2));
}

static size_t next_piece(unsigned most, size_t left)
{
    size_t piece = (size_t)rand() % (most + 1);

    return piece < left ? piece : left;
}

/* Of text[0..len), which comes in pieces of at most so many bytes. */
static void mac(const u8 key[KEY], size_t len, unsigned most, u8 tag[TAG])
{
    mbedtls_poly1305_context context;

    mbedtls_poly1305_init(&context);
    assert_int_equal(mbedtls_poly1305_starts(&context, key), 0);
    for (size_t piece, at = 0; at < len; at += piece) {
        piece = next_piece(most, len - at);
        assert_int_equal(mbedtls_poly1305_update(&context, text + at, piece), 0);
    }
    assert_int_equal(mbedtls_poly1305_finish(&context, tag), 0);
    mbedtls_poly1305_free(&context);
}

static void test_rfc(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const struct vector *vector = &vectors[i];
        size_t len = vector->words ? strlen(vector->words) : strlen(vector->digits) / 2;
        u8 key[KEY], right[TAG], tag[TAG];

        read_digits(vector->r, key);
        read_digits(vector->s, key + KEY / 2);
        read_digits(vector->tag, right);
        if (vector->words)
            memcpy(text, vector->words, len);
        else
            read_digits(vector->digits, text);
        for (unsigned most = 1; most <= TEXT; most = most * 3 / 2 + 1) {
            mac(key, len, most, tag);
            assert_memory_equal(tag, right, TAG);
        }
    }
}

/* Random bytes; now and then all ones, or nearly all, whose carries go far. */
static void any_bytes(u8 *bytes, size_t len)
{
    bool ones = rand() % 4 == 0;

    for (size_t i = 0; i < len; i++)
        bytes[i] = ones && rand() % 64 ? 0xff : (u8)rand();
}

/* Texts of any length, in pieces of any sizes, with any key: the tag is OpenSSL's. */
static void test_pieces(void **state)
{
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    EVP_MAC_CTX *other = EVP_MAC_CTX_new(algorithm);
    u8 key[KEY], tag[TAG], right[TAG];
    size_t len, out;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 3000; round++) {
        len = (size_t)rand() % (round % 2 ? 70 : TEXT);
        any_bytes(key, KEY);
        any_bytes(text, len);
        mac(key, len, round % 3 ? 40 : TEXT, tag);
        assert_int_equal(EVP_MAC_init(other, key, KEY, NULL), 1);
        assert_int_equal(EVP_MAC_update(other, text, len), 1);
        assert_int_equal(EVP_MAC_final(other, right, &out, TAG), 1);
        assert_memory_equal(tag, right, TAG);
    }
    EVP_MAC_CTX_free(other);
    EVP_MAC_free(algorithm);
}

/* When the tag is made, and when a context goes, nothing of the key is left in it. */
static void test_wiped(void **state)
{
    static const mbedtls_poly1305_context zeros;
    static const u8 key[KEY] = { 1, [KEY - 1] = 2 };
    mbedtls_poly1305_context context;
    u8 tag[TAG];

    (void)state;
    mbedtls_poly1305_init(&context);
    assert_memory_equal(&context, &zeros, sizeof(zeros));
    for (unsigned finished = 0; finished < 2; finished++) {
        mbedtls_poly1305_starts(&context, key);
        mbedtls_poly1305_update(&context, text, 7);
        assert_memory_not_equal(&context, &zeros, sizeof(zeros));
        if (finished)
            mbedtls_poly1305_finish(&context, tag);
        else
            mbedtls_poly1305_free(&context);
        assert_memory_equal(&context, &zeros, sizeof(zeros));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_wiped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

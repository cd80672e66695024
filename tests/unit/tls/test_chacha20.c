/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c */
/* Each code for the cipher that this machine has, beside the RFC and mbedTLS. */
#include "tls/chacha20.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/chacha20.h>

#define TEXT 3000
#define LONG 200 /* a short text is encrypted in general registers whatever the code */

static u8 text[TEXT], here[TEXT], theirs[TEXT];

/* Another code of those that this machine has. */
static void use_any_code(void)
{
    enum chacha20_code code;

    do
        code = (enum chacha20_code)(rand() % NR_CHACHA20);
    while (!chacha20_has(code));
    chacha20_use(code);
}

static void begin(struct chacha20 *cipher, const u8 *key, const u8 *nonce, u32 block)
{
    chacha20_begin(cipher, key, nonce);
    cipher->state[12] = block;
}

/* RFC 8439, 2.4.2. */
static void test_rfc(void **state)
{
    static const char sunscreen[LONG] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        "future, sunscreen would be it.";
    static const u8 nonce[CHACHA20_NONCE] = { [7] = 0x4a };
    static const u8 right[] = { 0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80, 0x41, 0xba, 0x07, 0x28, 0xdd,
                                0x0d, 0x69, 0x81, 0xe9, 0x7e, 0x7a, 0xec, 0x1d, 0x43, 0x60, 0xc2, 0x0a, 0x27,
                                0xaf, 0xcc, 0xfd, 0x9f, 0xae, 0x0b, 0xf9, 0x1b, 0x65, 0xc5, 0x52, 0x47, 0x33,
                                0xab, 0x8f, 0x59, 0x3d, 0xab, 0xcd, 0x62, 0xb3, 0x57, 0x16, 0x39, 0xd6, 0x24,
                                0xe6, 0x51, 0x52, 0xab, 0x8f, 0x53, 0x0c, 0x35, 0x9f, 0x08, 0x61, 0xd8, 0x07,
                                0xca, 0x0d, 0xbf, 0x50, 0x0d, 0x6a, 0x61, 0x56, 0xa3, 0x8e, 0x08, 0x8a, 0x22,
                                0xb6, 0x5e, 0x52, 0xbc, 0x51, 0x4d, 0x16, 0xcc, 0xf8, 0x06, 0x81, 0x8c, 0xe9,
                                0x1a, 0xb7, 0x79, 0x37, 0x36, 0x5a, 0xf9, 0x0b, 0xbf, 0x74, 0xa3, 0x5b, 0xe6,
                                0xb4, 0x0b, 0x8e, 0xed, 0xf2, 0x78, 0x5e, 0x42, 0x87, 0x4d };
    u8 key[CHACHA20_KEY], out[LONG];
    struct chacha20 cipher;

    (void)state;
    for (unsigned i = 0; i < sizeof(key); i++)
        key[i] = (u8)i;
    for (enum chacha20_code code = 0; code < NR_CHACHA20; code++) {
        if (!chacha20_has(code))
            continue;
        chacha20_use(code);
        assert_int_equal(chacha20_used(), code);
        begin(&cipher, key, nonce, 1);
        chacha20_crypt(&cipher, out, (const u8 *)sunscreen, LONG);
        assert_memory_equal(out, right, sizeof(right));
    }
}

/* Text in pieces of any sizes, with any key, by one code or by another one for each piece, is what mbedTLS makes of it;
 * and again it is the text. */
static void test_pieces(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 300; round++) {
        u8 key[CHACHA20_KEY], nonce[CHACHA20_NONCE];
        struct chacha20 cipher;
        mbedtls_chacha20_context other;
        u32 block = round % 5 ? round : UINT32_MAX - 3;

        for (unsigned i = 0; i < sizeof(key); i++)
            key[i] = (u8)rand();
        for (unsigned i = 0; i < sizeof(nonce); i++)
            nonce[i] = (u8)rand();
        for (unsigned i = 0; i < TEXT; i++)
            text[i] = (u8)rand();
        mbedtls_chacha20_init(&other);
        mbedtls_chacha20_setkey(&other, key);
        mbedtls_chacha20_starts(&other, nonce, block);
        mbedtls_chacha20_update(&other, TEXT, text, theirs);
        begin(&cipher, key, nonce, block);
        use_any_code();
        for (size_t at = 0, part; at < TEXT; at += part) {
            part = (size_t)rand() % (round % 2 ? 10 : 1500);
            part = part < TEXT - at ? part : TEXT - at;
            if (round % 4 > 1)
                use_any_code();
            chacha20_crypt(&cipher, here + at, text + at, part);
        }
        assert_memory_equal(here, theirs, TEXT);
        begin(&cipher, key, nonce, block);
        chacha20_crypt(&cipher, here, here, TEXT);
        assert_memory_equal(here, text, TEXT);
        mbedtls_chacha20_free(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc),
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

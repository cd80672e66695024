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
    static const char sunscreen[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        "future, sunscreen would be it.";
    static const u8 nonce[CHACHA20_NONCE] = { [7] = 0x4a },
                    first[] = { 0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80 }, last[] = { 0x87, 0x4d };
    u8 key[CHACHA20_KEY], out[sizeof(sunscreen) - 1];
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
        chacha20_crypt(&cipher, out, (const u8 *)sunscreen, sizeof(out));
        assert_memory_equal(out, first, sizeof(first));
        assert_memory_equal(out + sizeof(out) - 2, last, sizeof(last));
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

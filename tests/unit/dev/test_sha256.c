/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/sha256.c tests/unit/stubs.c */
/* SHA-256 gives what its standard's examples have, also where the padding takes a block of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dev/sha256.h"

static void test_examples(void **state)
{
    static const struct {
        const char *text, *digest;
    } line[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
          "nopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
        u8 digest[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1] = "";

        sha256(line[i].text, strlen(line[i].text), digest);
        for (unsigned k = 0; k < SHA256_BYTES; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, line[i].digest);
    }
}

/* In parts, of whatever length, it is the same; the padding begins at each place of a block. */
static void test_parts(void **state)
{
    static u8 text[300];

    (void)state;
    for (unsigned i = 0; i < sizeof(text); i++)
        text[i] = (u8)(i * 7);
    for (size_t len = 0; len <= sizeof(text); len++)
        for (size_t part = 1; part < 150; part += 37) {
            u8 once[SHA256_BYTES], parts[SHA256_BYTES];
            struct sha256 sha;

            sha256(text, len, once);
            sha256_begin(&sha);
            for (size_t at = 0; at < len; at += part)
                sha256_add(&sha, text + at, len - at < part ? len - at : part);
            sha256_end(&sha, parts);
            assert_memory_equal(once, parts, sizeof(once));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_examples), cmocka_unit_test(test_parts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

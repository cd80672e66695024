/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/tokens.c tls/hex.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
#include "tls/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* FIPS 180-2 has the first of these hashes, of "abc"; the others are of "a" and of nothing. */
#define HASH_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HASH_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
#define HASH_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HASH_0 "0000000000000000000000000000000000000000000000000000000000000000"

static unsigned line;

/* Of its exact size, for the sanitizer. */
static const char *read_text(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    const char *wrong;

    memcpy(copy, text, len);
    wrong = tokens_read(copy, len, TOKEN_READ, &line);
    free(copy);
    return wrong;
}

static void roles(void **state)
{
    (void)state;
    assert_null(read_text("# people\nalice admin " HASH_0 "\n\nbob.2 operate " HASH_ABC
                          "\n# programs\nprometheus read " HASH_A));
    assert_string_equal(tokens_find("abc")->name, "bob.2");
    assert_int_equal(tokens_find("abc")->role, TOKEN_OPERATE);
    assert_string_equal(tokens_find("a")->name, "prometheus");
    assert_int_equal(tokens_find("a")->role, TOKEN_READ);
    assert_null(tokens_find(""));
    assert_null(tokens_find("ab"));
    assert_null(tokens_find("abcd"));
    assert_null(tokens_find(HASH_ABC));
    assert_string_equal(token_role_name(TOKEN_ADMIN), "admin");
}

static void wrong(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } cases[] = {
        { "", 0, "no token" },
        { "# nobody\n\n", 0, "no token" },
        { "alice\n", 1, "not a role" },
        { "alice root " HASH_ABC, 1, "not a role" },
        { "alice admins " HASH_ABC, 1, "not a role" },
        { "alice adm " HASH_ABC, 1, "not a role" },
        { "alice  admin " HASH_ABC, 1, "not a role" },
        { "alice admin\n", 1, "not a hash" },
        { "alice admin " HASH_ABC "0", 1, "not a hash" },
        { "alice admin " HASH_ABC " ", 1, "not a hash" },
        { "alice admin " HASH_ABC "\r\n", 1, "not a hash" },
        { "alice admin secret", 1, "not a hash" },
        { "alice admin " HASH_EMPTY, 1, "an empty token" },
        { " admin " HASH_ABC, 1, "not a name" },
        { "a\033[2J admin " HASH_ABC, 1, "not a name" },
        { "a123456789012345678901234567890x admin " HASH_ABC, 1, "too long" },
        { "\nalice admin " HASH_ABC "\nalice read " HASH_0, 3, "again" },
        { "alice admin " HASH_ABC "\nbob read " HASH_ABC "\n# more", 2, "again" },
    };

    struct token before;

    (void)state;
    assert_null(read_text("eve operate " HASH_A));
    before = *tokens_find("a");
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *words = read_text(cases[i].text);

        assert_non_null(words);
        assert_non_null(strstr(words, cases[i].words));
        assert_int_equal(line, cases[i].line);
        assert_null(tokens_find("abc")); /* none of a wrong file, and those of the one before */
        assert_true(tokens_have(&before) && tokens_present());
    }
}

/* Another file takes the place of the first: who is not in it any more is nobody, and who has another role, too. */
static void another_file(void **state)
{
    struct token eve, bob;

    (void)state;
    assert_null(read_text("eve operate " HASH_A "\nbob read " HASH_ABC));
    eve = *tokens_find("a");
    bob = *tokens_find("abc");
    assert_true(tokens_have(&eve) && tokens_have(&bob));
    assert_non_null(strstr(tokens_read("eve operate " HASH_A, 76, TOKEN_ADMIN, &line), "no admin"));
    assert_int_equal(line, 0);
    assert_true(tokens_have(&eve) && tokens_have(&bob));
    assert_null(tokens_read("bob admin " HASH_ABC, 74, TOKEN_ADMIN, &line));
    assert_false(tokens_have(&eve));
    assert_false(tokens_have(&bob));
    assert_null(tokens_find("a"));
    assert_int_equal(tokens_find("abc")->role, TOKEN_ADMIN);
}

static void many(void **state)
{
    char text[(TOKENS_MAX + 1) * 100];
    size_t at = 0;

    (void)state;
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "n%u read %.62s%02x\n", i, HASH_0, i);
    assert_null(read_text(text));
    snprintf(text + at, sizeof(text) - at, "last admin " HASH_ABC "\n");
    assert_non_null(strstr(read_text(text), "at most 32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles),
        cmocka_unit_test(wrong),
        cmocka_unit_test(many),
        cmocka_unit_test(another_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/tokens.c tls/hex.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/*
 * libFuzzer entry for a file of tokens. The input is its text, or makes one of lines that mean something. The file is
 * taken, and then a token that it has means one name and one role; or it is refused with a line and words, and then
 * nothing is a token.
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "config/config.h"
#include "tls/tokens.h"

#define TEXT_MAX 4096
#define HASH_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-2 has it, of "abc" */

static size_t line(struct fuzz *fuzz, char *to)
{
    static const char *const roles[] = { "read", "operate", "admin", "adm", "Admin", "" };
    static const char *const names[] = { "a", "alice", "godwit", "n1", "" };
    u8 kind = fuzz_u8(fuzz), more = fuzz_u8(fuzz);

    if (kind < 32)
        return (size_t)sprintf(to, kind & 1 ? "\n" : "# a word\n");
    return (size_t)sprintf(to, "%s%.*s %s %.*s%02x%c", names[kind % ARRAY_SIZE(names)], kind & 1, "x",
                           roles[more % ARRAY_SIZE(roles)], more & 32 ? 62 : 60, HASH_ABC, fuzz_u8(fuzz),
                           more & 64 ? ' ' : '\n');
}

static size_t text_of(struct fuzz *fuzz, char text[TEXT_MAX])
{
    u8 kind = fuzz_u8(fuzz);
    size_t len = 0;

    if (kind & 1) {
        len = MIN(fuzz->size, (size_t)TEXT_MAX);
        fuzz_bytes(fuzz, text, len);
        return len;
    }
    for (unsigned i = 0; i < kind % 40U; i++)
        len += line(fuzz, text + len);
    return len - (kind & 64 && len);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct fuzz fuzz = { data, size };
    static const char former[] = "former read 1111111111111111111111111111111111111111111111111111111111111111";
    char text[TEXT_MAX], *copy;
    size_t len = text_of(&fuzz, text);
    const struct token *token;
    const char *wrong;
    unsigned said, lines = 1;

    copy = malloc(len ? len : 1); /* of exactly its size, for the sanitizer */
    REQUIRE(copy);
    memcpy(copy, text, len);
    REQUIRE(!tokens_read(former, strlen(former), TOKEN_READ, &said));
    wrong = tokens_read(copy, len, TOKEN_READ, &said);
    for (size_t i = 0; i < len; i++)
        lines += copy[i] == '\n';
    free(copy);
    token = tokens_find("abc");
    if (wrong) {
        REQUIRE(*wrong && said <= lines && !token);
    } else if (token) {
        REQUIRE(!config_name_fault(token->name) && token->role <= TOKEN_ADMIN);
        REQUIRE(memmem(text, len, HASH_ABC, strlen(HASH_ABC)));
    }
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/tokens.h"

#include <assert.h>
#include <string.h>

#include <mbedtls/constant_time.h>
#include <mbedtls/sha256.h>

#include "config/config.h"
#include "host/bits.h"
#include "tls/hex.h"

static const char *const role_names[] = { [TOKEN_READ] = "read", [TOKEN_OPERATE] = "operate", [TOKEN_ADMIN] = "admin" };

struct token_list {
    struct token token[TOKENS_MAX];
    unsigned count;
};

static struct token_list lists[2], *ours = lists; /* the other one was before it */

const char *token_role_name(enum token_role role)
{
    return role_names[role];
}

/* Cut the word off that text[0..*len) begins with, and the blank behind it. */
static size_t word_cut(const char **text, size_t *len, const char **word)
{
    const char *blank = memchr(*text, ' ', *len);
    size_t cut = blank ? (size_t)(blank - *text) : *len;

    *word = *text;
    *text += cut + (blank != NULL);
    *len -= cut + (blank != NULL);
    return cut;
}

static bool role_read(const char *word, size_t len, enum token_role *role)
{
    for (unsigned i = 0; i < ARRAY_SIZE(role_names); i++)
        if (len == strlen(role_names[i]) && !memcmp(word, role_names[i], len)) {
            *role = (enum token_role)i;
            return true;
        }
    return false;
}

static void hash_of(const char *secret, u8 hash[TOKEN_HASH])
{
    mbedtls_sha256_ret((const u8 *)secret, strlen(secret), hash, 0);
}

/* A line, without its end. Returns NULL, or what is wrong. */
static const char *take_line(struct token_list *list, const char *line, size_t len)
{
    struct token *token = &list->token[list->count];
    const char *word;
    u8 nothing[TOKEN_HASH];
    size_t cut;

    if (len == 0 || *line == '#')
        return NULL;
    if (list->count == TOKENS_MAX)
        return "too many tokens, expected at most 32";
    cut = word_cut(&line, &len, &word);
    if (cut >= TOKEN_NAME)
        return "the name is too long, expected at most 31 characters";
    memcpy(token->name, word, cut);
    token->name[cut] = '\0';
    if (config_name_fault(token->name))
        return "not a name, expected letters, digits, '-', '_' and '.', and not that of a port of the switch";
    cut = word_cut(&line, &len, &word);
    if (!role_read(word, cut, &token->role))
        return "not a role, expected read, operate or admin behind the name";
    if (!hex_read(line, len, token->hash, TOKEN_HASH))
        return "not a hash, expected the SHA-256 of a token in 64 hexadecimal digits behind the role";
    hash_of("", nothing);
    if (!memcmp(token->hash, nothing, TOKEN_HASH))
        return "the hash of an empty token, which everybody has, expected that of one that mkkeys has made";
    for (const struct token *other = list->token; other < token; other++)
        if (!strcmp(other->name, token->name) || !memcmp(other->hash, token->hash, TOKEN_HASH))
            return "the same name or token again";
    list->count++;
    return NULL;
}
static_assert(TOKENS_MAX == 32 && TOKEN_NAME == 32, "the messages name the limits");

static bool has_role(const struct token_list *list, enum token_role role)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->token[i].role >= role)
            return true;
    return false;
}

const char *tokens_read(const char *text, size_t len, enum token_role highest, unsigned *line)
{
    struct token_list *list = &lists[ours == lists];
    const char *wrong = NULL;

    list->count = 0;
    for (*line = 1; len > 0 && !wrong; ++*line) {
        const char *end = memchr(text, '\n', len);
        size_t cut = end ? (size_t)(end - text) : len;

        wrong = take_line(list, text, cut);
        text += cut + (end != NULL);
        len -= cut + (end != NULL);
    }
    --*line;
    if (wrong)
        return wrong;
    *line = 0;
    if (!list->count)
        return "no token, expected a name, a role and a hash";
    if (!has_role(list, highest))
        return "no admin, expected one, who can change them again";
    ours = list;
    return NULL;
}

bool tokens_present(void)
{
    return ours->count > 0;
}

const struct token *tokens_find(const char *secret)
{
    const struct token *found = NULL;
    u8 hash[TOKEN_HASH];

    hash_of(secret, hash);
    for (unsigned i = 0; i < ours->count; i++)
        if (!mbedtls_ct_memcmp(ours->token[i].hash, hash, TOKEN_HASH))
            found = &ours->token[i];
    return found;
}

bool tokens_have(const struct token *token)
{
    bool found = false;

    for (unsigned i = 0; i < ours->count; i++)
        found |= !mbedtls_ct_memcmp(ours->token[i].hash, token->hash, TOKEN_HASH) && ours->token[i].role == token->role;
    return found;
}

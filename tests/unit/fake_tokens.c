/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_tokens.h"

#include <string.h>

const char *fake_secret = "";
bool fake_tokens_new;

static const char *const prefixes[] = { [TOKEN_READ] = "read-", [TOKEN_OPERATE] = "operate-", [TOKEN_ADMIN] = "" };
static const struct token tokens[] = {
    { .name = "prometheus", .role = TOKEN_READ },
    { .name = "bob", .role = TOKEN_OPERATE },
    { .name = "alice", .role = TOKEN_ADMIN },
};

const struct token *tokens_find(const char *secret)
{
    for (unsigned i = fake_tokens_new ? 2 : 0; i < 3; i++) {
        const char *prefix = prefixes[tokens[i].role];

        if (!strncmp(secret, prefix, strlen(prefix)) && !strcmp(secret + strlen(prefix), fake_secret))
            return &tokens[i];
    }
    return NULL;
}

const char *token_role_name(enum token_role role)
{
    return role == TOKEN_READ ? "read" : role == TOKEN_OPERATE ? "operate" : "admin";
}

bool tokens_have(const struct token *token)
{
    return !fake_tokens_new || token->role == TOKEN_ADMIN;
}

bool tokens_present(void)
{
    return *fake_secret;
}

const char *tokens_read(const char *text, size_t len, enum token_role highest, unsigned *line)
{
    bool right = highest == TOKEN_ADMIN && len == strlen("right") && !memcmp(text, "right", len);

    fake_tokens_new |= right;
    *line = 3;
    return right ? NULL : "not a hash";
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_tokens.h"

#include <string.h>

const char *fake_secret = "";

static const char *const prefixes[] = { [TOKEN_READ] = "read-", [TOKEN_OPERATE] = "operate-", [TOKEN_ADMIN] = "" };
static const struct token tokens[] = {
    { .name = "prometheus", .role = TOKEN_READ },
    { .name = "bob", .role = TOKEN_OPERATE },
    { .name = "alice", .role = TOKEN_ADMIN },
};

const struct token *tokens_find(const char *secret)
{
    for (unsigned i = 0; i < 3; i++) {
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

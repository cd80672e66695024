/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may use the API: tokens, of which only hashes are known here, from a file of the boot volume (docs/api.md
 * "Tokens"). Its lines are
 *
 *     NAME ROLE HASH      HASH being the SHA-256 of the token in 64 hexadecimal digits
 *
 * Lines that are empty or begin with # say nothing. A token is random and long, so that its hash tells nothing. Host
 * loop.
 */
#pragma once

#include "host/types.h"

#define TOKENS_MAX 32
#define TOKEN_NAME 32 /* with the terminator */
#define TOKEN_HASH 32

/* Each may do what those before it may. */
enum token_role {
    TOKEN_READ,    /* look at all but guests' memory */
    TOKEN_OPERATE, /* steer guests */
    TOKEN_ADMIN,   /* answer for what the hypervisors can't know: force an end */
};

struct token {
    char name[TOKEN_NAME];
    enum token_role role;
    u8 hash[TOKEN_HASH];
};

/* Read the file, in place of the one before. Somebody in it must have the role `highest`, or one above it. Returns
 * NULL; or what is wrong, in that line, 0: in the whole file; then all is as before. */
const char *tokens_read(const char *text, size_t len, enum token_role highest, unsigned *line);

/* Have any been read? */
bool tokens_present(void);

/* Whose token is this text? NULL: nobody's. The time that this takes tells nothing about the tokens. The answer stays
 * until tokens are read twice. */
const struct token *tokens_find(const char *secret);

/* Is this one, a copy of what was found, still a token of that role? */
bool tokens_have(const struct token *token);

/* "read", "operate" or "admin". */
const char *token_role_name(enum token_role role);

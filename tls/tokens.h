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

/* Read the file. Returns NULL; or what is wrong, in that line, 0: in the whole file; then there are no tokens. Boot. */
const char *tokens_read(const char *text, size_t len, unsigned *line);

/* Whose token is this text? NULL: nobody's. The time that this takes tells nothing about the tokens. */
const struct token *tokens_find(const char *secret);

/* "read", "operate" or "admin". */
const char *token_role_name(enum token_role role);

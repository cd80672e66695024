/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A writer of JSON (RFC 8259): the one form in which every command gives its result. No blanks, members in the order of
 * writing, numbers unsigned integers.
 *
 * Errors are the buffer's. Keys are NULL inside arrays and at the top. Pure but for malloc.
 */
#pragma once

#include "control/buffer.h"
#include "host/types.h"

#define JSON_DEPTH 16

struct json {
    struct buffer buffer;
    unsigned depth;
    char closer[JSON_DEPTH]; /* what ends each open level */
    bool comma;              /* the next value needs one in front */
};

/* An empty text; and its memory given back. */
void json_init(struct json *json);
void json_fini(struct json *json);

/* Open an object or an array; close the innermost. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_close(struct json *json);

/* Values. Bytes beyond ASCII are written as the Unicode characters of the same number. */
void json_string(struct json *json, const char *key, const char *value);
void json_bytes(struct json *json, const char *key, const char *bytes, size_t len);
void json_format(struct json *json, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void json_number(struct json *json, const char *key, u64 value);
void json_uuid(struct json *json, const char *key, const u8 id[16]);  /* RFC 4122, "3. Namespace Registration" */
void json_milli(struct json *json, const char *key, u64 thousandths); /* as a decimal fraction */
void json_bool(struct json *json, const char *key, bool value);

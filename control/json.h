/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A writer of JSON (RFC 8259), the one form in which every command gives its result. The text has no blanks, its
 * members stand in the order of writing, and numbers are unsigned integers.
 *
 * Errors are kept by the buffer. The key is NULL inside arrays and at the top. Pure but for malloc.
 */
#pragma once

#include "control/buffer.h"
#include "host/types.h"

#define JSON_DEPTH 16

struct json {
    struct buffer buffer;
    unsigned depth;
    char closer[JSON_DEPTH]; /* the bracket that ends each open level */
    bool comma;              /* the next value needs a comma in front */
};

/* json_init: begin with an empty text. json_fini: free its memory. */
void json_init(struct json *json);
void json_fini(struct json *json);

/* Open an object; open an array; close the innermost one. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_close(struct json *json);

/* Values. Bytes beyond ASCII are written as the Unicode characters of the same number. */
void json_string(struct json *json, const char *key, const char *value);
void json_bytes(struct json *json, const char *key, const char *bytes, size_t len);
void json_format(struct json *json, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void json_number(struct json *json, const char *key, u64 value);
void json_uuid(struct json *json, const char *key, const u8 id[16]);  /* RFC 4122, "3. Namespace Registration" */
void json_milli(struct json *json, const char *key, u64 thousandths); /* written as a decimal fraction */
void json_bool(struct json *json, const char *key, bool value);

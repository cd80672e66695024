/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the heads of HTTP/1.1 requests and answers have in common (RFC 9112): lines, fields, tokens. The bytes are a
 * stranger's. They are looked at through spans, which never reach beyond the given bytes. Pure.
 */
#pragma once

#include "host/types.h"

#define HTTP_LENGTH_MAX (1ULL << 60) /* no body is as long */

/* Bytes of a head, still to be read. */
struct http_span {
    const char *at;
    size_t len;
};

/* The length of the head with its empty line; 0: the head is not complete. A bare LF ends a line, too. */
size_t http_head_length(const char *buf, size_t len);

/* The next line of *head, without its end. */
struct http_span http_line(struct http_span *head);

/* Cut off the part of *s before the first `c`; *s keeps the part behind it. Without a `c`, all of *s is cut off. */
struct http_span http_cut(struct http_span *s, char c);

/* Cut a field into name and value. False: the line is none. */
bool http_field(struct http_span line, struct http_span *name, struct http_span *value);

/* Without blanks and tabs around it. */
struct http_span http_trim(struct http_span s);

/* Is it this text? nocase: whatever the case of its letters. */
bool http_is(struct http_span s, const char *text);
bool http_is_nocase(struct http_span s, const char *text);

/* RFC 9110 "Tokens". */
bool http_is_token(struct http_span s);

/* Does a list of options, as of "Connection", have this one? */
bool http_has_option(struct http_span list, const char *option);

/* The value of "Content-Length", at most HTTP_LENGTH_MAX. False: it is no number. */
bool http_length(struct http_span value, u64 *length);

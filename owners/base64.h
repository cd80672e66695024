/* SPDX-License-Identifier: BSD-2-Clause */
/* Base64 (RFC 4648, "4. Base 64 Encoding"), in which etcd's JSON carries keys and values. Pure. */
#pragma once

#include "host/types.h"

#define BASE64_ROOM(len) (((len) + 2) / 3 * 4 + 1) /* bytes that the text of `len` bytes needs, with its end */

/* Write bytes[0..len) as a terminated text of BASE64_ROOM(len) bytes. */
void base64_encode(const void *bytes, size_t len, char *text);

/* Read text[0..len), with its padding, into at most `room` bytes. Returns how many bytes it is, or -1: it is malformed
 * or too long. */
long base64_decode(const char *text, size_t len, void *bytes, size_t room);

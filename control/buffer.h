/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A text that grows. Errors are sticky: without memory, or beyond BUFFER_MAX, nothing more is put and `failed` is set.
 * Pure but for malloc.
 */
#pragma once

#include <stdarg.h>

#include "host/types.h"

#define BUFFER_MAX (256u << 10)

struct buffer {
    char *text; /* terminated; NULL before the first byte */
    size_t len, room;
    bool failed;
};

/* Free the text; the buffer is then empty. A buffer of zeroes is empty, too. */
void buffer_fini(struct buffer *buffer);

/* Append. */
void buffer_put(struct buffer *buffer, const char *bytes, size_t len);

/* Append formatted text, at most 511 bytes a call: the rest is cut off. */
void buffer_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_vformat(struct buffer *buffer, const char *format, va_list args);

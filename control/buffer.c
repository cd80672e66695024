/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"

#define ROOM_FIRST 512
#define FORMATTED_MAX 512

void buffer_fini(struct buffer *buffer)
{
    free(buffer->text);
    *buffer = (struct buffer){ 0 };
}

static bool grow(struct buffer *buffer, size_t need)
{
    size_t room = MAX(buffer->room, (size_t)ROOM_FIRST);
    char *text;

    while (room < need)
        room *= 2;
    if (room == buffer->room)
        return true;
    text = need <= BUFFER_MAX ? realloc(buffer->text, room) : NULL;
    if (!text) {
        buffer->failed = true;
        return false;
    }
    buffer->text = text;
    buffer->room = room;
    return true;
}

void buffer_put(struct buffer *buffer, const char *bytes, size_t len)
{
    if (buffer->failed || !grow(buffer, buffer->len + len + 1))
        return;
    memcpy(buffer->text + buffer->len, bytes, len);
    buffer->len += len;
    buffer->text[buffer->len] = '\0';
}

void buffer_vformat(struct buffer *buffer, const char *format, va_list args)
{
    char text[FORMATTED_MAX];
    int len = vsnprintf(text, sizeof(text), format, args);

    if (len > 0)
        buffer_put(buffer, text, MIN((size_t)len, sizeof(text) - 1));
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buffer_vformat(buffer, format, args);
    va_end(args);
}

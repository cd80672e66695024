/* SPDX-License-Identifier: BSD-2-Clause */
#include "owners/base64.h"

#include <string.h>

#include "host/bits.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t len, char *text)
{
    const u8 *from = bytes;

    for (size_t at = 0; at < len; at += 3) {
        u32 three = (u32)from[at] << 16;

        three |= at + 1 < len ? (u32)from[at + 1] << 8 : 0;
        three |= at + 2 < len ? from[at + 2] : 0;
        *text++ = digits[three >> 18];
        *text++ = digits[three >> 12 & 63];
        *text++ = at + 1 < len ? digits[three >> 6 & 63] : '=';
        *text++ = at + 2 < len ? digits[three & 63] : '=';
    }
    *text = '\0';
}

/* The six bits of a character, or -1. */
static int bits_of(char c)
{
    const char *digit = c ? strchr(digits, c) : NULL;

    return digit ? (int)(digit - digits) : -1;
}

long base64_decode(const char *text, size_t len, void *bytes, size_t room)
{
    size_t used = len, written = 0;
    u8 *to = bytes;
    u32 bits = 0;

    if (len % 4)
        return -1;
    while (used && len - used < 2 && text[used - 1] == '=')
        used--;
    if (used * 3 / 4 > room)
        return -1;
    for (size_t i = 0; i < used; i++) {
        int six = bits_of(text[i]);

        if (six < 0)
            return -1;
        bits = bits << 6 | (u32)six;
        if (i % 4)
            to[written++] = (u8)(bits >> (6 - 2 * (i % 4)));
    }
    return (long)written;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/http_head.h"

#include <string.h>
#include <strings.h>

#include "host/bits.h"

bool http_is(struct http_span s, const char *text)
{
    return s.len == strlen(text) && !memcmp(s.at, text, s.len);
}

bool http_is_nocase(struct http_span s, const char *text)
{
    return s.len == strlen(text) && !strncasecmp(s.at, text, s.len);
}

struct http_span http_cut(struct http_span *s, char c)
{
    const char *found = s->len ? memchr(s->at, c, s->len) : NULL;
    struct http_span first = { s->at, found ? (size_t)(found - s->at) : s->len };
    size_t used = first.len + (found != NULL);

    s->at += used;
    s->len -= used;
    return first;
}

struct http_span http_trim(struct http_span s)
{
    for (; s.len && (*s.at == ' ' || *s.at == '\t'); s.len--)
        s.at++;
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool http_is_token(struct http_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

static bool is_printable(struct http_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((u8)s.at[i] < ' ' ? s.at[i] != '\t' : s.at[i] == 0x7F)
            return false;
    return true;
}

/* A blank before the colon, or a folded line, is how messages are smuggled: RFC 9112 "Field Syntax". */
bool http_field(struct http_span line, struct http_span *name, struct http_span *value)
{
    *name = http_cut(&line, ':');
    *value = http_trim(line);
    return http_is_token(*name) && line.at != name->at + name->len && is_printable(*value);
}

bool http_has_option(struct http_span list, const char *option)
{
    while (list.len)
        if (http_is_nocase(http_trim(http_cut(&list, ',')), option))
            return true;
    return false;
}

bool http_length(struct http_span value, u64 *length)
{
    *length = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        *length = MIN(10 * *length + (u64)(value.at[i] - '0'), HTTP_LENGTH_MAX);
    }
    return value.len > 0;
}

size_t http_head_length(const char *buf, size_t len)
{
    size_t line = 0; /* bytes of the current line, CR not counted */

    for (size_t i = 0; i < len; i++) {
        if (buf[i] == '\n' && line == 0 && i > 1)
            return i + 1;
        if (buf[i] == '\n')
            line = 0;
        else if (buf[i] != '\r' || i + 1 == len || buf[i + 1] != '\n')
            line++;
    }
    return 0;
}

struct http_span http_line(struct http_span *head)
{
    struct http_span line = http_cut(head, '\n');

    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

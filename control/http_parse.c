/* SPDX-License-Identifier: BSD-2-Clause */
/* The first thing that is wrong is reported, and nothing behind it is read. */
#include "control/http_parse.h"

#include <string.h>
#include <strings.h>

#include "host/bits.h"
#include "net/http_head.h"

struct parser {
    struct http_request *request;
    struct http_result result;
    bool needs_host, has_host, has_length;
};

static bool refuse(struct parser *p, int status, const char *reason)
{
    if (!p->result.status) {
        p->result.status = status;
        p->result.reason = reason;
    }
    return false;
}

/* RFC 3986 "Authority" without user information: a host, perhaps with a port. */
static bool is_authority(struct http_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!alnum && (c == '\0' || !strchr("-._~%!$&'()*+,;=:[]", c)))
            return false;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Append s, with its percent signs decoded, and a terminator at request->text[*at]. NULL: s is malformed. There is
 * always room, because decoding only shrinks s. */
static const char *decode(struct parser *p, struct http_span s, size_t *at)
{
    char *start = &p->request->text[*at];

    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];

        if (c == '%') {
            int high = i + 2 < s.len ? hex_digit(s.at[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(s.at[i + 2]) : -1;

            if (low < 0 || (high == 0 && low == 0)) {
                refuse(p, 400, "a percent sign in the target is not followed by two digits");
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        p->request->text[(*at)++] = c;
    }
    p->request->text[(*at)++] = '\0';
    return start;
}

static bool parse_query(struct parser *p, struct http_span query, size_t *at)
{
    while (query.len) {
        struct http_span value = http_cut(&query, '&'), name = http_cut(&value, '=');
        struct http_parameter *parameter = &p->request->parameter[p->request->nr_parameters];

        if (!name.len)
            continue;
        if (p->request->nr_parameters == HTTP_PARAMETERS)
            return refuse(p, 400, "too many parameters");
        parameter->name = decode(p, name, at);
        if (!parameter->name)
            return false;
        parameter->value = decode(p, value, at);
        if (!parameter->value)
            return false;
        p->request->nr_parameters++;
    }
    return true;
}

/* RFC 9112 "absolute-form": reduce "http://HOST/PATH?QUERY", or "https://...", to what is behind the host. We are no
 * proxy: all hosts are ourselves. */
static bool cut_authority(struct parser *p, struct http_span *target)
{
    static const char *const schemes[] = { "http://", "https://" };
    struct http_span authority = { NULL, 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(schemes); i++)
        if (target->len > strlen(schemes[i]) && !strncasecmp(target->at, schemes[i], strlen(schemes[i])))
            authority.at = target->at + strlen(schemes[i]);
    if (!authority.at)
        return true;
    target->len -= (size_t)(authority.at - target->at);
    while (authority.len < target->len && !strchr("/?", authority.at[authority.len]))
        authority.len++;
    target->at = authority.at + authority.len;
    target->len -= authority.len;
    return (authority.len && is_authority(authority)) || refuse(p, 400, "the target names no host behind its ://");
}

static bool parse_target(struct parser *p, struct http_span target)
{
    struct http_request *request = p->request;
    struct http_span path;
    size_t at = 0;

    if (target.len > HTTP_TARGET_MAX)
        return refuse(p, 414, "the target is too long");
    if (!target.len || (*target.at != '/' && !cut_authority(p, &target)))
        return refuse(p, 400, "the target is empty");
    if (target.len && *target.at != '/' && *target.at != '?')
        return refuse(p, 400, "the target does not begin with /, http:// or https://");
    for (size_t i = 0; i < target.len; i++)
        if ((u8)target.at[i] <= ' ' || (u8)target.at[i] >= 0x7F)
            return refuse(p, 400, "the target holds what is no URL character");
    path = http_cut(&target, '?');
    while (path.len) {
        struct http_span segment = http_cut(&path, '/');

        if (!segment.len)
            continue;
        if (request->nr_segments == HTTP_SEGMENTS)
            return refuse(p, 404, "no such path");
        request->segment[request->nr_segments] = decode(p, segment, &at);
        if (!request->segment[request->nr_segments])
            return false;
        request->nr_segments++;
    }
    return parse_query(p, target, &at);
}

static bool parse_request_line(struct parser *p, struct http_span line)
{
    struct http_span method = http_cut(&line, ' '), target = http_cut(&line, ' ');

    if (!http_is_token(method))
        return refuse(p, 400, "not a request line");
    p->request->method = http_is(method, "GET")    ? HTTP_GET
                         : http_is(method, "HEAD") ? HTTP_HEAD
                         : http_is(method, "POST") ? HTTP_POST
                                                   : HTTP_OTHER;
    if (http_is(line, "HTTP/1.1"))
        p->request->keep_alive = p->needs_host = true;
    else if (!http_is(line, "HTTP/1.0"))
        return refuse(p, line.len > 5 && !memcmp(line.at, "HTTP/", 5) ? 505 : 400, "expected HTTP/1.1");
    return parse_target(p, target);
}

static bool parse_length(struct parser *p, struct http_span value)
{
    if (p->has_length || !http_length(value, &p->request->content_length))
        return refuse(p, 400, "Content-Length is wrong");
    p->has_length = true;
    return p->request->content_length < HTTP_LENGTH_MAX || refuse(p, 413, "the body is too long");
}

static bool parse_authorization(struct parser *p, struct http_span value)
{
    struct http_span scheme = http_cut(&value, ' ');

    value = http_trim(value);
    if (!http_is_nocase(scheme, "Bearer"))
        return true;
    if (value.len >= HTTP_BEARER || p->request->bearer[0])
        return refuse(p, 400, "Authorization is wrong");
    memcpy(p->request->bearer, value.at, value.len);
    p->request->bearer[value.len] = '\0';
    return true;
}

static bool parse_field(struct parser *p, struct http_span line)
{
    struct http_span name, value;

    if (!http_field(line, &name, &value))
        return refuse(p, 400, "not a header field");
    if (http_is_nocase(name, "Content-Length"))
        return parse_length(p, value);
    if (http_is_nocase(name, "Authorization"))
        return parse_authorization(p, value);
    if (http_is_nocase(name, "Transfer-Encoding"))
        return refuse(p, 411, "Transfer-Encoding is not supported, expected Content-Length");
    if (http_is_nocase(name, "Connection") && http_has_option(value, "close"))
        p->request->keep_alive = false;
    if (http_is_nocase(name, "Expect"))
        p->request->expect_continue = http_is_nocase(value, "100-continue");
    if (http_is_nocase(name, "Host")) {
        if (p->has_host || !is_authority(value))
            return refuse(p, 400, p->has_host ? "Host is given twice" : "Host is wrong");
        p->has_host = true;
    }
    return true;
}

static bool parse_head(struct parser *p, struct http_span head)
{
    unsigned fields = 0;

    if (!parse_request_line(p, http_line(&head)))
        return false;
    for (struct http_span line = http_line(&head); line.len; line = http_line(&head)) {
        if (fields++ == HTTP_FIELDS_MAX)
            return refuse(p, 431, "too many header fields");
        if (!parse_field(p, line))
            return false;
    }
    if (p->needs_host && !p->has_host) /* RFC 9112 "Request Target": whatever else it says */
        return refuse(p, 400, "Host is missing");
    return true;
}

size_t http_empty_lines(const char *buf, size_t len)
{
    size_t empty = 0;

    for (size_t i = 0; i < len && (buf[i] == '\n' || (buf[i] == '\r' && i + 1 < len && buf[i + 1] == '\n')); i++)
        if (buf[i] == '\n')
            empty = i + 1;
    return empty;
}

struct http_result http_parse(const char *buf, size_t len, struct http_request *request)
{
    struct parser p = { .request = request };
    size_t seen = MIN(len, (size_t)HTTP_HEAD_MAX), head;
    const char *line_end;

    *request = (struct http_request){ 0 };
    head = http_head_length(buf, seen);
    if (head) {
        p.result.head = head;
        parse_head(&p, (struct http_span){ buf, head });
        return p.result;
    }
    line_end = seen ? memchr(buf, '\n', seen) : NULL;
    if (!line_end && seen > HTTP_TARGET_MAX + 32) /* longer than any method and version around a target that fits */
        refuse(&p, 414, "the target is too long");
    else if (seen == HTTP_HEAD_MAX)
        refuse(&p, 431, "the header is too long");
    return p.result;
}

const char *http_parameter(const struct http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->nr_parameters; i++)
        if (!strcmp(request->parameter[i].name, name))
            return request->parameter[i].value;
    return NULL;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        { 100, "Continue" },
        { 200, "OK" },
        { 202, "Accepted" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 503, "Service Unavailable" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Unknown";
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/http_answer.h"

#include "net/http_head.h"

/* "HTTP/1.1 200 OK", of which the words need not be there. False: it is none. */
static bool parse_status(struct http_answer *answer, struct http_span line)
{
    struct http_span version = http_cut(&line, ' '), status = http_cut(&line, ' ');
    u64 number;

    answer->closes = http_is(version, "HTTP/1.0");
    if (!answer->closes && !http_is(version, "HTTP/1.1"))
        return false;
    if (status.len != 3 || !http_length(status, &number) || number < 100)
        return false;
    answer->status = (int)number;
    return true;
}

/* Returns what is wrong with a field, or NULL. */
static const char *parse_field(struct http_answer *answer, struct http_span line, bool *has_length)
{
    struct http_span name, value;
    u64 length;

    if (!http_field(line, &name, &value))
        return "the answer has a field that is none of HTTP";
    if (http_is_nocase(name, "Transfer-Encoding"))
        return "the answer comes in pieces (Transfer-Encoding), expected Content-Length";
    if (http_is_nocase(name, "Connection"))
        answer->closes |= http_has_option(value, "close");
    if (!http_is_nocase(name, "Content-Length"))
        return NULL;
    if (*has_length || !http_length(value, &length))
        return "the answer has a wrong Content-Length";
    if (length > HTTP_ANSWER_MAX)
        return "the answer is too long";
    *has_length = true;
    answer->body = length;
    return NULL;
}

static const char *parse_head(struct http_answer *answer, struct http_span head)
{
    bool has_length = false;

    if (!parse_status(answer, http_line(&head)))
        return "the answer is not one of HTTP/1.1";
    for (struct http_span line = http_line(&head); line.len; line = http_line(&head)) {
        const char *fault = parse_field(answer, line, &has_length);

        if (fault)
            return fault;
    }
    if (!has_length)
        return "the answer has no Content-Length";
    return answer->head + answer->body > HTTP_ANSWER_MAX ? "the answer is too long" : NULL;
}

struct http_answer http_answer_parse(const char *buf, size_t len)
{
    struct http_answer answer = { .head = http_head_length(buf, len) };

    if (answer.head)
        answer.fault = parse_head(&answer, (struct http_span){ buf, answer.head });
    else if (len >= HTTP_ANSWER_MAX)
        answer.fault = "the answer is too long";
    return answer;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/http_parse.c net/http_head.c */
/* Requests: what is taken from a good one, how each bad one is refused, and that pieces and followers change nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/http_parse.h"

static struct http_request request;

/* Parse a copy of exactly its length, for the sanitizer. */
static struct http_result parse(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    struct http_result result;

    assert_non_null(copy);
    memcpy(copy, text, len);
    result = http_parse(copy, len, &request);
    free(copy);
    return result;
}

static struct http_result parse_text(const char *text)
{
    return parse(text, strlen(text));
}

static const char good[] =
    "POST /v1/vms/a%20b/console?wait=3&x=%41&flag HTTP/1.1\r\nhost: h\r\ncontent-length:  12 \r\n"
    "Authorization: bearer  s3cret\r\nExpect: 100-continue\r\n\r\n";

static void good_request(void **state)
{
    struct http_result result = parse_text(good);

    (void)state;
    assert_int_equal(result.status, 0);
    assert_int_equal(result.head, strlen(good));
    assert_int_equal(request.method, HTTP_POST);
    assert_int_equal(request.content_length, 12);
    assert_true(request.keep_alive && request.expect_continue);
    assert_string_equal(request.bearer, "s3cret");
    assert_int_equal(request.nr_segments, 4);
    assert_string_equal(request.segment[2], "a b");
    assert_string_equal(http_parameter(&request, "wait"), "3");
    assert_string_equal(http_parameter(&request, "x"), "A");
    assert_string_equal(http_parameter(&request, "flag"), "");
    assert_null(http_parameter(&request, "y"));
}

static void incomplete_at_every_byte(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(good); len++) {
        struct http_result result = parse(good, len);

        assert_int_equal(result.head, 0);
        assert_int_equal(result.status, 0);
    }
}

static void what_follows_is_not_looked_at(void **state)
{
    char two[sizeof(good) + 100];

    (void)state;
    strcpy(two, good);
    strcat(two, "\x01\x02 not a request");
    assert_int_equal(parse_text(two).head, strlen(good));
}

static void versions_and_connections(void **state)
{
    (void)state;
    assert_int_equal(parse_text("GET / HTTP/1.0\r\n\r\n").status, 0);
    assert_false(request.keep_alive);
    assert_int_equal(parse_text("GET / HTTP/1.1\r\nHost: x\r\nConnection: te , Close\r\n\r\n").status, 0);
    assert_false(request.keep_alive);
    assert_int_equal(parse_text("HEAD //a///b/ HTTP/1.1\nHost: x\n\n").status, 0); /* bare line feeds will do */
    assert_int_equal(request.method, HTTP_HEAD);
    assert_int_equal(request.nr_segments, 2);
}

/* What a client sends that takes us for a proxy. */
static void absolute_targets(void **state)
{
    (void)state;
    assert_int_equal(parse_text("GET http://[fd09::2]:80/v1/vms?a=b HTTP/1.1\r\nHost: x\r\n\r\n").status, 0);
    assert_int_equal(request.nr_segments, 2);
    assert_string_equal(request.segment[1], "vms");
    assert_string_equal(http_parameter(&request, "a"), "b");
    assert_int_equal(parse_text("GET HTTP://x HTTP/1.1\r\nHost:\r\n\r\n").status, 0);
    assert_int_equal(request.nr_segments, 0);
    assert_int_equal(parse_text("GET http://x?a=c HTTP/1.1\r\nHost: x\r\n\r\n").status, 0);
    assert_string_equal(http_parameter(&request, "a"), "c");
    assert_int_equal(parse_text("GET http://x/v1 HTTP/1.0\r\n\r\n").status, 0);
    assert_int_equal(parse_text("GET https://x/v1/vms HTTP/1.1\r\nHost: x\r\n\r\n").status, 0);
    assert_string_equal(request.segment[1], "vms");
}

static void empty_lines(void **state)
{
    static const char none[] = { '\r', 'G' };

    (void)state;
    assert_int_equal(http_empty_lines("\r\n\n\r\nGET /\r\n", 13), 5);
    assert_int_equal(http_empty_lines("\r\n\r", 3), 2); /* its LF may follow */
    assert_int_equal(http_empty_lines(none, sizeof(none)), 0);
    assert_int_equal(http_empty_lines("", 0), 0);
}

/* A query of many names without values needs more room for terminators than it has bytes. */
static void query_of_names(void **state)
{
    char text[HTTP_TARGET_MAX + 64] = "GET /";

    (void)state;
    memset(text + 5, 'a', HTTP_TARGET_MAX - 18);
    strcat(text, "/?a&b&c&d&e&f&g&h HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(parse_text(text).status, 0);
    assert_int_equal(request.nr_parameters, 8);
    assert_string_equal(request.parameter[7].name, "h");
    assert_string_equal(request.parameter[7].value, "");
}

static void refusals(void **state)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        { "\r\n\r\n", 400 },
        { "GET\r\n\r\n", 400 },
        { "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 505 },
        { "GET / HTTP/3\r\nHost: x\r\n\r\n", 505 },
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: me@x\r\n\r\n", 400 },
        { "GET http:///v1 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET http://x/ HTTP/1.1\r\n\r\n", 400 },
        { "GET v1 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /?a&b&c&d&e&f&g&h&i HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /1/2/3/4/5/6/7 HTTP/1.1\r\nHost: x\r\n\r\n", 404 },
        { "GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551617\r\n\r\n", 413 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411 },
        { "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 400 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_result result = parse_text(bad[i].text);

        if (result.status != bad[i].status)
            print_message("status %d of:\n%s", result.status, bad[i].text);
        assert_int_equal(result.status, bad[i].status);
        assert_non_null(result.reason);
    }
}

static void limits(void **state)
{
    static char text[3 * HTTP_HEAD_MAX];

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    assert_int_equal(parse(text, sizeof(text)).status, 414);
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    assert_int_equal(parse(text, HTTP_HEAD_MAX - 1).status, 0);
    assert_int_equal(parse(text, HTTP_HEAD_MAX).status, 431);
    memcpy(text + HTTP_HEAD_MAX, "\r\n\r\n", 4); /* too late */
    assert_int_equal(parse(text, sizeof(text)).status, 431);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_request),
        cmocka_unit_test(incomplete_at_every_byte),
        cmocka_unit_test(what_follows_is_not_looked_at),
        cmocka_unit_test(versions_and_connections),
        cmocka_unit_test(absolute_targets),
        cmocka_unit_test(empty_lines),
        cmocka_unit_test(query_of_names),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

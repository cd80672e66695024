/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/text.c */
/* Answers as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/text.h"

static char shown[2048];

static void put(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    assert_true(strlen(shown) + len < sizeof(shown));
    strncat(shown, bytes, len);
}

static void text(void **state)
{
    static const struct {
        const char *json, *text;
    } pairs[] = {
        { "{\"a\":1,\"long\":\"x \\\"y\\\" \\u0007\"}", "a     1\nlong  x \"y\" .\n" },
        { "{\"rows\":[{\"name\":\"a\",\"n\":5},{\"name\":\"long\",\"n\":1234}]}",
          "name     n\na        5\nlong  1234\n" },
        { "{\"a\":1,\"rows\":[{\"k\":\"}],\"}],\"o\":{\"x\":true}}", "a  1\nrows:\n  k\n  }],\no:\n  x  true\n" },
        { "{\"lines\":[\"one\",\"two\"]}", "one\ntwo\n" },
        { "{\"rows\":[]}", "rows: none\n" },
        { "{\"rows\":[{\"k\":1,\"sub\":[{\"x\":1}]},{\"k\":2,\"more\":\"z\"}]}",
          "k  1\nsub:\n  x\n  1\n\nk     2\nmore  z\n" },
        { "[{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,"
          "\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}]",
          "a  1\nb  1\nc  1\nd  1\ne  1\nf  1\ng  1\nh  1\ni  1\nj  1\nk  1\nl  1\nm  1\nn  1\no  1\np  1\nq  1\n" },
        { "{}", "" },
        { "7", "7\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        shown[0] = '\0';
        text_render(pairs[i].json, put, NULL);
        assert_string_equal(shown, pairs[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/stream.c */
/* Field streams: what is put is got back, the bytes are little-endian, and ends of buffers are respected. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/stream.h"

static void test_round_trip(void **state)
{
    static const u8 expected[] = { 3, 0, 0x12, 0x56, 0x34, 0xEF, 0xCD, 0xAB, 0x89, 8, 7, 6, 5, 4, 3, 2, 1, 'a', 'b' };
    u8 buf[sizeof(expected)], bytes[2];
    struct writer w = { .buf = buf, .cap = sizeof(buf) };
    struct reader r = { .buf = buf, .len = sizeof(buf) };

    (void)state;
    put_u16(&w, 3);
    put_u8(&w, 0x12);
    put_u16(&w, 0x3456);
    put_u32(&w, 0x89ABCDEF);
    put_u64(&w, 0x0102030405060708);
    put_bytes(&w, "ab", 2);
    assert_false(w.overflow);
    assert_int_equal(w.len, sizeof(expected));
    assert_memory_equal(buf, expected, sizeof(expected));

    assert_int_equal(get_version(&r, 3), 0);
    assert_int_equal(get_u8(&r), 0x12);
    assert_int_equal(get_u16(&r), 0x3456);
    assert_int_equal(get_u32(&r), 0x89ABCDEF);
    assert_int_equal(get_u64(&r), 0x0102030405060708);
    get_bytes(&r, bytes, 2);
    assert_memory_equal(bytes, "ab", 2);
    assert_false(r.truncated);
    assert_int_equal(r.pos, r.len);
}

static void test_overflow_sticks(void **state)
{
    u8 *buf = malloc(3); /* exactly that much: the sanitizer watches its end */
    struct writer w = { .buf = buf, .cap = 3 };

    (void)state;
    put_u16(&w, 1);
    put_u32(&w, 2);
    assert_true(w.overflow);
    put_u8(&w, 3); /* would fit, but the stream is broken */
    assert_true(w.overflow);
    assert_int_equal(w.len, 2);
    free(buf);
}

static void test_truncation_sticks(void **state)
{
    u8 *buf = malloc(3);
    struct reader r = { .buf = buf, .len = 3 };

    (void)state;
    memset(buf, 0xFF, 3);
    assert_int_equal(get_u16(&r), 0xFFFF);
    assert_int_equal(get_u64(&r), 0);
    assert_true(r.truncated);
    assert_int_equal(get_u8(&r), 0);
    free(buf);
}

static void test_versions(void **state)
{
    static const u8 buf[] = { 2, 0, 7 };
    struct reader r = { .buf = buf, .len = sizeof(buf) };

    (void)state;
    assert_int_equal(get_version(&r, 1), -ENOTSUP);
    assert_int_equal(get_version(&r, 7), -EINVAL); /* only half of it is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_overflow_sticks),
        cmocka_unit_test(test_truncation_sticks),
        cmocka_unit_test(test_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

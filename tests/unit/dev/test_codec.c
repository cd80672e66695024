/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: dev/codec.c */
/* Codecs: what is saved is restored, the bytes are little-endian, ends of buffers are respected, and failures have
 * words.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/codec.h"

struct sample {
    u8 byte;
    u16 word;
    u32 dword;
    u64 qword;
    bool flag;
    u8 bytes[2];
};

static void sample_state(struct sample *sample, struct codec *c)
{
    codec_version(c, 3);
    codec_u8(c, &sample->byte);
    codec_u16(c, &sample->word);
    codec_u32(c, &sample->dword);
    codec_u64(c, &sample->qword);
    codec_bool(c, &sample->flag);
    codec_bytes(c, sample->bytes, sizeof(sample->bytes));
}

static const u8 encoded[] = { 3, 0, 0x12, 0x56, 0x34, 0xEF, 0xCD, 0xAB, 0x89, 8, 7, 6, 5, 4, 3, 2, 1, 1, 'a', 'b' };
#define AT_QWORD 9
#define AT_FLAG 17

static void test_round_trip(void **state)
{
    struct sample sample = { 0x12, 0x3456, 0x89ABCDEF, 0x0102030405060708, true, { 'a', 'b' } }, found = { 0 };
    u8 buf[sizeof(encoded)];
    struct codec saver = codec_saver(buf, sizeof(buf)), restorer = codec_restorer(buf, sizeof(buf));

    (void)state;
    sample_state(&sample, &saver);
    assert_int_equal(saver.err, 0);
    assert_int_equal(saver.at, sizeof(encoded));
    assert_memory_equal(buf, encoded, sizeof(encoded));
    assert_false(codec_restored(&saver));

    sample_state(&found, &restorer);
    assert_true(codec_restored(&restorer));
    assert_int_equal(restorer.at, restorer.len);
    assert_int_equal(found.byte, 0x12);
    assert_int_equal(found.word, 0x3456);
    assert_int_equal(found.dword, 0x89ABCDEF);
    assert_int_equal(found.qword, 0x0102030405060708);
    assert_true(found.flag);
    assert_memory_equal(found.bytes, "ab", 2);
}

/* A saver without room stops there, says at which field, and changes no field. */
static void test_no_room_sticks(void **state)
{
    u8 *buf = malloc(AT_QWORD + 1); /* exactly that much: the sanitizer watches its end */
    struct codec c = codec_saver(buf, AT_QWORD + 1);
    struct sample sample = { .byte = 1, .qword = 2, .flag = true };

    (void)state;
    sample_state(&sample, &c);
    assert_int_equal(c.err, -ENOSPC);
    assert_string_equal(c.why, "no room for qword");
    assert_int_equal(c.at, AT_QWORD); /* the flag would fit, but the section is broken */
    assert_int_equal(sample.qword, 2);
    assert_true(sample.flag);
    free(buf);
}

/* A section that breaks off is refused with the field's name, and all further fields are 0. */
static void test_truncation_sticks(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(encoded); len++) {
        u8 *buf = malloc(len ? len : 1);
        struct codec c = codec_restorer(buf, len);
        struct sample found = { .bytes = { 1, 1 } };

        memcpy(buf, encoded, len);
        sample_state(&found, &c);
        assert_int_equal(c.err, -EINVAL);
        assert_memory_equal(found.bytes, "\0\0", 2);
        if (len >= AT_QWORD && len < AT_FLAG) {
            assert_string_equal(c.why, "it breaks off before qword");
            assert_int_equal(found.qword, 0);
        }
        free(buf);
    }
}

static void test_flags(void **state)
{
    u8 buf[sizeof(encoded)];
    struct codec c = codec_restorer(buf, sizeof(buf));
    struct sample found;

    (void)state;
    memcpy(buf, encoded, sizeof(buf));
    buf[AT_FLAG] = 2;
    sample_state(&found, &c);
    assert_int_equal(c.err, -EINVAL);
    assert_string_equal(c.why, "flag is neither 0 nor 1");
}

static void test_versions(void **state)
{
    static const u8 buf[] = { 2, 0, 7 };
    struct codec c = codec_restorer(buf, sizeof(buf));

    (void)state;
    codec_version(&c, 1);
    assert_int_equal(c.err, -ENOTSUP);
    assert_string_equal(c.why, "version 2, expected 1");
    c = codec_restorer(buf, 1);
    codec_version(&c, 7);
    assert_int_equal(c.err, -EINVAL); /* only half of it is there */
}

/* Only what was restored is judged; the first failure stays. */
static void test_judgement(void **state)
{
    u8 buf[8] = { 5 }, value = 0;
    struct codec saver = codec_saver(buf, sizeof(buf)), restorer = codec_restorer(buf, sizeof(buf));

    (void)state;
    assert_false(codec_judge(&saver, true, "good"));
    assert_false(codec_judge(&saver, false, "bad"));
    assert_int_equal(saver.err, 0);
    codec_u8(&restorer, &value);
    assert_int_equal(value, 5);
    assert_true(codec_judge(&restorer, value == 5, "value"));
    assert_false(codec_judge(&restorer, value == 6, "the first"));
    assert_false(codec_judge(&restorer, true, "good"));
    assert_false(codec_judge(&restorer, false, "the second"));
    assert_int_equal(restorer.err, -EINVAL);
    assert_string_equal(restorer.why, "the first");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_no_room_sticks),
        cmocka_unit_test(test_truncation_sticks), cmocka_unit_test(test_flags),
        cmocka_unit_test(test_versions),          cmocka_unit_test(test_judgement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

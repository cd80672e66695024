/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: protect/deed.c config/netaddr.c */
/* What a deed is as text: as it is written, and nothing else, is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "owners/handoff.h"
#include "protect/deed.h"

#define PAIR "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary 192.0.2.11:4901 77aa00000000beef epoch 7"
#define ALONE "1 owner 192.0.2.10:4900 0000000000000001 secondary none epoch 72057594037927936"

static void test_text(void **state)
{
    const struct deed pair = {
        true, { 0x3f2a9c0011223344, { 192, 0, 2, 10 }, 4900 }, { 0x77aa00000000beef, { 192, 0, 2, 11 }, 4901 }, 7
    };
    const struct deed none = { .present = false };
    struct deed deed;
    char text[DEED_MAX];

    (void)state;
    deed_text(&pair, text);
    assert_string_equal(text, PAIR);
    assert_true(deed_parse(PAIR, &deed));
    assert_true(deed_equal(&deed, &pair));
    assert_memory_equal(deed.secondary.ip4, pair.secondary.ip4, 4);
    assert_int_equal(deed.secondary.port, 4901);
    assert_true(deed_parse(ALONE, &deed));
    assert_int_equal(deed.secondary.owner, 0);
    assert_true(deed.epoch == EPOCH_MAX);
    deed_text(&deed, text);
    assert_string_equal(text, ALONE);
    deed_text(&none, text);
    assert_string_equal(text, "");
    assert_false(deed_equal(&none, &deed));
}

/* The longest one there can be fits. */
static void test_longest(void **state)
{
    const struct deed_host host = { UINT64_MAX, { 255, 255, 255, 255 }, 65535 };
    const struct deed longest = { true, host, host, EPOCH_MAX };
    struct deed deed;
    char text[DEED_MAX];

    (void)state;
    deed_text(&longest, text);
    assert_true(deed_parse(text, &deed) && deed_equal(&deed, &longest));
}

static void test_no_deeds(void **state)
{
    static const char *const wrong[] = {
        "",
        "1",
        "1 owner",
        "2 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 7",
        "1 owner none secondary none epoch 7",
        "1 owner 192.0.2.10 3f2a9c0011223344 secondary none epoch 7",
        "1 owner 192.0.2.10:0 3f2a9c0011223344 secondary none epoch 7",
        "1 owner 192.0.2.10:4900 0000000000000000 secondary none epoch 7",
        "1 owner 192.0.2.10:4900 0x2a9c0011223344 secondary none epoch 7",
        "1 owner 192.0.2.10:4900 3F2A9C0011223344 secondary none epoch 7",
        "1 owner 192.0.2.10:4900 3f2a9c001122334 secondary none epoch 7",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 0",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 07",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch -7",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 72057594037927937", /* EPOCH_MAX + 1 */
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 18446744073709551615",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none epoch 7 ",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none  epoch 7",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344 secondary none",
        "1 owner 192.0.2.10:4900 3f2a9c0011223344",
        "1 owner 192.0.2.10:4900",
        "{\"owner\": 7}",
    };
    struct deed deed;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(deed_parse(wrong[i], &deed));
        assert_false(deed.present);
    }
}

/* Cut short anywhere, it is none: the last digits of the epoch are all that can be missed. */
static void test_cut(void **state)
{
    char text[DEED_MAX];
    struct deed deed;

    (void)state;
    for (size_t len = 0; len < strlen(PAIR); len++) {
        memcpy(text, PAIR, len);
        text[len] = '\0';
        assert_false(deed_parse(text, &deed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_no_deeds),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

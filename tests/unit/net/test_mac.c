/* SPDX-License-Identifier: BSD-2-Clause */
/* MACs of VMs that were given none. */
/* sources: net/mac.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "net/ethernet.h"
#include "net/mac.h"

#define CARDS 64
#define NAMES 64

static void of(u8 *mac, unsigned card, unsigned name)
{
    u8 host[MAC_LEN] = { 0x52, 0x54, 0, 0x12, 0x34, (u8)card };
    char text[] = { 'v', 'm', (char)('0' + name / 10), (char)('0' + name % 10), 0 };

    mac_default(mac, host, text);
}

/* The same name on two hosts, and two names on one. */
static void test_all_differ_and_stay(void **unused)
{
    static u8 seen[CARDS * NAMES][MAC_LEN];
    u8 again[MAC_LEN];

    (void)unused;
    for (unsigned i = 0; i < CARDS * NAMES; i++) {
        of(seen[i], i / NAMES, i % NAMES);
        assert_true(mac_is_card(seen[i]));
        assert_int_equal(seen[i][0] & 3, 2); /* locally administered */
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(seen[k], seen[i], MAC_LEN);
        of(again, i / NAMES, i % NAMES);
        assert_memory_equal(again, seen[i], MAC_LEN);
    }
    mac_default(again, NULL, "web"); /* without a card */
    assert_true(mac_is_card(again));
}

static void test_in_words(void **unused)
{
    (void)unused;
    assert_string_equal(mac_text((const u8[]){ 0x52, 0x54, 0, 0xAB, 1, 0xF }).text, "52:54:00:ab:01:0f");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_differ_and_stay),
        cmocka_unit_test(test_in_words),
    };

    return cmocka_run_group_tests_name("mac", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/guest_tsc.c */
/* A guest's TSC on machines of other frequencies: rates and lengths are exact, and nothing overflows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/guest_tsc.h"

static void equal_frequencies_change_nothing(void **state)
{
    static const u64 khz[] = { 1000, 999999, 2400000, 5800001, 16000000 };
    struct guest_tsc tsc;

    (void)state;
    for (unsigned i = 0; i < sizeof(khz) / sizeof(khz[0]); i++)
        for (int can_scale = 0; can_scale < 2; can_scale++) {
            guest_tsc_init(&tsc, khz[i], khz[i], can_scale);
            assert_int_equal(tsc.ratio, GUEST_TSC_UNSCALED);
            assert_int_equal(guest_tsc_scale(&tsc, 0x123456789ABCDEFULL), 0x123456789ABCDEFULL);
            assert_int_equal(guest_tsc_to_host(&tsc, 0x123456789ABCDEFULL), 0x123456789ABCDEFULL);
            assert_int_equal(guest_tsc_to_host(&tsc, ~0ULL), ~0ULL);
            assert_false(guest_tsc_strays(&tsc));
        }
}

/* Two measurements of one clock. */
static void noise_is_no_difference(void **state)
{
    struct guest_tsc tsc;

    (void)state;
    guest_tsc_init(&tsc, 2400000, 2400599, true); /* 250 ppm */
    assert_int_equal(tsc.ratio, GUEST_TSC_UNSCALED);
    assert_int_equal(guest_tsc_to_host(&tsc, 1000000007), 1000000007);
    guest_tsc_init(&tsc, 2400000, 2400601, true);
    assert_int_not_equal(tsc.ratio, GUEST_TSC_UNSCALED);
}

/* A century of the host's ticks is one of the guest's to the microsecond. */
static void scaled_rates_are_exact(void **state)
{
    const u64 seconds = 100ULL * 365 * 86400;
    struct guest_tsc tsc;

    (void)state;
    guest_tsc_init(&tsc, 1999999, 3000000, true);
    assert_false(guest_tsc_strays(&tsc));
    assert_int_equal(guest_tsc_khz_here(&tsc), 1999999);
    assert_in_range(guest_tsc_scale(&tsc, seconds * 3000000000), seconds * 1999999000 - 2000000,
                    seconds * 1999999000 + 1);
    assert_in_range(guest_tsc_to_host(&tsc, 1999999000), 3000000000, 3000000003);
    assert_int_equal(guest_tsc_to_host(&tsc, ~0ULL), ~0ULL);
}

static void unscaled_ones_stray(void **state)
{
    struct guest_tsc tsc;

    (void)state;
    guest_tsc_init(&tsc, 2000000, 3000000, false);
    assert_true(guest_tsc_strays(&tsc));
    assert_int_equal(guest_tsc_khz_here(&tsc), 3000000);
    assert_int_equal(guest_tsc_scale(&tsc, 12345), 12345);
    assert_in_range(guest_tsc_to_host(&tsc, 2000000), 3000000, 3000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_frequencies_change_nothing),
        cmocka_unit_test(noise_is_no_difference),
        cmocka_unit_test(scaled_rates_are_exact),
        cmocka_unit_test(unscaled_ones_stray),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tls/chacha20_choice.c tls/chacha20.c tls/chacha20_vector.c tests/unit/fake_fpu.c tests/unit/stubs.c */
#include "tls/chacha20_choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/clock.h"

/* Each look at the clock takes half as long by one code. */
static enum chacha20_code quick;
static u64 now;

u64 unit_tsc(void)
{
    return now += chacha20_used() == quick ? 100 : 200;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks;
}

static void the_fastest_is_used(void **state)
{
    (void)state;
    assert_int_equal(chacha20_rate(CHACHA20_ANY), 0);
    for (quick = 0; quick < NR_CHACHA20; quick++) {
        if (!chacha20_has(quick))
            continue;
        chacha20_choose();
        assert_int_equal(chacha20_used(), quick);
        for (enum chacha20_code code = 0; code < NR_CHACHA20; code++)
            assert_int_equal(chacha20_rate(code), !chacha20_has(code) ? 0 : code == quick ? 10240000000 : 5120000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fastest_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Bit arithmetic at its edges: bit 63, whole words, zero. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"

static void test_masks(void **state)
{
    (void)state;
    assert_int_equal(BIT(0), 1);
    assert_int_equal(BIT(63), 0x8000000000000000ULL);
    assert_int_equal(BITS(0, 0), 1);
    assert_int_equal(BITS(63, 0), ~0ULL);
    assert_int_equal(BITS(63, 63), BIT(63));
    assert_int_equal(BITS(51, 12), 0x000FFFFFFFFFF000ULL);
    assert_int_equal(PAGE_MASK, ~0xFFFULL);
}

static void test_fields(void **state)
{
    (void)state;
    assert_int_equal(field_get(BITS(15, 8), 0x12345678), 0x56);
    assert_int_equal(field_get(BITS(63, 60), 0xA000000000000000ULL), 0xA);
    assert_int_equal(field_set(BITS(15, 8), 0x12345678, 0xAB), 0x1234AB78);
    assert_int_equal(field_set(BITS(63, 60), 0x0FULL, 0x5), 0x500000000000000FULL);
    assert_int_equal(field_set(BITS(15, 8), 0, 0x1FF), 0xFF00); /* what doesn't fit is cut off */
}

static void test_alignment(void **state)
{
    (void)state;
    assert_int_equal(align_down(0x1FFF, PAGE_SIZE), 0x1000);
    assert_int_equal(align_up(0x1001, PAGE_SIZE), 0x2000);
    assert_int_equal(align_up(0x2000, PAGE_SIZE), 0x2000);
    assert_int_equal(align_up(0, PAGE_SIZE), 0);
    assert_int_equal(align_down(~0ULL, GiB(1)), 0xFFFFFFFFC0000000ULL);
    assert_true(is_aligned(0, GiB(1)));
    assert_true(is_aligned(MiB(2), KiB(4)));
    assert_false(is_aligned(MiB(2) + 1, 2));
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(size_mask(1), 0xFF);
    assert_int_equal(size_mask(4), 0xFFFFFFFF);
    assert_int_equal(size_mask(8), ~0ULL);
    assert_int_equal(sign_extend(0x80, 1), 0xFFFFFFFFFFFFFF80ULL);
    assert_int_equal(sign_extend(0x17F, 1), 0x7F);
    assert_int_equal(sign_extend(0xFFFF8000, 4), 0xFFFFFFFFFFFF8000ULL);
    assert_int_equal(sign_extend(0x8000000000000000ULL, 8), 0x8000000000000000ULL);
    assert_int_equal(sign_extend(0x7FFF, 2), 0x7FFF);
}

static void test_count(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 64; n++) {
        assert_int_equal(bits_count(BIT(n)), 1);
        assert_int_equal(bits_count(~0ULL << n), 64 - n);
    }
    assert_int_equal(bits_count(0), 0);
    assert_int_equal(bits_count(0x0123456789ABCDEF), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks), cmocka_unit_test(test_fields), cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

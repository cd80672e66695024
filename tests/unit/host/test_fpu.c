/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/fpu.c tests/unit/stubs.c tests/unit/processor.c */
/* A guest's vector state leaves the CPU before code of the hypervisor has the registers, and XCR0 is as it needs. */
#include "host/fpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/bits.h"
#include "tests/unit/processor.h"

static struct cpu cpu;
static unsigned times; /* that a vcpu was put down */

static void put_down(void)
{
    assert_true(cpu.in_fpu);
    times++;
    cpu.resident = NULL;
}

/* XGETBV is executed, XSETBV is not: here XCR0 stays as it is. */
static int setup(void **state)
{
    (void)state;
    cpu = (struct cpu){ .self = &cpu };
    processor = (struct processor){ 0 };
    times = 0;
    fpu_init(xgetbv(0), put_down);
    return 0;
}

static void a_guest_is_put_down(void **state)
{
    (void)state;
    processor_run_as(&cpu);
    cpu.resident = (struct vcpu *)&cpu;
    fpu_begin();
    fpu_end();
    assert_int_equal(times, 1);
    fpu_begin();
    fpu_end();
    assert_int_equal(times, 1);
    assert_int_equal(processor.xcr0, 0);
}

static void xcr0_is_ours(void **state)
{
    (void)state;
    processor_run_as(&cpu);
    fpu_init(BITS(2, 0), put_down);
    assert_true(fpu_has_avx());
    fpu_begin();
    fpu_end();
    assert_int_equal(processor.xcr0, xgetbv(0) == BITS(2, 0) ? 0 : BITS(2, 0));
    fpu_init(0, put_down); /* without XSAVE there is no XCR0 */
    assert_false(fpu_has_avx());
    processor.xcr0 = 0;
    fpu_begin();
    fpu_end();
    assert_int_equal(processor.xcr0, 0);
}

static void mistakes(void **state)
{
    (void)state;
    processor_run_as(&cpu);
    expect_assert_failure(fpu_end());
    fpu_begin();
    expect_assert_failure(fpu_begin());
    fpu_end();
    cpu.running = (struct vcpu *)&cpu;
    expect_assert_failure(fpu_begin());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_guest_is_put_down, setup),
        cmocka_unit_test_setup(xcr0_is_ours, setup),
        cmocka_unit_test_setup(mistakes, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM that is asked to shut down: each end that this can have, with its words for `vm`. */
/* sources: dev/shutdown.c tests/unit/one_vm.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/shutdown.h"
#include "host/asm.h"
#include "host/clock.h"
#include "tests/unit/one_vm.h"

#define SECOND 1000000000ULL

static u64 now, step; /* it is so much later each time that somebody looks */
static unsigned pressed;

u64 clock_ns(void)
{
    return now += step;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    assert_ptr_equal(pm, &platform.pm);
    pressed++;
}

int vm_poweroff(struct vm *off)
{
    assert_ptr_equal(off, &vm);
    vm.status = VM_OFF;
    return 0;
}

static int setup(void **unused)
{
    (void)unused;
    one_vm_make();
    vm.resets = 3;
    now = 77 * SECOND;
    pressed = 0;
    step = 0;
    return 0;
}

/* Time passes, and the host loop looks. Returns what is known then. */
static const char *after(u64 seconds)
{
    now += seconds * SECOND;
    shutdown_poll();
    return shutdown_name(platform.shutdown.state);
}

static void test_it_shuts_down(void **unused)
{
    (void)unused;
    assert_string_equal(after(1), "none");
    shutdown_ask(&vm, 10, true);
    assert_int_equal(pressed, 1);
    assert_string_equal(after(4), "asked");
    assert_int_not_equal(shutdown_poll(), ~0ULL); /* it is looked at when the time is over, whoever wakes the host */
    vm.status = VM_PASSED;
    assert_string_equal(after(1), "done");
    assert_int_equal(platform.shutdown.settled - platform.shutdown.asked, 5 * SECOND);
    assert_string_equal(after(100), "done");
    assert_int_equal(shutdown_poll(), ~0ULL);
    assert_int_equal(vm.status, VM_PASSED);
}

static void test_it_does_not(void **unused)
{
    (void)unused;
    shutdown_ask(&vm, 10, false);
    assert_string_equal(after(9), "asked");
    assert_string_equal(after(1), "late");
    assert_int_equal(vm.status, VM_RUNNING);
    assert_string_equal(after(100), "late");
    shutdown_ask(&vm, 10, true);
    assert_string_equal(after(9), "asked");
    assert_int_equal(vm.status, VM_RUNNING);
    assert_string_equal(after(1), "forced");
    assert_int_equal(vm.status, VM_OFF);
    assert_int_equal(pressed, 2);
}

static void test_it_starts_anew_instead(void **unused)
{
    (void)unused;
    shutdown_ask(&vm, 10, true);
    vm.resets++;
    assert_string_equal(after(1), "reset");
    assert_string_equal(after(100), "reset");
    assert_int_equal(vm.status, VM_RUNNING); /* force is for a guest that does nothing */
}

/* One that does not hear it yet is told again; not while it sleeps, for that would wake it, or while a move holds it.
 */
static void test_it_is_told_again(void **unused)
{
    (void)unused;
    shutdown_ask(&vm, 90, false);
    after(9);
    assert_int_equal(pressed, 1);
    assert_true(shutdown_poll() <= rdtsc() + SECOND);
    after(1);
    assert_int_equal(pressed, 2);
    vm.asleep = true;
    after(12);
    vm.asleep = false;
    vm.holds = 1;
    after(1);
    assert_int_equal(pressed, 2);
    vm.holds = 0;
    after(1);
    assert_int_equal(pressed, 3);
    after(9);
    assert_int_equal(pressed, 3);
    after(1);
    assert_int_equal(pressed, 4);
    vm.status = VM_PASSED;
    assert_string_equal(after(30), "done");
    assert_int_equal(pressed, 4);
}

/* A move holds it, and may have ended with another owner: it is not powered off before it is let go. */
static void test_it_is_held(void **unused)
{
    (void)unused;
    shutdown_ask(&vm, 10, true);
    vm.holds = 1;
    assert_string_equal(after(11), "asked");
    assert_string_equal(after(1000), "asked");
    assert_int_equal(vm.status, VM_RUNNING);
    vm.holds = 0;
    assert_string_equal(after(0), "forced");
}

/* However late it is when the host loop is told when to look again, that is soon. */
static void test_the_time_ends_meanwhile(void **unused)
{
    (void)unused;
    shutdown_ask(&vm, 10, false);
    now += 8 * SECOND + SECOND / 2;
    step = SECOND;
    assert_true(shutdown_poll() < rdtsc() + 10 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_shuts_down, setup),
        cmocka_unit_test_setup(test_it_does_not, setup),
        cmocka_unit_test_setup(test_it_starts_anew_instead, setup),
        cmocka_unit_test_setup(test_it_is_held, setup),
        cmocka_unit_test_setup(test_it_is_told_again, setup),
        cmocka_unit_test_setup(test_the_time_ends_meanwhile, setup),
    };

    return cmocka_run_group_tests_name("shutdown", tests, NULL, NULL);
}

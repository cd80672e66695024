/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM that sleeps in S3: only a button wakes it, at the address that its guest has left. */
/* sources: dev/acpi_sleep.c tests/unit/one_vm.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dev/acpi_sleep.h"
#include "dev/platform_map.h"
#include "hv/sched.h"
#include "tests/unit/one_vm.h"

static struct vcpu vcpu;
static u32 vector, restarted;
static unsigned woken, stopped, restarts;
static int memory;

void vcpu_wake(struct vcpu *who)
{
    assert_ptr_equal(who, &vcpu);
    woken++;
}

void vm_hold(struct vm *held)
{
    held->holds++;
}

void vm_release(struct vm *held)
{
    held->holds--;
}

int guest_read(struct guest_mem *mem, gpa_t gpa, void *buf, size_t len)
{
    assert_ptr_equal(mem, &vm.mem);
    assert_int_equal(gpa, 0xE004C);
    assert_int_equal(len, sizeof(vector));
    memcpy(buf, &vector, len);
    return memory;
}

/* As the reset of the chip does, it forgets its status. */
void vm_reset_parts(struct vm *who)
{
    assert_int_equal(who->holds, 1);
    restarts++;
    platform.pm.status = platform.pm.gpe_status = 0;
    vm.asleep = false;
}

void vcpu_start_real(struct vcpu *who, u32 address)
{
    assert_ptr_equal(who, &vcpu);
    assert_false(vm.asleep);
    restarted = address;
}

void sched_add(struct vcpu *who)
{
    assert_ptr_equal(who, &vcpu);
}

void vm_stop(struct vm *who, enum vm_status status, const char *format, ...)
{
    (void)who, (void)format;
    assert_int_equal(status, VM_CRASHED);
    vm.status = status;
    stopped++;
}

static int setup(void **unused)
{
    (void)unused;
    one_vm_make();
    vm.nr_vcpus = 1;
    vm.vcpu[0] = &vcpu;
    vector = 0x9A0C7;
    woken = stopped = restarts = restarted = 0;
    memory = 0;
    return 0;
}

static void test_a_button_wakes_it(void **unused)
{
    (void)unused;
    platform.pm.status = PM1_POWER_BUTTON; /* of one that is awake it is for its driver */
    acpi_sleep_poll();
    assert_int_equal(restarts, 0);
    platform.pm.status = PM1_TIMER;
    acpi_sleep(&vm);
    assert_true(vm.asleep && !vm_runnable(&vm) && woken == 1);
    acpi_sleep_poll();
    assert_int_equal(restarts, 0);
    platform.pm.status |= PM1_SLEEP_BUTTON;
    platform.pm.gpe_status = 1 << ACPI_GPE_GENERATION;
    memory = -EAGAIN; /* its page is at the source of its move */
    acpi_sleep_poll();
    assert_true(restarts == 0 && !stopped && !vm.holds);
    memory = 0;
    vm.status = VM_PAUSED;
    acpi_sleep_poll();
    assert_int_equal(restarts, 0);
    vm.status = VM_RUNNING;
    acpi_sleep_poll();
    assert_int_equal(restarted, 0x9A0C7);
    assert_int_equal(platform.pm.status, PM1_SLEEP_BUTTON | PM1_WAKE);
    assert_int_equal(platform.pm.gpe_status, 1 << ACPI_GPE_GENERATION);
    acpi_sleep_poll();
    assert_int_equal(restarts, 1);
    assert_int_equal(vm.holds, 0);
}

static void test_a_wrong_vector_ends_it(void **unused)
{
    static const u32 wrong[] = { 0, 0x100000, ~0U };

    for (unsigned i = 0; i < 3; i++) {
        setup(unused);
        vector = wrong[i];
        acpi_sleep(&vm);
        platform.pm.status = PM1_POWER_BUTTON;
        acpi_sleep_poll();
        assert_true(stopped == 1 && restarts == 0 && vm.holds == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_button_wakes_it, setup),
        cmocka_unit_test_setup(test_a_wrong_vector_ends_it, setup),
    };

    return cmocka_run_group_tests_name("acpi_sleep", tests, NULL, NULL);
}

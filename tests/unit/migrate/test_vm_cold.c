/* SPDX-License-Identifier: BSD-2-Clause */
/* A cold move fails while its guest shuts down, or behind that: the guest runs again where it was, unless the operator
 * has said otherwise. */
/* sources: migrate/vm_cold.c dev/codec.c tests/unit/stubs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "dev/platform.h"
#include "guest/load/load.h"
#include "guest/load/power.h"
#include "hv/guest_image.h"
#include "migrate/vm_cold.h"
#include "migrate/vm_state.h"
#include "owners/asking.h"

static struct vm vm;
static struct platform platform;
static unsigned starts;
static bool judged; /* somebody else decides when a guest that has come may start */
static u64 now;

void shutdown_ask(struct vm *asked, u32 timeout, bool force)
{
    assert_ptr_equal(asked, &vm);
    platform.shutdown =
        (struct shutdown){ .state = SHUTDOWN_ASKED, .timeout = timeout, .force = force, .asked = ++now };
}

int guest_power_on(struct vm *on, char *reason, size_t room)
{
    assert_ptr_equal(on, &vm);
    assert_true(room);
    reason[0] = '\0';
    vm.status = VM_RUNNING;
    starts++;
    return 0;
}

bool asking_may_start(struct vm *asked, bool came)
{
    assert_true(asked == &vm && came && vm.status == VM_CREATED);
    return !judged;
}

int guest_load_check(struct vm *checked, const struct guest_image *image, char *reason, size_t room)
{
    (void)checked, (void)image, (void)reason, (void)room;
    return 0;
}

void vm_state_own(struct vm *own, struct codec *c)
{
    (void)own, (void)c;
}

void vm_state_scrollback(struct vm *of, struct codec *c)
{
    (void)of, (void)c;
}

/* A guest that runs was asked to shut down for its move. */
static struct vm_cold asked(bool stopped)
{
    struct vm_cold cold = { .on = true, .stopped = stopped, .force = true, .timeout = 90 };

    vm = (struct vm){ .status = VM_RUNNING, .platform = &platform };
    starts = 0;
    assert_int_equal(vm_cold_shut_down(&vm, &cold), -EAGAIN);
    assert_int_equal(vm_cold_shut_down(&vm, &cold), -EAGAIN);
    return cold;
}

/* Some turns of the host loop later it has ended so. */
static void end(struct vm_cold *cold, enum vm_status status, enum shutdown_state state)
{
    for (unsigned i = 0; i < 3; i++)
        vm_cold_poll(&vm, cold);
    assert_int_equal(starts, 0);
    vm.status = status;
    platform.shutdown.state = state;
    for (unsigned i = 0; i < 3; i++)
        vm_cold_poll(&vm, cold);
}

static void test_it_starts_again(void **unused)
{
    static const enum shutdown_state seen[] = { SHUTDOWN_ASKED, SHUTDOWN_DONE }; /* either poll may be the first */
    struct vm_cold cold;

    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        cold = asked(false);
        vm_cold_resume(&vm, &cold);
        assert_false(platform.shutdown.force);
        end(&cold, VM_PASSED, seen[i]);
        assert_int_equal(starts, 1);
    }
    cold = asked(false);
    vm.status = VM_OFF;
    platform.shutdown.state = SHUTDOWN_FORCED;
    assert_int_equal(vm_cold_shut_down(&vm, &cold), 0);
    vm_cold_resume(&vm, &cold);
    assert_int_equal(starts, 1);
    cold = asked(true);
    vm_cold_resume(&vm, &cold);
    end(&cold, VM_PASSED, SHUTDOWN_DONE);
    assert_int_equal(starts, 0);
}

static void test_the_operator_has_said_otherwise(void **unused)
{
    struct vm_cold cold = asked(false);

    (void)unused;
    vm_cold_resume(&vm, &cold);
    end(&cold, VM_OFF, SHUTDOWN_DONE);
    assert_int_equal(starts, 0);
    cold = asked(false);
    vm_cold_resume(&vm, &cold);
    shutdown_ask(&vm, 5, true);
    end(&cold, VM_PASSED, SHUTDOWN_DONE);
    assert_int_equal(starts, 0);
    assert_true(platform.shutdown.force);
}

static void test_it_has_not_ended_in_time(void **unused)
{
    struct vm_cold cold = asked(false);

    (void)unused;
    vm_cold_resume(&vm, &cold);
    end(&cold, VM_RUNNING, SHUTDOWN_LATE);
    vm.status = VM_PASSED;
    vm_cold_poll(&vm, &cold);
    assert_int_equal(starts, 0);
}

/* Whoever judges starts is asked before it begins, unless it is not to. */
static void test_it_has_come(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 4; i++) {
        bool on = i & 1;

        judged = i & 2;
        vm = (struct vm){ .status = VM_INCOMING, .platform = &platform };
        starts = 0;
        assert_int_equal(vm_cold_start(&vm, on), on && !judged);
        assert_int_equal(starts, on && !judged);
        assert_int_equal(vm.status, starts ? VM_RUNNING : VM_CREATED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_starts_again),
        cmocka_unit_test(test_the_operator_has_said_otherwise),
        cmocka_unit_test(test_it_has_not_ended_in_time),
        cmocka_unit_test(test_it_has_come),
    };

    return cmocka_run_group_tests_name("vm_cold", tests, NULL, NULL);
}

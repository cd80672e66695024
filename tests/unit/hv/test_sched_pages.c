/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/sched.c hv/throttle.c hv/vcpu.c hv/inject.c hv/guest_tsc.c */
/* sources: hv/page_wait.c mm/guest_missing.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: tests/unit/ram.c tests/unit/run_loop.c tests/unit/processor.c tests/unit/stubs.c */
/* A run loop whose vcpus wait for missing pages (docs/scheduling.md). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mm/guest_missing.h"
#include "tests/unit/npt_formats.h"
#include "tests/unit/processor.h"
#include "tests/unit/ram.h"
#include "tests/unit/run_loop.h"

static struct npt npt;

/* Guest 0 has RAM, all of which is missing. */
static void ram_of_guest_0(void)
{
    struct vm *vm = &loop.guest[0].vm;

    ram_init_full(MiB(16));
    assert_int_equal(npt_init(&npt, &format_ept), 0);
    assert_int_equal(guest_mem_init(&vm->mem, &npt, MiB(4)), 0);
    assert_int_equal(guest_mem_expect(&vm->mem, 0, MiB(4) / PAGE_SIZE), 0);
}

static void ram_gone(void)
{
    guest_mem_fini(&loop.guest[0].vm.mem);
    npt_fini(&npt);
    ram_fini();
}

/* The others have the CPU meanwhile, no interrupt ends the wait, and the page does so at once. */
static void test_a_vcpu_waits_for_its_page(void **state)
{
    struct guest *g = &loop.guest[0];
    unsigned kicks;

    (void)state;
    machine(2, 2);
    ram_of_guest_0();
    assert_int_equal(guest_mem_ask(&g->vm.mem, KiB(8), 1), -EAGAIN);
    page_wait_begin(&g->vcpu);
    g->pending = g->vcpu.nmi_pending = true;
    run_cpu(1, 10 * MS);
    assert_int_equal(g->ran, 0);
    assert_int_equal(loop.guest[1].ran, 10 * MS);
    assert_int_equal(loop.stops, 0); /* it has not halted for good */
    loop.guest[1].vm.status = VM_PAUSED;
    run_cpu(1, 10 * MS);
    assert_in_range(loop.sleeps, 1, 2);
    processor_run_as(&loop.cpu[0]);
    assert_int_equal(vm_page_supply(&g->vm, 7, NULL), 0); /* not the one */
    kicks = loop.kicks[1];
    assert_int_equal(vm_page_supply(&g->vm, 2, NULL), 0);
    assert_int_equal(loop.kicks[1], kicks + 1);
    run_cpu(1, 10 * MS);
    assert_int_equal(g->ran, 10 * MS);
    assert_true(g->interrupted != 0);
    assert_int_equal(g->vm.page_waits.latency[15], 1); /* 20 ms */
    ram_gone();
}

/* What the hypervisor itself has to write into the guest comes first, also for a vcpu that sleeps: its interrupts may
 * be known only by that. The host loop does it when the page comes, with no lock of the run queues. */
static void test_a_vm_is_behind(void **state)
{
    struct guest *g = &loop.guest[0];

    (void)state;
    machine(2, 2);
    ram_of_guest_0();
    g->vm.behind = 1;
    g->pending = true;
    for (unsigned halted = 0; halted < 2; halted++) {
        g->vcpu.status = halted ? VCPU_HALTED : VCPU_RUNNABLE;
        run_cpu(1, 10 * MS);
        assert_int_equal(g->ran, 0);
        assert_int_equal(g->vcpu.status, halted ? VCPU_HALTED : VCPU_RUNNABLE);
    }
    assert_int_equal(loop.guest[1].ran, 20 * MS);
    loop.guest[1].vm.status = VM_PAUSED;
    run_cpu(1, 10 * MS);
    assert_in_range(loop.sleeps, 1, 2);
    processor_run_as(&loop.cpu[0]);
    assert_int_equal(vm_page_supply(&g->vm, 2, NULL), 0);
    assert_int_equal(loop.caught_up, 0); /* nobody has asked for this page */
    assert_int_equal(guest_mem_ask(&g->vm.mem, KiB(12), 1), -EAGAIN);
    assert_int_equal(vm_page_supply(&g->vm, 3, NULL), 0);
    assert_int_equal(loop.caught_up, 1);
    run_cpu(1, 10 * MS);
    assert_int_equal(g->ran, 10 * MS);
    ram_gone();
}

/* While the vcpu's instruction asks for its page, the host loop asks for another one. */
static void test_each_waits_for_its_own_page(void **state)
{
    struct guest *g = &loop.guest[0];

    (void)state;
    machine(2, 1);
    ram_of_guest_0();
    processor_run_as(&loop.cpu[1]);
    assert_int_equal(guest_mem_ask(&g->vm.mem, KiB(8), 1), -EAGAIN);
    processor_run_as(&loop.cpu[0]);
    assert_int_equal(guest_mem_ask(&g->vm.mem, KiB(40), 1), -EAGAIN);
    processor_run_as(&loop.cpu[1]);
    page_wait_begin(&g->vcpu);
    processor_run_as(&loop.cpu[0]);
    assert_int_equal(vm_page_supply(&g->vm, 2, NULL), 0);
    run_cpu(1, 10 * MS);
    assert_int_equal(g->ran, 10 * MS);
    ram_gone();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_vcpu_waits_for_its_page, run_loop_setup),
        cmocka_unit_test_setup(test_a_vm_is_behind, run_loop_setup),
        cmocka_unit_test_setup(test_each_waits_for_its_own_page, run_loop_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/sched.c hv/throttle.c hv/vcpu.c hv/inject.c hv/guest_tsc.c */
/* sources: hv/page_wait.c mm/guest_missing.c mm/guest_mem.c mm/dirty.c mm/npt.c mm/npt_log.c host/frame.c */
/* sources: tests/unit/ram.c tests/unit/run_loop.c tests/unit/processor.c tests/unit/stubs.c */
/* Who runs on a CPU, when and for how long (docs/scheduling.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "host/frame.h"
#include "host/smp.h"
#include "hv/sched.h"
#include "hv/throttle.h"
#include "tests/unit/processor.h"
#include "tests/unit/ram.h"
#include "tests/unit/run_loop.h"

/* `part` is `percent` of `whole`, but for one part in a hundred of the whole. */
static void assert_percent(u64 part, u64 whole, unsigned percent)
{
    assert_in_range(part, whole / 100 * (percent ? percent - 1 : 0), whole / 100 * (percent + 1));
}

/* --- Shares of a CPU ------------------------------------------------------------------------------------------- */

static void test_equal_shares(void **state)
{
    (void)state;
    machine(2, 4);
    run_cpu(1, 400 * MS);
    for (unsigned i = 0; i < 4; i++) {
        assert_percent(loop.guest[i].ran, 400 * MS, 25);
        assert_true(loop.guest[i].longest_wait <= 3 * SLICE + 10 * US);
    }
}

/* Who is often interrupted for the sake of others keeps the rest of the slice, and gets no more than that. */
static void test_kicks_change_no_share(void **state)
{
    (void)state;
    machine(2, 2);
    loop.kicked = 1;
    loop.kick_every = 170 * US;
    loop.next_kick = loop.now + loop.kick_every;
    run_cpu(1, 400 * MS);
    for (unsigned i = 0; i < 2; i++) {
        assert_percent(loop.guest[i].ran, 400 * MS, 50);
        assert_true(loop.guest[i].longest_wait <= SLICE + 60 * US);
    }
    assert_true(loop.kicks[1] > 2000);
    run_loop_setup(NULL); /* and if it is always the same one who is interrupted */
    machine(2, 2);
    loop.kicked = 1;
    loop.kick_first = 170 * US;
    run_cpu(1, 400 * MS);
    assert_percent(loop.guest[0].ran, 400 * MS, 50);
}

/* Who halts before the end of a slice leaves a whole one to the next. */
static void test_short_turns(void **state)
{
    (void)state;
    machine(2, 3);
    loop.guest[0].works = loop.guest[0].left = 900 * US;
    loop.guest[0].naps = US;
    run_cpu(1, 580 * MS);
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(loop.guest[i].ran, (i ? 198 : 178) * MS, (i ? 202 : 182) * MS);
}

/* The timer of a guest that runs interrupts it in time. */
static void test_timer_while_running(void **state)
{
    u64 due = loop.now + 333 * US;

    (void)state;
    machine(2, 1);
    loop.guest[0].deadline = due;
    run_cpu(1, 10 * MS);
    assert_in_range(loop.guest[0].interrupted, due, due + US);
    assert_int_equal(loop.guest[0].ran, 10 * MS);
}

/* A guest that works a little each time its timer comes waits for at most one slice of a neighbour that never halts,
 * and the neighbour has all the rest. */
static void test_sleeper_beside_a_loop(void **state)
{
    (void)state;
    machine(2, 2);
    loop.guest[1].works = loop.guest[1].left = 100 * US;
    loop.guest[1].naps = 5 * MS;
    run_cpu(1, 600 * MS);
    assert_in_range(loop.guest[1].ran, 600 / 7 * 100 * US, 600 / 5 * 100 * US);
    assert_true(loop.guest[0].ran + loop.guest[1].ran >= 599 * MS);
    assert_int_equal(loop.sleeps, 0);
}

/* A guest that has the CPU alone loses nothing to slices; one that sleeps wakes at its timer, not later. */
static void test_alone(void **state)
{
    (void)state;
    machine(2, 1);
    run_cpu(1, 100 * MS);
    assert_int_equal(loop.guest[0].ran, 100 * MS);
    assert_int_equal(loop.guest[0].vcpu.exits[EXIT_PREEMPT], 0);
    loop.guest[0].works = loop.guest[0].left = MS;
    loop.guest[0].naps = 3 * MS;
    run_cpu(1, 100 * MS);
    assert_int_equal(loop.guest[0].ran, 125 * MS);
    assert_true(loop.cpu[1].idle_ticks >= 72 * MS);
}

/* --- CPU 0, which the host loop shares with guests if there is no other ----------------------------------------- */

static void test_host_loop_comes_each_slice(void **state)
{
    (void)state;
    for (unsigned guests = 1; guests <= 2; guests++) {
        run_loop_setup(NULL);
        machine(1, guests);
        run_cpu(0, 400 * MS);
        assert_true(loop.rounds >= 390 && loop.longest_gap <= SLICE + 50 * US);
        assert_true(loop.guest[0].ran + loop.guest[1].ran >= 396 * MS);
        assert_percent(loop.guest[0].ran, 400 * MS, 100 / guests);
    }
}

static u64 at_once(void)
{
    return loop.now;
}

static u64 in_5_ms(void)
{
    return loop.now + 5 * MS;
}

static u64 in_100_us(void)
{
    return loop.now + 100 * US;
}

/* Host work without end leaves the guests half of the time: as much as a round took, and 1 ms at most. */
static void test_host_loop_without_end(void **state)
{
    (void)state;
    loop.wish = at_once;
    loop.round_ns = 400 * US;
    machine(1, 2);
    run_cpu(0, 400 * MS);
    assert_percent(loop.guest[0].ran + loop.guest[1].ran, 400 * MS, 50);
    assert_true(loop.longest_gap <= 460 * US);
    loop.round_ns = 3 * MS;
    loop.guest[0].ran = loop.guest[1].ran = loop.longest_gap = 0;
    run_cpu(0, 400 * MS);
    assert_percent(loop.guest[0].ran + loop.guest[1].ran, 400 * MS, 25);
    assert_true(loop.longest_gap <= SLICE + 60 * US);
    loop.round_ns = 2 * US; /* short ones, which would keep the CPU busy with going in and out */
    loop.guest[0].ran = loop.guest[1].ran = 0;
    run_cpu(0, 400 * MS);
    assert_true(loop.guest[0].ran + loop.guest[1].ran >= 380 * MS);
}

/* New work for the host loop interrupts a guest at once, whatever is left of its slice. */
static void test_kick_for_the_host_loop(void **state)
{
    (void)state;
    machine(1, 1);
    loop.kick_every = 330 * US;
    loop.next_kick = loop.now + loop.kick_every;
    run_cpu(0, 100 * MS);
    assert_true(loop.rounds >= 100000 / 331);
    assert_true(loop.longest_wait <= 10 * US);
}

/* After a long round the guests come first. But no guest wants the CPU: work that comes then does not wait for them. */
static void test_kick_after_a_long_round(void **state)
{
    (void)state;
    machine(1, 1);
    loop.guest[0].works = loop.guest[0].left = 100 * US;
    loop.guest[0].naps = 500 * MS;
    loop.round_ns = 900 * US;
    loop.kick_every = 1300 * US;
    loop.next_kick = loop.now + loop.kick_every;
    run_cpu(0, 100 * MS);
    assert_true(loop.longest_wait <= 910 * US); /* it came while a round was on */
    assert_true(loop.rounds >= 70);
}

/* With CPUs for guests, the host loop has CPU 0 for itself, and sleeps when it has nothing to do. */
static void test_host_loop_alone(void **state)
{
    (void)state;
    machine(2, 3);
    run_cpu(0, 100 * MS);
    assert_int_equal(loop.rounds, 1);
    assert_int_equal(loop.sleeps, 1);
    assert_int_equal(loop.guest[0].ran + loop.guest[1].ran + loop.guest[2].ran, 0);
    loop.wish = in_5_ms; /* its timers */
    cpu_kick(0);
    run_cpu(0, 100 * MS);
    assert_in_range(loop.rounds, 1 + 19, 1 + 21);
    run_loop_setup(NULL); /* a long round is no reason to come later than wished, if no guest wants the CPU */
    machine(2, 0);
    loop.round_ns = 900 * US;
    loop.wish = in_100_us;
    run_cpu(0, 100 * MS);
    assert_true(loop.longest_gap <= 100 * US);
}

/* What was freed is zeroed by CPU 0 when it has nothing to do: not while a guest wants it, and then it sleeps. */
static void test_freed_memory_is_zeroed_before_sleep(void **state)
{
    hpa_t block;

    (void)state;
    ram_init_full(MiB(2));
    block = frame_alloc(FRAME_ORDER_2M);
    *(u64 *)frame_window(block + MiB(1)) = 1;
    frame_free(block, FRAME_ORDER_2M);
    machine(1, 1);
    run_cpu(0, 10 * MS);
    assert_int_equal(*(u64 *)frame_window(block + MiB(1)), 1);
    assert_int_equal(loop.sleeps, 0);
    loop.guest[0].works = loop.guest[0].left = US;
    loop.guest[0].naps = 5 * MS;
    run_cpu(0, 10 * MS);
    assert_int_equal(*(u64 *)frame_window(block + MiB(1)), 0);
    assert_false(frame_scrub());
    assert_true(loop.sleeps > 0 && loop.rounds >= MiB(2) / KiB(64)); /* the host loop looks for work in between */
    ram_fini();
}

/* --- Kicks and sleep ------------------------------------------------------------------------------------------- */

static void kick_here(void)
{
    cpu_kick(this_cpu()->index);
    loop.on_take = NULL;
}

/* Work may come in at any moment while a CPU finds that it has nothing to do: then it looks again instead of sleeping.
 * (sleep_until_interrupt asserts that.) */
static void test_kick_while_looking(void **state)
{
    (void)state;
    for (u32 cpu = 0; cpu < 2; cpu++) {
        run_loop_setup(NULL);
        machine(cpu + 1, 1);
        loop.guest[0].vcpu.status = VCPU_HALTED;
        loop.on_take = kick_here;
        run_cpu(cpu, MS);
        assert_int_equal(loop.sleeps, 1);
        assert_int_equal(loop.rounds, cpu ? 0 : 2);
    }
}

static void interrupt_comes(void)
{
    loop.guest[0].pending = true;
}

/* Of two sleepers the CPU sleeps until the earlier timer. An interrupt that a kick announces wakes its vcpu. */
static void test_wakes_in_time(void **state)
{
    (void)state;
    machine(2, 2);
    for (unsigned i = 0; i < 2; i++) {
        loop.guest[i].vcpu.status = VCPU_HALTED;
        loop.guest[i].works = 10 * US;
        loop.guest[i].naps = 700 * MS;
    }
    loop.guest[0].deadline = loop.now + 30 * MS;
    loop.guest[1].deadline = loop.now + 20 * MS;
    run_cpu(1, 25 * MS);
    assert_int_equal(loop.guest[0].ran, 0);
    assert_int_equal(loop.guest[1].ran, 10 * US);
    run_cpu(1, 10 * MS);
    assert_int_equal(loop.guest[0].ran, 10 * US);
    loop.kicked = 1;
    loop.next_kick = loop.now + 2 * MS;
    loop.before_kick = interrupt_comes;
    run_cpu(1, 3 * MS);
    assert_int_equal(loop.guest[0].ran, 20 * US);
}

/* An interrupt does not wake a vcpu that has halted with interrupts off; an NMI does. */
static void test_nmi_wakes(void **state)
{
    (void)state;
    machine(2, 1);
    loop.guest[0].vcpu.status = VCPU_HALTED;
    loop.guest[0].vcpu.rflags &= ~RFLAGS_IF;
    loop.guest[0].called = loop.guest[0].pending = true;
    run_cpu(1, MS);
    assert_int_equal(loop.guest[0].ran, 0);
    loop.guest[0].vcpu.nmi_pending = true;
    run_cpu(1, MS);
    assert_int_equal(loop.guest[0].ran, MS);
    assert_int_equal(loop.stops, 0);
}

/* --- Which vcpus may run --------------------------------------------------------------------------------------- */

static void test_who_may_not_run(void **state)
{
    (void)state;
    machine(2, 4);
    loop.guest[0].vm.status = VM_PAUSED;
    loop.guest[1].vm.holds = 1;
    loop.guest[2].vm.reset_wanted = true;
    run_cpu(1, 10 * MS);
    assert_int_equal(loop.guest[0].ran + loop.guest[1].ran + loop.guest[2].ran, 0);
    assert_int_equal(loop.guest[3].ran, 10 * MS);
    loop.guest[1].vm.holds = 0;
    run_cpu(1, 10 * MS);
    assert_percent(loop.guest[1].ran, 10 * MS, 50);
}

static void hold_comes(void)
{
    loop.guest[0].vm.holds = 1;
}

/* A hold that comes while the guest runs ends its turn, by the kick that comes along. */
static void test_hold_ends_a_turn(void **state)
{
    (void)state;
    machine(2, 2);
    loop.kicked = 1;
    loop.next_kick = loop.now + 300 * US;
    loop.before_kick = hold_comes;
    run_cpu(1, 5 * MS);
    assert_int_equal(loop.guest[0].ran, 300 * US);
    assert_int_equal(loop.guest[1].ran, 4700 * US);
}

/* A throttled guest runs for its part of the time, alone as well as beside another, who has the rest. */
static void test_throttle(void **state)
{
    (void)state;
    machine(2, 1);
    loop.guest[0].vm.throttle = 80;
    run_cpu(1, 500 * MS);
    assert_percent(loop.guest[0].ran, 500 * MS, 20);
    assert_percent(loop.cpu[1].idle_ticks, 500 * MS, 80);
    run_loop_setup(NULL);
    machine(2, 2);
    loop.guest[0].vm.throttle = 80;
    run_cpu(1, 500 * MS);
    assert_in_range(loop.guest[0].ran, 75 * MS, 101 * MS);
    assert_true(loop.guest[0].ran + loop.guest[1].ran >= 499 * MS);
}

/* The time in which the throttle keeps a vcpu out that could run is time for which it waits (docs/time.md). */
static void test_throttle_is_steal_time(void **state)
{
    (void)state;
    machine(2, 1);
    loop.guest[0].vm.throttle = 80;
    vcpu_runnable(&loop.guest[0].vcpu);
    run_cpu(1, 500 * MS);
    assert_percent(loop.guest[0].waited, 500 * MS, 80);
    assert_in_range(loop.guest[0].waited + loop.guest[0].ran, 499 * MS, 500 * MS);
}

/* A writer that is throttled waits until its time has come, or the limit is lifted, and another guest, which only
 * reads, has its CPU meanwhile: all of it. The wait is steal time. */
static void test_throttled_writer(void **state)
{
    struct guest *writer = &loop.guest[0], *reader = &loop.guest[1];

    (void)state;
    machine(2, 2);
    writer->vm.write_price = MS;
    writer->vcpu.status = VCPU_WAIT_WRITE;
    writer->vcpu.write_at = loop.now + 50 * MS;
    run_cpu(1, 50 * MS);
    assert_int_equal(writer->ran, 0);
    assert_true(reader->ran >= 50 * MS - SLICE);
    run_cpu(1, 50 * MS);
    assert_percent(writer->ran, 50 * MS, 50);
    writer->vcpu.status = VCPU_WAIT_WRITE;
    writer->vcpu.write_at = loop.now + 1000 * MS;
    writer->vm.write_price = 0;
    writer->ran = 0;
    run_cpu(1, 50 * MS);
    assert_percent(writer->ran, 50 * MS, 50);
}

/* A vcpu whose HLT an interrupt or its timer ends while the throttle keeps it out waits from then on, not before. */
static void test_woken_while_throttled(void **state)
{
    (void)state;
    for (unsigned by_timer = 0; by_timer < 2; by_timer++) {
        u64 opens, woken;

        run_loop_setup(NULL);
        machine(2, 1);
        loop.guest[0].vm.throttle = 80;
        loop.guest[0].vcpu.status = VCPU_HALTED;
        assert_false(throttle_open(80, loop.guest[0].vm.id, SLICE, loop.now, &opens));
        woken = opens - 2 * MS;
        if (by_timer) {
            loop.guest[0].deadline = woken;
        } else {
            loop.kicked = 1;
            loop.next_kick = woken;
            loop.before_kick = interrupt_comes;
        }
        run_cpu(1, opens + US - loop.now);
        assert_in_range(loop.guest[0].ran, 1, US);
        assert_in_range(loop.guest[0].waited, opens - woken, opens - woken + US);
    }
}

/* --- Halted for good ------------------------------------------------------------------------------------------- */

/* A VM of two vcpus: the run loop meets them in the state that `put` leaves. Returns whether the VM has ended. */
static bool ends(void (*put)(struct guest *first, struct guest *second))
{
    run_loop_setup(NULL);
    loop.guest[0].vm.nr_vcpus = 2;
    loop.guest[0].vm.vcpu[1] = &loop.guest[1].vcpu;
    loop.guest[1].vcpu.vm = &loop.guest[0].vm;
    machine(2, 2);
    for (unsigned i = 0; i < 2; i++) {
        loop.guest[i].vcpu.status = VCPU_HALTED;
        loop.guest[i].vcpu.rflags &= ~RFLAGS_IF;
    }
    put(&loop.guest[0], &loop.guest[1]);
    run_cpu(1, 5 * MS);
    assert_int_equal(loop.guest[0].vm.status == VM_HALTED, loop.stops);
    return loop.stops;
}

static void both_deaf(struct guest *first, struct guest *second)
{
    (void)first, (void)second;
}

static void second_not_started(struct guest *first, struct guest *second)
{
    (void)first;
    second->vcpu.status = VCPU_WAIT_SIPI;
}

static void second_runs(struct guest *first, struct guest *second)
{
    (void)first;
    second->vcpu.status = VCPU_RUNNABLE;
}

static void second_hears(struct guest *first, struct guest *second)
{
    (void)first;
    second->vcpu.rflags |= RFLAGS_IF;
}

static void nmi_on_its_way(struct guest *first, struct guest *second)
{
    (void)first;
    second->called = true;
}

static void nmi_has_come(struct guest *first, struct guest *second)
{
    (void)first;
    second->vcpu.nmi_pending = true;
}

static void an_interrupt_has_come(struct guest *first, struct guest *second)
{
    first->pending = second->pending = true;
}

static void is_paused(struct guest *first, struct guest *second)
{
    (void)second;
    first->vm.status = VM_PAUSED;
}

/* A VM ends only when nothing can wake any of its vcpus: then its user need not wait. */
static void test_halted_for_good(void **state)
{
    (void)state;
    assert_true(ends(both_deaf));
    assert_true(ends(second_not_started));
    assert_true(ends(an_interrupt_has_come));
    assert_false(ends(second_runs));
    assert_false(ends(second_hears));
    assert_false(ends(nmi_on_its_way));
    assert_false(ends(nmi_has_come));
    assert_false(ends(is_paused));
}

/* --- Queues ---------------------------------------------------------------------------------------------------- */

/* Vcpus are spread over the CPUs that the host loop does not need, and each CPU is told. */
static void test_spread(void **state)
{
    (void)state;
    machine(4, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(loop.guest[i].vcpu.cpu, 1 + i % 3);
    assert_int_equal(loop.kicks[0], 0);
    assert_true(loop.kicks[1] == 2 && loop.kicks[2] == 2 && loop.kicks[3] == 2);
    sched_remove(&loop.guest[1].vcpu);
    sched_remove(&loop.guest[4].vcpu);
    sched_add(&loop.guest[4].vcpu);
    assert_int_equal(loop.guest[4].vcpu.cpu, 2);
    run_loop_setup(NULL);
    machine(1, 2);
    assert_true(!loop.guest[0].vcpu.cpu && !loop.guest[1].vcpu.cpu);
}

/* A vcpu that is removed is resident nowhere, so that its registers can be read. */
static void test_remove(void **state)
{
    (void)state;
    machine(1, 2);
    run_cpu(0, 500 * US);
    assert_ptr_equal(loop.cpu[0].resident, &loop.guest[0].vcpu);
    sched_remove(&loop.guest[1].vcpu);
    assert_ptr_equal(loop.cpu[0].resident, &loop.guest[0].vcpu);
    sched_remove(&loop.guest[0].vcpu);
    assert_null(loop.cpu[0].resident);
    run_loop_setup(NULL);
    machine(2, 1);
    run_cpu(1, 500 * US);
    processor_run_as(&loop.cpu[0]);
    sched_remove(&loop.guest[0].vcpu);
    assert_null(loop.cpu[1].resident);
    loop.cpu[1].resident = &loop.guest[0].vcpu; /* the CPU had not yet seen it, and looks again */
    run_cpu(1, MS);
    assert_null(loop.cpu[1].resident);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_equal_shares, run_loop_setup),
        cmocka_unit_test_setup(test_kicks_change_no_share, run_loop_setup),
        cmocka_unit_test_setup(test_short_turns, run_loop_setup),
        cmocka_unit_test_setup(test_timer_while_running, run_loop_setup),
        cmocka_unit_test_setup(test_sleeper_beside_a_loop, run_loop_setup),
        cmocka_unit_test_setup(test_alone, run_loop_setup),
        cmocka_unit_test_setup(test_host_loop_comes_each_slice, run_loop_setup),
        cmocka_unit_test_setup(test_host_loop_without_end, run_loop_setup),
        cmocka_unit_test_setup(test_kick_for_the_host_loop, run_loop_setup),
        cmocka_unit_test_setup(test_kick_after_a_long_round, run_loop_setup),
        cmocka_unit_test_setup(test_host_loop_alone, run_loop_setup),
        cmocka_unit_test_setup(test_freed_memory_is_zeroed_before_sleep, run_loop_setup),
        cmocka_unit_test_setup(test_kick_while_looking, run_loop_setup),
        cmocka_unit_test_setup(test_wakes_in_time, run_loop_setup),
        cmocka_unit_test_setup(test_nmi_wakes, run_loop_setup),
        cmocka_unit_test_setup(test_who_may_not_run, run_loop_setup),
        cmocka_unit_test_setup(test_hold_ends_a_turn, run_loop_setup),
        cmocka_unit_test_setup(test_throttle, run_loop_setup),
        cmocka_unit_test_setup(test_throttle_is_steal_time, run_loop_setup),
        cmocka_unit_test_setup(test_throttled_writer, run_loop_setup),
        cmocka_unit_test_setup(test_woken_while_throttled, run_loop_setup),
        cmocka_unit_test_setup(test_halted_for_good, run_loop_setup),
        cmocka_unit_test_setup(test_spread, run_loop_setup),
        cmocka_unit_test_setup(test_remove, run_loop_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

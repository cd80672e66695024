/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/run_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/frame.h"
#include "host/host_work.h"
#include "host/smp.h"
#include "hv/backend.h"
#include "hv/fetch.h"
#include "hv/resident.h"
#include "hv/msr.h"
#include "hv/sched.h"
#include "mm/guest_missing.h"
#include "tests/unit/processor.h"

#define ENTRY 100 /* what each takes at least */

struct run_loop loop;
static u64 stop_at, timer;
static jmp_buf stop;
static u64 round_ended;
static u64 waiting_since; /* when a kick came that no round has seen; 0: none */

/* --- Time ------------------------------------------------------------------------------------------------------ */

/* Who looks at the clock again and again while it stands still will do so for ever. */
u64 unit_tsc(void)
{
    static u64 last, looks;

    looks = last == loop.now ? looks + 1 : 0;
    last = loop.now;
    assert_true(looks < 1000);
    return loop.now;
}

u64 clock_ns(void)
{
    return loop.now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void apic_timer_arm(u64 deadline)
{
    timer = deadline;
}

static void pass_until(u64 time)
{
    loop.now = MIN(MAX(loop.now, time), stop_at);
    if (loop.now >= stop_at)
        longjmp(stop, 1);
}

static void kick_from_outside(void)
{
    if (loop.now < loop.next_kick)
        return;
    loop.next_kick = loop.kick_every ? loop.now + loop.kick_every : NEVER;
    if (!waiting_since)
        waiting_since = loop.now;
    if (loop.before_kick)
        loop.before_kick();
    cpu_kick(loop.kicked);
}

/* What an interrupt ends: only a kick or the timer may come, and a kick that has come already is not slept over. */
static void sleep_until_interrupt(void)
{
    loop.sleeps++;
    assert_false(this_cpu()->kicked);
    pass_until(MIN(timer, loop.next_kick));
    kick_from_outside();
}

u64 host_work_round(void)
{
    loop.rounds++;
    assert_int_equal(this_cpu()->index, 0);
    loop.longest_gap = MAX(loop.longest_gap, round_ended ? loop.now - round_ended : 0);
    if (waiting_since)
        loop.longest_wait = MAX(loop.longest_wait, loop.now - waiting_since);
    waiting_since = 0;
    pass_until(loop.now + loop.round_ns);
    round_ended = loop.now;
    return loop.wish ? loop.wish() : NEVER;
}

/* --- The rest of the machine ----------------------------------------------------------------------------------- */

struct cpu *cpu_at(u32 index)
{
    return &loop.cpu[index];
}

u32 cpu_count(void)
{
    return loop.nr_cpus;
}

/* Another CPU puts down what has left its queue, as drop_departed does there. */
void cpu_kick(u32 index)
{
    struct cpu *cpu = &loop.cpu[index];

    loop.kicks[index]++;
    cpu->kicked = true;
    if (cpu != this_cpu() && cpu->running && list_empty(&cpu->running->node))
        cpu->running = NULL;
    if (cpu != this_cpu() && cpu->resident && list_empty(&cpu->resident->node))
        cpu->resident = NULL;
}

bool vm_vcpu_busy(const struct vcpu *vcpu)
{
    return loop.cpu[vcpu->cpu].running == vcpu;
}

bool resident_set(struct vcpu *vcpu)
{
    assert_ptr_equal(this_cpu()->running, vcpu); /* whoever takes it off its CPU knows that it is about to be there */
    assert_true(!this_cpu()->resident || this_cpu()->resident == vcpu || !list_empty(&this_cpu()->resident->node));
    this_cpu()->resident = vcpu;
    return true;
}

void resident_clear(void)
{
    this_cpu()->resident = NULL;
}

void fpu_reset(struct vcpu *vcpu)
{
    (void)vcpu;
}

void vm_first_entry(struct vm *vm)
{
    vm->first_entry_tsc = loop.now;
}

void vm_catch_up(struct vm *vm)
{
    vm->behind = 0;
    loop.caught_up++;
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        vcpu_wake(vm->vcpu[i]);
}

void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...)
{
    (void)format;
    loop.stops++;
    vm->status = status;
}

void vm_crash(struct vcpu *vcpu, const char *format, ...)
{
    (void)vcpu, (void)format;
    fail();
}

void vm_triple_fault(struct vcpu *vcpu, const char *format, ...)
{
    (void)vcpu, (void)format;
    fail();
}

void trace(const char *what, u64 vcpu, u64 detail)
{
    (void)what, (void)vcpu, (void)detail;
}

enum insn_mode fetch_mode(const struct vcpu *vcpu, const struct vcpu_state *state)
{
    (void)vcpu, (void)state;
    return INSN_64;
}

/* --- Guests ---------------------------------------------------------------------------------------------------- */

static struct guest *guest_of(const struct vcpu *vcpu)
{
    return container_of(vcpu, struct guest, vcpu);
}

static void run(struct vcpu *vcpu)
{
    struct guest *g = guest_of(vcpu);
    u64 for_ns;

    assert_true(vm_runnable(vcpu->vm) && vcpu->status == VCPU_RUNNABLE);
    if (g->left_cpu)
        g->longest_wait = MAX(g->longest_wait, loop.now - g->left_cpu);
    if (vcpu->event.valid) { /* its interrupt is delivered: there is work again */
        g->interrupted = loop.now;
        g->left = g->works;
    }
    vcpu->event.valid = false;
    if (loop.kick_first && g == &loop.guest[0])
        loop.next_kick = loop.now + loop.kick_first;
    for_ns = MAX(MIN(vcpu->run_until, loop.next_kick), loop.now + ENTRY) - loop.now;
    for_ns = MIN(MIN(for_ns, g->works ? g->left : NEVER), stop_at - loop.now);
    g->ran += for_ns;
    g->left -= g->works ? for_ns : 0;
    g->left_cpu = loop.now + for_ns;
    pass_until(loop.now + for_ns);
    vcpu->exit.kind = g->works && !g->left ? EXIT_HLT : loop.now >= loop.next_kick ? EXIT_INTERRUPT : EXIT_PREEMPT;
    kick_from_outside();
}

static const struct backend guests_backend = { .run = run };
const struct backend *backend_in_use = &guests_backend;

static void halt(struct vcpu *vcpu)
{
    guest_of(vcpu)->deadline = loop.now + guest_of(vcpu)->naps;
    guest_of(vcpu)->left_cpu = 0;
    vcpu->status = VCPU_HALTED;
}

static void go_on(struct vcpu *vcpu)
{
    (void)vcpu;
}

const struct exit_handler exit_handlers[NR_EXITS] = {
    [EXIT_HLT] = { "hlt", halt },
    [EXIT_INTERRUPT] = { "interrupt", go_on },
    [EXIT_PREEMPT] = { "preempt", go_on },
};

static bool pending(const struct vcpu *vcpu)
{
    return guest_of(vcpu)->pending;
}

static bool called(const struct vcpu *vcpu)
{
    return guest_of(vcpu)->called;
}

static int ack(struct vcpu *vcpu)
{
    guest_of(vcpu)->pending = false;
    return 0x40;
}

static u64 deadline(struct vcpu *vcpu)
{
    return guest_of(vcpu)->deadline;
}

static void expire(struct vcpu *vcpu, u64 time)
{
    assert_true(time >= guest_of(vcpu)->deadline);
    guest_of(vcpu)->deadline = NEVER;
    guest_of(vcpu)->pending = true;
}

static void take(struct vcpu *vcpu)
{
    (void)vcpu;
    if (loop.on_take)
        loop.on_take();
}

static const struct interrupt_ops interrupts = {
    .take = take, .pending = pending, .called = called, .ack = ack, .deadline = deadline, .expire = expire
};

static void waits(struct vcpu *vcpu)
{
    struct guest *g = guest_of(vcpu);

    g->waits_since = g->waits_since ? g->waits_since : loop.now;
}

static void goes_on(struct vcpu *vcpu)
{
    struct guest *g = guest_of(vcpu);

    g->waited += g->waits_since ? loop.now - g->waits_since : 0;
    g->waits_since = 0;
}

static const struct vm_platform_ops platform = { .waits = waits, .goes_on = goes_on };
const struct vm_platform_ops *vm_platform = &platform;

void run_cpu(u32 index, u64 ns)
{
    processor_run_as(&loop.cpu[index]);
    stop_at = loop.now + ns;
    if (!setjmp(stop))
        sched_loop();
    loop.cpu[index].running = NULL;
}

void machine(u32 cpus, unsigned guests)
{
    loop.nr_cpus = cpus;
    for (unsigned i = 0; i < guests; i++) {
        list_init(&loop.guest[i].vcpu.node);
        sched_add(&loop.guest[i].vcpu);
    }
}

int run_loop_setup(void **state)
{
    (void)state;
    loop = (struct run_loop){ .now = 1000 * MS, .next_kick = NEVER, .round_ns = US };
    timer = NEVER;
    round_ended = waiting_since = 0;
    for (unsigned i = 0; i < CPUS; i++) {
        loop.cpu[i].index = i;
        list_init(&loop.cpu[i].run_queue);
    }
    for (unsigned i = 0; i < GUESTS; i++) {
        struct guest *g = &loop.guest[i];

        g->vm = (struct vm){ .id = i + 1, .status = VM_RUNNING, .nr_vcpus = 1, .vcpu = { &g->vcpu } };
        g->vcpu = (struct vcpu){ .vm = &g->vm, .rflags = RFLAGS_FIXED1 | RFLAGS_IF, .interrupts = &interrupts };
        g->deadline = NEVER;
    }
    processor.sleeps = sleep_until_interrupt;
    processor_run_as(&loop.cpu[0]);
    return 0;
}

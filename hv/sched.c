/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/sched.h"

#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/context.h"
#include "host/cpu.h"
#include "host/frame.h"
#include "host/host_work.h"
#include "host/smp.h"
#include "host/lock.h"
#include "hv/resident.h"
#include "hv/throttle.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

#define SLICE_NS 1000000ULL   /* a vcpu's turn while others wait for the CPU, the host loop among them */
#define SHORTEST_RUN_NS 50000 /* the least time that a vcpu gets, however busy the host loop is */

static struct spinlock lock = SPINLOCK(LOCK_RUN_QUEUES); /* guards all run queues */

/* Do a round of host work. Afterwards the vcpus of CPU 0 have it for as long as the round took, in spite of kicks. */
static u64 host_turn(struct cpu *cpu)
{
    u64 start = rdtsc(), next = host_work_round(), end = rdtsc();

    cpu->guests_until = end + MIN(end - start, clock_ns_to_ticks(SLICE_NS));
    return next;
}

static u32 queue_length(const struct cpu *cpu)
{
    u32 length = 0;

    list_each (const struct vcpu, vcpu, &cpu->run_queue)
        length++;
    return length;
}

void sched_add(struct vcpu *vcpu)
{
    u32 first = cpu_count() > 1 ? 1 : 0, best = first;

    assert_host_loop();
    spin_lock(&lock);
    for (u32 i = first + 1; i < cpu_count(); i++)
        if (queue_length(cpu_at(i)) < queue_length(cpu_at(best)))
            best = i;
    vcpu->cpu = best;
    list_add_tail(&cpu_at(best)->run_queue, &vcpu->node);
    spin_unlock(&lock);
    cpu_kick(best);
}

void sched_remove(struct vcpu *vcpu)
{
    struct cpu *cpu = cpu_at(vcpu->cpu);

    assert_host_loop();
    spin_lock(&lock);
    list_del(&vcpu->node);
    spin_unlock(&lock);
    if (cpu == this_cpu()) {
        if (cpu->resident == vcpu)
            resident_clear();
        return;
    }
    /* Its CPU can't pick it any more, and puts it down as soon as its turn is over. */
    while (vm_vcpu_busy(vcpu) || __atomic_load_n(&cpu->resident, __ATOMIC_ACQUIRE) == vcpu) {
        cpu_kick(cpu->index);
        cpu_relax();
    }
}

void sched_settle(void)
{
    assert_host_loop();
    spin_lock(&lock);
    spin_unlock(&lock);
}

/* May the VM's vcpus be let in now? They are let in on all CPUs together, so that a vcpu that waits for another one
 * runs beside it. *until: the host TSC at which the answer changes; ~0: never. */
static bool is_let_in(const struct vm *vm, u64 *until)
{
    u32 percent = __atomic_load_n(&vm->throttle, __ATOMIC_ACQUIRE);

    return throttle_open(percent, vm->id, clock_ns_to_ticks(SLICE_NS), rdtsc(), until);
}

/* Is the vcpu asleep so that no interrupt wakes it? */
static bool is_deaf(const struct vcpu *vcpu)
{
    enum vcpu_status status = __atomic_load_n(&vcpu->status, __ATOMIC_ACQUIRE);

    return status == VCPU_WAIT_SIPI || (status == VCPU_HALTED && !(vcpu->rflags & RFLAGS_IF));
}

/* Has an event come that wakes the vcpu nevertheless? */
static bool is_called(const struct vcpu *vcpu)
{
    return vcpu->interrupts->called(vcpu) || (vcpu->status == VCPU_HALTED && vcpu->nmi_pending);
}

/*
 * Has the VM halted for good? A sleeping vcpu is woken under the lock that we hold. So if the first loop finds all
 * vcpus deaf, they are deaf at the same time. By then each vcpu has sent all that it will ever send, and the second
 * loop sees whether anything arrived.
 */
static bool halted_for_good(const struct vm *vm)
{
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        if (!is_deaf(vm->vcpu[i]))
            return false;
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        if (is_called(vm->vcpu[i]))
            return false;
    return true;
}

/* Bring a sleeping vcpu's timers up to date, and wake it if it has a reason. Lowers *wake to the time at which it must
 * be checked again. A vcpu that waits for its page, or to write, has no other reason. */
static void check_sleeper(struct vcpu *vcpu, u64 *wake)
{
    u64 now = rdtsc();

    if (vcpu->status == VCPU_WAIT_PAGE) {
        if (!__atomic_load_n(&vcpu->page_wait.since, __ATOMIC_ACQUIRE))
            vcpu_runnable(vcpu);
        return;
    }
    if (vcpu->status == VCPU_WAIT_WRITE) {
        if (now >= vcpu->write_at || !__atomic_load_n(&vcpu->vm->write_price, __ATOMIC_ACQUIRE))
            vcpu_runnable(vcpu);
        else
            *wake = MIN(*wake, vcpu->write_at);
        return;
    }
    if (now >= vcpu->interrupts->deadline(vcpu))
        vcpu->interrupts->expire(vcpu, now);

    vcpu->interrupts->take(vcpu);

    bool pending = vcpu->interrupts->pending(vcpu) && (vcpu->rflags & RFLAGS_IF);

    if (vcpu->status == VCPU_HALTED && (pending || vcpu->nmi_pending))
        vcpu_runnable(vcpu);
    else if (is_deaf(vcpu) && halted_for_good(vcpu->vm))
        vm_stop(vcpu->vm, VM_HALTED, "with interrupts off: nothing can wake it");
    *wake = MIN(*wake, vcpu->interrupts->deadline(vcpu));
}

/* Can the vcpu run now? Lowers *wake to the time at which it must be asked again. A sleeper is woken also while it is
 * not let in: from then on it waits for its turn (struct vm_platform_ops). */
static bool vcpu_ready(struct vcpu *vcpu, u64 *wake)
{
    u64 closed_until;

    if (!vm_runnable(vcpu->vm))
        return false;
    if (vcpu->status != VCPU_RUNNABLE)
        check_sleeper(vcpu, wake);
    if (is_let_in(vcpu->vm, &closed_until))
        return vcpu->status == VCPU_RUNNABLE;
    *wake = MIN(*wake, closed_until);
    return false;
}

/* The first ready vcpu of this CPU's queue; NULL: none is ready. *others: is another vcpu ready, too? */
static struct vcpu *sched_pick(struct cpu *cpu, u64 *wake, bool *others)
{
    struct vcpu *picked = NULL;

    *others = false;
    spin_lock(&lock);
    list_each (struct vcpu, vcpu, &cpu->run_queue) {
        if (!vcpu_ready(vcpu, wake))
            continue;
        if (picked) {
            *others = true;
            break;
        }
        picked = vcpu;
    }
    cpu->running = picked; /* under the lock: who takes it out of the queue behind this waits for it */
    spin_unlock(&lock);
    return picked;
}

/* The vcpu's turn is over: it goes behind the others of the queue. */
static void sched_rotate(struct cpu *cpu, struct vcpu *vcpu)
{
    cpu->slice_end = 0;
    spin_lock(&lock);
    if (!list_empty(&vcpu->node)) {
        list_del(&vcpu->node);
        list_add_tail(&cpu->run_queue, &vcpu->node);
    }
    spin_unlock(&lock);
}

/*
 * Run the vcpu until `wake`, or until the end of its slice if another vcpu or the host loop wants the CPU. If a kick
 * for the host loop ends the run earlier, the vcpu keeps the rest of its slice.
 */
static void sched_run(struct cpu *cpu, struct vcpu *vcpu, u64 wake, bool shared)
{
    u64 now = rdtsc(), open_until;

    if (cpu->slice_end == 0)
        cpu->slice_end = now + clock_ns_to_ticks(SLICE_NS);
    if (shared)
        wake = MIN(wake, cpu->slice_end);
    wake = MIN(wake, is_let_in(vcpu->vm, &open_until) ? open_until : now);
    vcpu_run(vcpu, MAX(wake, now + clock_ns_to_ticks(SHORTEST_RUN_NS)));
    if (vcpu->status != VCPU_RUNNABLE || rdtsc() >= cpu->slice_end)
        sched_rotate(cpu, vcpu);
}

/* Save the registers of a resident vcpu that has left our queue, for sched_remove. */
static void drop_departed(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->resident;

    if (!vcpu)
        return;
    spin_lock(&lock);
    bool departed = list_empty(&vcpu->node);
    spin_unlock(&lock);
    if (departed)
        resident_clear();
}

/* Sleep; but as long as freed memory is to be zeroed, CPU 0 does a slice of that instead, and looks for work again. */
static void idle(struct cpu *cpu, u64 wake)
{
    u64 start = rdtsc();

    assert_no_lock();
    if (cpu->index == 0 && frame_scrub())
        return;
    apic_timer_arm(wake);
    /* Interrupts are off, so a kick after this check stays pending and ends the HLT. */
    if (!__atomic_load_n(&cpu->kicked, __ATOMIC_ACQUIRE))
        wait_for_interrupt();
    cpu->idle_ticks += rdtsc() - start;
}

void sched_loop(void)
{
    struct cpu *cpu = this_cpu();

    for (;;) {
        bool guests_turn = rdtsc() < cpu->guests_until, others;
        u64 wish = guests_turn ? 0 : ~0ULL;

        /* An exchange: after a mere store we could look for work before others see the store. A CPU that brings work in
         * between would find the flag set and send no interrupt. */
        (void)__atomic_exchange_n(&cpu->kicked, false, __ATOMIC_ACQ_REL);
        drop_departed(cpu);
        if (cpu->index == 0 && !guests_turn)
            wish = host_turn(cpu);

        u64 wake = MAX(wish, cpu->guests_until);
        struct vcpu *vcpu = sched_pick(cpu, &wake, &others);

        if (vcpu)
            sched_run(cpu, vcpu, wake, others || cpu->index == 0);
        else if (guests_turn)
            cpu->guests_until = 0; /* no vcpu wants the CPU, and a kick may have been for the host loop */
        else
            idle(cpu, MIN(wake, wish));
    }
}

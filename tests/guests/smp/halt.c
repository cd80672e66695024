/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All halt with interrupts off, and the machine must notice when nothing can wake any of them, but not before: an NMI
 * goes round, and whoever takes it is the only one awake. It sends the NMI on to the next, and halts at once.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"

#define PASSES 500
#define ALL_ASLEEP_US 20000

static volatile u32 passes, asleep;

static void pass_on(struct trap_frame *frame)
{
    (void)frame;
    if (++passes < PASSES)
        lapic_ipi((this_cpu()->id + 1) % nr_cpus, ICR_NMI);
    else
        kprintf("%u NMIs in all, now for good\n", passes);
}

static _Noreturn void halt_for_good(u64 arg)
{
    (void)arg;
    cli();
    __atomic_fetch_add(&asleep, 1, __ATOMIC_SEQ_CST);
    for (;;)
        asm volatile("hlt");
}

void all_halt(bool unstarted)
{
    if (unstarted)
        halt_for_good(0);
    trap_handle(X86_NMI, pass_on);
    FOR_EACH_AP(cpu)
    {
        report("it arrives", cpu_restart(cpu));
        cpu_give(cpu, halt_for_good, 0);
    }
    report("all others halt", AWAIT(asleep == nr_cpus - 1));
    clock_spin(ALL_ASLEEP_US); /* one that is awake keeps the machine alive */
    lapic_ipi(1, ICR_NMI);
    halt_for_good(0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* INIT takes a processor out of whatever it does; it starts again as new. */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"

#define VECTOR 0x91
#define TIMER 0x92
/* Longer than a turn of each processor that shares a physical one, or of each emulated one that shares a real one. */
#define QUIET_US 30000

static u32 startup(void)
{
    return ICR_STARTUP | (u32)((u64)ap_start >> 12);
}

/* As much as possible of what INIT has to clear. */
static void spin_littered(u64 arg)
{
    write_dr0(0x1234);
    lapic_write(LAPIC_TPR, 0xE0);
    lapic_timer(TIMER, LVT_PERIODIC, 200);
    spin_closed(arg);
}

static bool stands_still(void)
{
    clock_spin(QUIET_US);
    u64 rounds = spin_rounds;
    clock_spin(QUIET_US);
    return spin_rounds == rounds;
}

static void check_new(struct cpu *cpu)
{
    report_equal("with DR0 cleared", cpu->dr0, 0);
    report_equal("with its EFER cleared", cpu->arrival.efer, 0);
    report_equal("with the LAPIC disabled", cpu->svr, 0xFF);
    report_equal("with its priority 0", cpu->tpr, 0);
    report_equal("with its timer masked", cpu->lvt_timer & LVT_MASKED, LVT_MASKED);
    settle();
    report("what came before INIT is gone", !cpu->seen[VECTOR] && !cpu->seen[TIMER]);
}

static void test_running(struct cpu *cpu)
{
    report_prefix("init: running");
    spin_stop = false;
    spin_rounds = 0;
    seen_clear(VECTOR);
    seen_clear(TIMER);
    cpu_give(cpu, spin_littered, 0);
    report("it spins", AWAIT(spin_rounds > 1000));
    lapic_ipi(cpu->id, VECTOR);
    lapic_ipi(cpu->id, ICR_INIT);
    report("INIT stops it", AWAIT(stands_still()));
    lapic_ipi(cpu->id, VECTOR);
    report("nothing but a start-up IPI starts it", stands_still());
    report("it starts again", cpu_restart(cpu));
    check_new(cpu);
}

static void halt_for_good(u64 arg)
{
    (void)arg;
    cli();
    spin_rounds = 1;
    for (;;)
        asm volatile("hlt");
}

static void test_asleep(struct cpu *cpu)
{
    report_prefix("init: asleep");
    spin_rounds = 0;
    cpu_give(cpu, halt_for_good, 0);
    report("it sleeps with interrupts off", AWAIT(spin_rounds == 1));
    clock_spin(QUIET_US);
    report("it starts again", cpu_restart(cpu));
    settle();
}

static volatile bool in_nmi;

static void endless_nmi(struct trap_frame *frame)
{
    (void)frame;
    in_nmi = true;
    for (;;)
        spin_rounds++;
}

/* NMIs are blocked until an IRET that will not come: INIT ends that too. */
static void test_in_nmi(struct cpu *cpu)
{
    report_prefix("init: in an NMI");
    trap_handle(X86_NMI, endless_nmi);
    in_nmi = false;
    lapic_ipi(cpu->id, ICR_NMI);
    report("the handler stays", AWAIT(in_nmi));
    lapic_ipi(cpu->id, ICR_NMI);
    report("it starts again", cpu_restart(cpu));
    watch(X86_NMI);
    seen_clear(X86_NMI);
    settle();
    lapic_ipi(cpu->id, ICR_NMI);
    report("and takes NMIs", AWAIT(cpu->seen[X86_NMI]));
    settle();
    report_equal("one", cpu->seen[X86_NMI], 1);
}

/* Messages in a row, faster than they are looked at: the last one counts. */
static void test_last_word(struct cpu *cpu)
{
    u32 starts;

    report_prefix("init: last word");
    if (!boot.godwit) {
        report_skip("all", "QEMU takes an INIT before an earlier start-up IPI");
        return;
    }
    lapic_ipi(cpu->id, ICR_INIT);
    lapic_ipi(cpu->id, startup());
    lapic_ipi(cpu->id, ICR_INIT);
    clock_spin(2 * QUIET_US);
    starts = cpu->starts;
    lapic_ipi(cpu->id, startup());
    report("it waits for a start-up IPI after INIT", AWAIT(cpu->starts == starts + 1));
    settle();
}

void test_init(void)
{
    struct cpu *cpu = &cpus[nr_cpus - 1];

    watch(VECTOR);
    watch(TIMER);
    test_running(cpu);
    test_asleep(cpu);
    test_in_nmi(cpu);
    test_last_word(cpu);
    report_prefix("init");
    FOR_EACH_AP(other)
    report("each one starts again", cpu_restart(other));
    settle();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting the other processors, and giving them work. */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"

#define WAKE_VECTOR 0x40
#define INIT_DELAY_US 200
#define STARTUP_DELAY_US 200

struct cpu cpus[CPUS_MAX];
volatile bool spin_stop;
volatile u64 spin_rounds;

static void watch_handler(struct trap_frame *frame)
{
    this_cpu()->seen[frame->vector]++;
    if (frame->vector != X86_NMI)
        lapic_eoi();
}

void watch(u8 vector)
{
    trap_handle(vector, watch_handler);
}

void seen_clear(u8 vector)
{
    for (u32 i = 0; i < nr_cpus; i++)
        cpus[i].seen[vector] = 0;
}

static _Noreturn void work_loop(struct cpu *cpu)
{
    for (;;) {
        cli();
        if (!cpu->work) {
            sti_hlt();
            continue;
        }
        sti();
        cpu->work(cpu->arg);
        cpu->work = NULL;
    }
}

void ap_main(u32 id, const struct arrival *arrival)
{
    struct cpu *cpu = &cpus[id];

    wrmsr(MSR_GS_BASE, (u64)cpu);
    trap_init_cpu(&cpu->traps);
    cpu->arrival = *arrival;
    cpu->dr0 = read_dr0();
    cpu->dr7 = read_dr7();
    cpu->apic_base = rdmsr(MSR_APIC_BASE);
    if (lapic_is_x2apic() && !(cpu->apic_base & APIC_BASE_EXTD))
        lapic_x2apic();
    cpu->svr = lapic_read(LAPIC_SVR);
    cpu->ldr = lapic_read(LAPIC_LDR);
    cpu->tpr = lapic_read(LAPIC_TPR);
    cpu->lvt_timer = lapic_read(LAPIC_LVT_TIMER);
    lapic_enable();
    watch(WAKE_VECTOR);
    cpu->work = NULL;
    cpu->starts++;
    work_loop(cpu);
}

bool cpu_restart(struct cpu *cpu)
{
    u32 starts = cpu->starts, startup = ICR_STARTUP | (u32)((u64)ap_start >> 12);

    lapic_ipi(cpu->id, ICR_INIT);
    clock_spin(INIT_DELAY_US);
    lapic_ipi(cpu->id, startup);
    clock_spin(STARTUP_DELAY_US);
    lapic_ipi(cpu->id, startup);
    return AWAIT(cpu->starts != starts);
}

void cpu_give(struct cpu *cpu, void (*work)(u64 arg), u64 arg)
{
    cpu_done(cpu); /* with what it had before */
    cpu->arg = arg;
    cpu->work = work;
    lapic_ipi(cpu->id, WAKE_VECTOR);
}

bool cpu_done(struct cpu *cpu)
{
    return AWAIT(!cpu->work);
}

bool others_do(void (*work)(u64 arg), u64 arg)
{
    bool done = true;

    FOR_EACH_AP(cpu)
    cpu_give(cpu, work, arg);
    FOR_EACH_AP(cpu)
    done &= cpu_done(cpu);
    return done;
}

static void nothing(u64 arg)
{
    (void)arg;
}

void settle(void)
{
    if (!others_do(nothing, 0)) {
        report("every processor still answers", false);
        report_end();
    }
}

void spin_open(u64 arg)
{
    (void)arg;
    while (!spin_stop)
        spin_rounds++;
}

void spin_closed(u64 arg)
{
    cli();
    spin_open(arg);
    sti();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* smp: several processors start, know who they are, interrupt each other in every way, and share memory and time. */
#include "tests/guests/smp/smp.h"

#include <string.h>

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define CPUID_X2APIC BIT(21) /* CPUID.1:ECX */
#define TOPOLOGY_CORE 1      /* subleaf of CPUID.0B */
#define CR0_RESET 0x60000010
#define CR0_CACHES (CR0_CD | CR0_NW) /* an INIT leaves them as they were */
#define SVR_RESET 0xFF
#define DR7_RESET 0x400
#define APIC_BASE_BSP 0x100

const char guest_name[] = "smp";

u32 nr_cpus;

static void check_arrival(const struct cpu *cpu)
{
    const struct arrival *at = &cpu->arrival;

    report_equal("CS is the page of the start-up IPI", at->cs, (u64)ap_start >> 4);
    report_equal("the general registers are zero", at->registers, 0);
    report_equal("CR0", at->cr0 & ~CR0_CACHES, CR0_RESET & ~CR0_CACHES);
    report_equal("CR4", at->cr4, 0);
    report_equal("EFER", at->efer, 0);
    report_equal("DR0", cpu->dr0, 0);
    report_equal("DR7", cpu->dr7, DR7_RESET);
    report_equal("the LAPIC is disabled by software", cpu->svr, SVR_RESET);
    report_equal("its priority is 0", cpu->tpr, 0);
    report_equal("its timer is masked", cpu->lvt_timer & LVT_MASKED, LVT_MASKED);
    report_equal("it is no boot processor", cpu->apic_base & (APIC_BASE_BSP | APIC_BASE_ENABLE), APIC_BASE_ENABLE);
}

static void check_identity(u64 arg)
{
    struct cpu *cpu = this_cpu();
    struct cpuid leaf1 = cpuid(1, 0), topology = cpuid(0xB, TOPOLOGY_CORE);
    u32 id = lapic_read(LAPIC_ID);

    (void)arg;
    cpu->arg = (lapic_is_x2apic() ? id : id >> 24) == cpu->id && leaf1.ebx >> 24 == cpu->id &&
               (leaf1.ebx >> 16 & 0xFF) >= nr_cpus && topology.edx == cpu->id && topology.ebx == nr_cpus &&
               1U << topology.eax >= nr_cpus;
}

static void test_identity(void)
{
    report_prefix("identity");
    check_identity(0);
    report_equal("the first processor", cpus[0].arg, true);
    others_do(check_identity, 0);
    FOR_EACH_AP(cpu)
    report_equal("another one", cpu->arg, true);
}

static void test_start(void)
{
    report_prefix("start");
    FOR_EACH_AP(cpu)
    {
        report("INIT, start-up, start-up: it arrives", cpu_restart(cpu));
        if (!cpu->starts)
            report_end();
        check_arrival(cpu);
    }
    settle();
    FOR_EACH_AP(cpu)
    report_equal("it arrives once", cpu->starts, 1);
    FOR_EACH_AP(cpu)
    lapic_ipi(cpu->id, ICR_STARTUP | (u32)((u64)ap_start >> 12));
    settle();
    FOR_EACH_AP(cpu)
    report_equal("a start-up IPI means nothing to who runs", cpu->starts, 1);
}

static void test_all(bool x2apic)
{
    test_identity();
    test_fixed(x2apic);
    test_nmi();
    test_halted();
    test_timers();
    test_memory();
    test_init();
}

/* INIT keeps the mode of a LAPIC, so each processor changes it by itself when it arrives. */
static void test_x2apic(void)
{
    FOR_EACH_AP(cpu)
    lapic_ipi(cpu->id, ICR_INIT);
    lapic_x2apic();
    report_prefix("x2apic");
    FOR_EACH_AP(cpu)
    report("it arrives", cpu_restart(cpu));
    FOR_EACH_AP(cpu)
    report("again, with x2APIC mode kept over INIT",
           cpu_restart(cpu) && (cpu->apic_base & APIC_BASE_EXTD) && cpu->ldr == (cpu->id >> 4 << 16 | 1U << cpu->id));
    test_all(true);
}

static u64 number_of(const char *digits)
{
    u64 number = 0;

    for (; *digits >= '0' && *digits <= '9'; digits++)
        number = number * 10 + (u64)(*digits - '0');
    return number;
}

void guest_main(void)
{
    char how[16];

    for (u32 i = 0; i < CPUS_MAX; i++) {
        cpus[i].self = &cpus[i];
        cpus[i].id = i;
    }
    wrmsr(MSR_GS_BASE, (u64)&cpus[0]);
    lapic_enable();
    nr_cpus = cpuid(0xB, TOPOLOGY_CORE).ebx & 0xFFFF;
    kprintf("%u processors\n", nr_cpus);
    report("their number is one that we can take", nr_cpus >= 1 && nr_cpus <= CPUS_MAX);
    if (nr_cpus < 2 || nr_cpus > CPUS_MAX) {
        report_skip("all", "needs 2 to 8 processors");
        return;
    }
    if (boot_option("halt", how, sizeof(how)))
        all_halt(!strcmp(how, "unstarted"));
    sti();
    if (boot_option("pair", how, sizeof(how))) {
        pair(number_of(how));
        return;
    }
    test_start();
    test_all(false);
    report_prefix("x2apic");
    if (cpuid(1, 0).ecx & CPUID_X2APIC)
        test_x2apic();
    else
        report_skip("all", "not in CPUID");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* irq: interrupts arrive once, in time, in order of priority, at the right instruction; by both modes of the LAPIC. */
#include "tests/guests/irq/irq.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define DISARM_US 200000

#define CPUID_X2APIC BIT(21)       /* CPUID.1:ECX */
#define CPUID_TSC_DEADLINE BIT(24) /* CPUID.1:ECX */

const char guest_name[] = "irq";

volatile struct irq_seen irq_seen[256];

static void watch_handler(struct trap_frame *frame)
{
    irq_seen[frame->vector].count++;
    irq_seen[frame->vector].rip = frame->rip;
    lapic_eoi();
}

static void spurious_handler(struct trap_frame *frame)
{
    irq_seen[frame->vector].count++; /* no EOI: nothing is in service */
}

void irq_watch(u8 vector)
{
    irq_seen[vector].count = 0;
    irq_seen[vector].rip = 0;
    trap_handle(vector, watch_handler);
}

bool irq_await(u8 vector, unsigned count)
{
    u64 start = rdtsc();

    while (irq_seen[vector].count < count && rdtsc() - start < clock_ticks(LONG_US))
        pause();
    return irq_seen[vector].count >= count;
}

bool irq_await_pending(u8 vector)
{
    u64 start = rdtsc();

    while (!lapic_bit(LAPIC_IRR, vector) && rdtsc() - start < clock_ticks(LONG_US))
        pause();
    return lapic_bit(LAPIC_IRR, vector);
}

void irq_raise(u8 vector)
{
    lapic_self_ipi(vector);
    irq_await_pending(vector);
}

static void test_deadline(void)
{
    report_prefix("tsc deadline");
    if (!(cpuid(1, 0).ecx & CPUID_TSC_DEADLINE)) {
        report_skip("all", "not in CPUID");
        return;
    }
    irq_watch(TIMER_VECTOR);
    lapic_write(LAPIC_LVT_TIMER, LVT_DEADLINE | TIMER_VECTOR);
    sti();
    u64 deadline = rdtsc() + clock_ticks(2000);
    wrmsr(MSR_TSC_DEADLINE, deadline);
    report("arrives", irq_await(TIMER_VECTOR, 1));
    report("not before its time", rdtsc() >= deadline);
    report_equal("is disarmed by arriving", rdmsr(MSR_TSC_DEADLINE), 0);
    wrmsr(MSR_TSC_DEADLINE, 1);
    report("a deadline in the past arrives at once", irq_await(TIMER_VECTOR, 2));
    /* Far enough that a busy host doesn't let it pass between the two writes. */
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + clock_ticks(DISARM_US));
    wrmsr(MSR_TSC_DEADLINE, 0);
    clock_spin(DISARM_US + 3000);
    report_equal("zero disarms", irq_seen[TIMER_VECTOR].count, 2);
    cli();
    lapic_timer_stop();
}

void guest_main(void)
{
    lapic_enable();
    trap_handle(LAPIC_SPURIOUS_VECTOR, spurious_handler);
    kprintf("lapic id %x version %x\n", lapic_read(LAPIC_ID), lapic_read(LAPIC_VERSION));

    test_mmio_forms();
    test_timer("xapic");
    test_windows("xapic");
    test_priority("xapic");
    test_deadline();
    report_prefix("x2apic");
    if (cpuid(1, 0).ecx & CPUID_X2APIC)
        test_x2apic();
    else
        report_skip("all", "not in CPUID");
    report_prefix(NULL);
    report_equal("no spurious interrupt", irq_seen[LAPIC_SPURIOUS_VECTOR].count, 0);
}

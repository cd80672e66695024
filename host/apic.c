/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC (SDM 3A "Advanced Programmable Interrupt Controller"). x2APIC registers are the MSRs 0x800 + offset
 * / 16 of xAPIC's memory-mapped ones; only the interrupt command register differs in form.
 */
#include "host/apic.h"

#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/msr_index.h"
#include "host/traps.h"
#define LOG_PREFIX "apic"
#include "host/log.h"
#include "host/panic.h"
#include "host/host_map.h"

#define APIC_ID 0x020
#define APIC_VERSION 0x030
#define VERSION_MAX_LVT BITS(23, 16)
#define APIC_TPR 0x080
#define APIC_EOI 0x0B0
#define APIC_SPURIOUS 0x0F0
#define SPURIOUS_ENABLE BIT(8)
#define APIC_ICR_LOW 0x300
#define ICR_PENDING BIT(12)
#define ICR_ASSERT BIT(14)
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_CMCI 0x2F0 /* exists if the highest LVT entry is at least 6 */
#define APIC_LVT_TIMER 0x320
#define LVT_NMI (4 << 8)
#define LVT_MASKED BIT(16)
#define LVT_TSC_DEADLINE BIT(18)
#define APIC_LVT_THERMAL 0x330 /* ... at least 5 */
#define APIC_LVT_PERF 0x340    /* ... at least 4 */
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3E0
#define DIVIDE_BY_1 0xB

#define CPUID_1_ECX_X2APIC BIT(21)
#define CPUID_1_ECX_TSC_DEADLINE BIT(24)

#define ICR_PATIENCE_US 1000
#define ROUND_US 10000   /* time for which the timer is compared with the TSC */
#define ROUNDS 50        /* at most, as the timer only wakes us: */
#define GOOD_ENOUGH 1000 /* stop when the error is below 1000 ppm */
#define LATE_NS 2000000  /* an interrupt that has not come by then is lost */

/* Values of struct cpu's timer_deadline. */
#define TIMER_NOT_SET_UP 0
#define TIMER_OFF (~0ULL)

static struct {
    bool x2apic, tsc_deadline;
    volatile u32 *registers; /* xAPIC's window */
    u64 timer_hz;
} apic;

static u32 apic_read(u32 reg)
{
    return apic.x2apic ? (u32)rdmsr(MSR_X2APIC_FIRST + reg / 16) : apic.registers[reg / 4];
}

static void apic_write(u32 reg, u32 value)
{
    if (apic.x2apic)
        wrmsr(MSR_X2APIC_FIRST + reg / 16, value);
    else
        apic.registers[reg / 4] = value;
}

/* Choose the mode for all CPUs. Boot processor. */
static void mode_choose(void)
{
    u32 features = cpuid(1, 0).ecx;

    apic.x2apic = features & CPUID_1_ECX_X2APIC;
    apic.tsc_deadline = features & CPUID_1_ECX_TSC_DEADLINE;
    if (!apic.x2apic) {
        apic.registers = host_map_device(rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDR, PAGE_SIZE);
        assert(apic.registers);
    }
    pr_debug("%s, timer by %s", apic.x2apic ? "x2APIC" : "xAPIC", apic.tsc_deadline ? "TSC deadline" : "count");
}

/* An APIC that is off gets to x2APIC mode by way of xAPIC (SDM 3A "x2APIC State Transitions"). */
static void mode_enable(void)
{
    u64 base = rdmsr(MSR_APIC_BASE);

    if (!(base & APIC_BASE_EN))
        wrmsr(MSR_APIC_BASE, base |= APIC_BASE_EN);
    if (apic.x2apic && !(base & APIC_BASE_EXTD))
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD);
}

/* Mask all entries except the machine's NMI, which PCs wire to LINT1: the boot processor takes it. */
static void lvt_init(void)
{
    u64 highest = field_get(VERSION_MAX_LVT, apic_read(APIC_VERSION));

    apic_write(APIC_LVT_TIMER, LVT_MASKED | IRQ_TIMER);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, this_cpu()->index == 0 ? LVT_NMI : LVT_MASKED);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    if (highest >= 4)
        apic_write(APIC_LVT_PERF, LVT_MASKED);
    if (highest >= 5)
        apic_write(APIC_LVT_THERMAL, LVT_MASKED);
    if (highest >= 6)
        apic_write(APIC_LVT_CMCI, LVT_MASKED);
}

void apic_init(void)
{
    if (this_cpu()->index == 0)
        mode_choose();
    mode_enable();
    apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | IRQ_SPURIOUS);
    lvt_init();
    apic_write(APIC_TPR, 0);
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_TIMER_INITIAL, 0);
    this_cpu()->apic_id = apic.x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

/* x2APIC takes a command at once; xAPIC reports when it has taken it. */
void apic_send(u32 destination, u32 ipi)
{
    u32 command = ipi | ICR_ASSERT;

    if (apic.x2apic) {
        /* WRMSR to x2APIC registers is not serializing: what we wrote to memory must be visible before the IPI. */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC_FIRST + APIC_ICR_LOW / 16, (u64)destination << 32 | command);
        return;
    }
    apic_write(APIC_ICR_HIGH, destination << 24);
    apic_write(APIC_ICR_LOW, command);
    for (unsigned us = 0; us < ICR_PATIENCE_US && (apic_read(APIC_ICR_LOW) & ICR_PENDING); us++)
        clock_delay_us(1);
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/* A deadline beyond the counter's range fires early: the run loop then arms again. */
static void timer_arm_count(u64 deadline)
{
    u64 now = rdtsc(), count = 0;

    if (deadline != TIMER_OFF) {
        u64 ns = deadline > now ? clock_ticks_to_ns(deadline - now) : 0;
        /* Above 1 s the exact length doesn't matter, and ns * hz stays within 64 bits up to 18 GHz. */
        count = MIN(ns, 1000000000ULL) * apic.timer_hz / 1000000000ULL;
        count = MAX(MIN(count, 0xFFFFFFFFULL), 1ULL);
    }
    apic_write(APIC_TIMER_INITIAL, (u32)count);
}

void apic_timer_arm(u64 deadline)
{
    struct cpu *cpu = this_cpu();

    if (cpu->timer_deadline == deadline)
        return;
    if (cpu->timer_deadline == TIMER_NOT_SET_UP) {
        apic_write(APIC_LVT_TIMER, IRQ_TIMER | (apic.tsc_deadline ? LVT_TSC_DEADLINE : 0));
        /* Orders the memory-mapped LVT write before the MSR (SDM 3A "TSC-Deadline Mode"). */
        __asm__ volatile("mfence" : : : "memory");
    }
    cpu->timer_deadline = MAX(deadline, 1ULL);
    if (apic.tsc_deadline)
        wrmsr(MSR_TSC_DEADLINE, deadline == TIMER_OFF ? 0 : MAX(deadline, 1ULL));
    else
        timer_arm_count(deadline);
}

void apic_timer_fired(void)
{
    this_cpu()->timer_deadline = TIMER_OFF;
}

bool apic_timer_lost(void)
{
    u64 now = rdtsc(), deadline = this_cpu()->timer_deadline;

    if (deadline == TIMER_NOT_SET_UP || now < deadline || clock_ticks_to_ns(now - deadline) < LATE_NS)
        return false;
    apic_timer_fired();
    return true;
}

/* How much the APIC timer counts in some TSC ticks; their number may be wrong by *error. */
static u64 calibration_round(u64 *ticks, u64 *error)
{
    u64 start[2], end[2];
    u32 count;

    start[0] = rdtsc();
    apic_write(APIC_TIMER_INITIAL, 0xFFFFFFFF);
    start[1] = rdtsc();
    clock_delay_us(ROUND_US);
    end[0] = rdtsc();
    count = 0xFFFFFFFF - apic_read(APIC_TIMER_CURRENT);
    end[1] = rdtsc();
    *ticks = (end[1] + end[0] - start[1] - start[0]) / 2;
    *error = end[1] - end[0] + start[1] - start[0];
    return count;
}

/* Calibrate the APIC timer by the round that was disturbed least. */
void apic_timer_calibrate(void)
{
    u64 ticks = 0, error = ~0ULL, count = 0;

    this_cpu()->timer_deadline = TIMER_NOT_SET_UP;
    apic_write(APIC_LVT_TIMER, LVT_MASKED | IRQ_TIMER);
    for (int i = 0; i < ROUNDS && (i == 0 || error > ticks / GOOD_ENOUGH); i++) {
        u64 now_ticks, now_error, now_count = calibration_round(&now_ticks, &now_error);

        if (now_error >= error)
            continue;
        count = now_count;
        ticks = now_ticks;
        error = now_error;
    }
    apic.timer_hz = count * clock_tsc_khz() / ticks * 1000;
}

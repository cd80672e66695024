/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC in both of its modes. */
#include "tests/guests/kit/lapic.h"

#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "host/bits.h"

static bool x2apic;

u32 lapic_read(u32 reg)
{
    return x2apic ? (u32)rdmsr(MSR_X2APIC + reg / 16) : *lapic_mmio(reg);
}

void lapic_write(u32 reg, u32 value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + reg / 16, value);
    else
        *lapic_mmio(reg) = value;
}

void lapic_enable(void)
{
    lapic_write(LAPIC_SVR, SVR_ENABLE | LAPIC_SPURIOUS_VECTOR);
    lapic_write(LAPIC_TPR, 0);
}

void lapic_x2apic(void)
{
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_EXTD);
    x2apic = true;
}

bool lapic_is_x2apic(void)
{
    return x2apic;
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

bool lapic_bit(u32 reg, u8 vector)
{
    return lapic_read(reg + vector / 32 * 16) & BIT(vector % 32);
}

void lapic_self_ipi(u8 vector)
{
    lapic_write(LAPIC_ICR, ICR_SELF | ICR_ASSERT | vector);
}

void lapic_ipi(u32 destination, u32 command)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (u64)destination << 32 | ICR_ASSERT | command);
        return;
    }
    while (lapic_read(LAPIC_ICR) & ICR_PENDING)
        pause();
    lapic_write(LAPIC_ICR_HIGH, destination << 24);
    lapic_write(LAPIC_ICR, ICR_ASSERT | command);
}

void lapic_timer(u8 vector, u32 mode, u64 us)
{
    lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    lapic_write(LAPIC_LVT_TIMER, mode | vector);
    lapic_write(LAPIC_TIMER_INITIAL, (u32)MAX(us * clock_lapic_khz() / 1000, 1));
}

void lapic_timer_stop(void)
{
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
}

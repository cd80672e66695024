/* SPDX-License-Identifier: BSD-2-Clause */
/* Frequencies: Godwit publishes them by CPUID; elsewhere channel 2 of the 8254 gates a calibration. */
#include "tests/guests/kit/clock.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "config/guest_abi.h"

#define PIT_HZ 1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CH2_MODE0 0xB0 /* channel 2, both bytes, interrupt on terminal count */
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_OUT2 0x20
#define CALIBRATION_MS 10

static u64 tsc_khz, lapic_khz;

static void calibrate(void)
{
    u16 count = PIT_HZ / 1000 * CALIBRATION_MS;
    u64 start;

    lapic_enable();
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_1);
    outb(PORT_B, PORT_B_GATE2);
    outb(PIT_COMMAND, PIT_CH2_MODE0);
    outb(PIT_CHANNEL2, (u8)count);
    outb(PIT_CHANNEL2, (u8)(count >> 8));
    lapic_write(LAPIC_TIMER_INITIAL, ~0U);
    start = rdtsc();
    while (!(inb(PORT_B) & PORT_B_OUT2))
        ;
    tsc_khz = (rdtsc() - start) / CALIBRATION_MS;
    lapic_khz = (~0U - lapic_read(LAPIC_TIMER_CURRENT)) / CALIBRATION_MS;
    lapic_write(LAPIC_TIMER_INITIAL, 0);
}

void clock_init(void)
{
    if (boot.godwit && cpuid(GODWIT_CPUID_BASE, 0).eax >= GODWIT_CPUID_TIMING) {
        struct cpuid timing = cpuid(GODWIT_CPUID_TIMING, 0);

        tsc_khz = timing.eax;
        lapic_khz = timing.ebx;
    } else {
        calibrate();
    }
    if (!tsc_khz)
        tsc_khz = 1;
    if (!lapic_khz)
        lapic_khz = 1;
}

u64 clock_tsc_khz(void)
{
    return tsc_khz;
}

u64 clock_lapic_khz(void)
{
    return lapic_khz;
}

u64 clock_ticks(u64 us)
{
    return us * tsc_khz / 1000;
}

u64 clock_us(u64 ticks)
{
    return ticks * 1000 / tsc_khz;
}

void clock_spin(u64 us)
{
    u64 start = rdtsc();

    while (rdtsc() - start < clock_ticks(us))
        pause();
}

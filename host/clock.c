/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/clock.h"

#include "config/boot_info.h"
#include "host/apic.h"
#include "host/asm.h"
#include "host/reference.h"
#define LOG_PREFIX "clock"
#include "host/log.h"
#include "host/panic.h"
#include "host/frame.h"

static struct {
    u64 tsc_khz;
    u64 start;           /* TSC at clock_init's end */
    u64 ns_per_tick_32;  /* nanoseconds a tick, times 2^32 */
    u64 ticks_per_ns_32; /* ticks a nanosecond, times 2^32 */
} clock;

static const struct boot_info *firmware; /* while the clock is being set */

static const void *tables_at(hpa_t base, u64 size)
{
    for (u32 i = 0; i < firmware->nr_mem; i++) {
        const struct boot_info_mem *mem = &firmware->mem[i];

        if (mem->kind == MEM_ACPI && base >= mem->base && size <= mem->size && base - mem->base <= mem->size - size)
            return frame_window(base);
    }
    return NULL;
}

static void tsc_calibrate(void)
{
    struct acpi_timers timers = acpi_timers_find(tables_at, firmware->rsdp);
    struct reference references[CALIBRATE_REFERENCES];
    struct calibration found;

    found = calibrate(reference_stated_hz(), references, reference_find(&timers, references));
    if (!found.hz)
        panic("nothing counts by which the TSC can be calibrated: no HPET, no ACPI PM timer, no 8254");
    clock.tsc_khz = found.hz / 1000;
    clock.ns_per_tick_32 = (1000000ULL << 32) / clock.tsc_khz;
    clock.ticks_per_ns_32 = (clock.tsc_khz << 32) / 1000000;
    pr_info("TSC %lu kHz by %s, %s%s, error %lu ppm", clock.tsc_khz, found.source,
            found.confirmed ? "confirmed by " : "confirmed by none", found.confirmed ?: "",
            found.error * 1000000 / found.hz);
}

void clock_init(const struct boot_info *boot_info)
{
    firmware = boot_info;
    tsc_calibrate();
    apic_timer_calibrate();
    clock.start = rdtsc();
}

u64 clock_tsc_khz(void)
{
    return clock.tsc_khz;
}

static u64 multiply_32(u64 value, u64 factor_32)
{
    return (u64)((unsigned __int128)value * factor_32 >> 32);
}

u64 clock_ns(void)
{
    return clock.start ? clock_ticks_to_ns(rdtsc() - clock.start) : 0;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return multiply_32(ns, clock.ticks_per_ns_32);
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return multiply_32(ticks, clock.ns_per_tick_32);
}

void clock_delay_us(u32 us)
{
    u64 start = rdtsc(), ticks = clock_ns_to_ticks((u64)us * 1000);

    while (rdtsc() - start < ticks)
        cpu_relax();
}

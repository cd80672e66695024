/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/clock.h"

#include "config/boot_info.h"
#include "host/apic.h"
#include "host/asm.h"
#include "host/reference.h"
#define LOG_PREFIX "clock"
#include "host/log.h"
#include "host/panic.h"
#include "host/layout.h"

#define APIC_US 10000         /* time for which the APIC timer is compared with the TSC */
#define APIC_ROUNDS 50        /* at most, as this timer only wakes us: */
#define APIC_GOOD_ENOUGH 1000 /* stop when the error is below 1000 ppm */

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
            return phys_to_virt(base);
    }
    return NULL;
}

static void frequency_set(u64 hz)
{
    clock.tsc_khz = hz / 1000;
    clock.ns_per_tick_32 = (1000000ULL << 32) / clock.tsc_khz;
    clock.ticks_per_ns_32 = (clock.tsc_khz << 32) / 1000000;
}

static void tsc_calibrate(void)
{
    struct acpi_timers timers = acpi_timers_find(tables_at, firmware->rsdp);
    struct reference references[CALIBRATE_REFERENCES];
    struct calibration found;

    found = calibrate(reference_stated_hz(), references, reference_find(&timers, references));
    if (!found.hz)
        panic("nothing counts by which the TSC can be calibrated: no HPET, no ACPI PM timer, no 8254");
    frequency_set(found.hz);
    pr_info("TSC %lu kHz by %s, %s%s, error %lu ppm", clock.tsc_khz, found.source,
            found.confirmed ? "confirmed by " : "confirmed by none", found.confirmed ?: "",
            found.error * 1000000 / found.hz);
}

/* How much the APIC timer counts in some TSC ticks; their number may be wrong by *error. */
static u64 apic_count(u64 *ticks, u64 *error)
{
    u64 start[2], end[2];
    u32 count;

    start[0] = rdtsc();
    apic_timer_start_raw();
    start[1] = rdtsc();
    clock_delay_us(APIC_US);
    end[0] = rdtsc();
    count = 0xFFFFFFFF - apic_timer_read_raw();
    end[1] = rdtsc();
    *ticks = (end[1] + end[0] - start[1] - start[0]) / 2;
    *error = end[1] - end[0] + start[1] - start[0];
    return count;
}

/* Calibrate the APIC timer by the round that was disturbed least. */
static void apic_calibrate(void)
{
    u64 ticks = 0, error = ~0ULL, count = 0;

    for (int i = 0; i < APIC_ROUNDS && (i == 0 || error > ticks / APIC_GOOD_ENOUGH); i++) {
        u64 now_ticks, now_error, now_count = apic_count(&now_ticks, &now_error);

        if (now_error >= error)
            continue;
        count = now_count;
        ticks = now_ticks;
        error = now_error;
    }
    apic_timer_set_hz(count * clock.tsc_khz / ticks * 1000);
}

void clock_init(const struct boot_info *boot_info)
{
    firmware = boot_info;
    tsc_calibrate();
    apic_calibrate();
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

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calibration against channel 2 of the 8254 (82C54 data sheet), whose frequency is the same in every PC and emulator.
 *
 * The channel counts CALIBRATION_COUNT down once, while we poll its output. It started between two TSC readings
 * around the last byte of its count, and ended between one before the last poll that saw it run and one after the
 * poll that didn't; so the length is known as well as each two are close together. An emulator's thread may lose its
 * host processor just then: so there are more rounds, until what all of them leave possible is little.
 *
 * The local APIC's timer is held against the TSC, in the round that did so in the least time.
 */
#include "hv/cpu/clock.h"

#include "hv/cpu/apic.h"
#include "hv/cpu/asm.h"
#define LOG_PREFIX "clock"
#include "hv/lib/bits.h"
#include "hv/lib/log.h"
#include "hv/lib/panic.h"

#define PIT_HZ 1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_ONE_SHOT 0xB0 /* low byte then high byte, mode 0 */
#define PORT_61 0x61
#define PORT_61_GATE2 0x01
#define PORT_61_SPEAKER 0x02
#define PORT_61_OUT2 0x20

#define CALIBRATION_COUNT (PIT_HZ / 20) /* 50 ms; 16 bits hold 54 */
#define CALIBRATION_ROUNDS 50           /* at most; one or two do, unless the emulator's host is overloaded */
#define CALIBRATION_POLLS 10000000      /* several times what a round can take */
#define GOOD_ENOUGH 10000               /* stop when the error is below 100 ppm: two machines' are within 250 */
#define APIC_GOOD_ENOUGH 1000           /* the same of the APIC timer, which only wakes us */

static struct {
    u64 tsc_khz;
    u64 start;           /* TSC at clock_init's end */
    u64 ns_per_tick_32;  /* nanoseconds a tick, times 2^32 */
    u64 ticks_per_ns_32; /* ticks a nanosecond, times 2^32 */
} clock;

/* What is known of the TSC ticks of CALIBRATION_COUNT, and of the APIC timer's ticks in some of the TSC's. */
struct measured {
    u64 least, most;
    u64 apic_ticks, ticks, error;
};

/* Bring a count of the 8254 and one of the APIC timer about. */
static struct measured measure(void)
{
    u8 control = inb(PORT_61) & ~(PORT_61_SPEAKER | PORT_61_GATE2);
    u64 apic_start[2], start[2], end[2], apic_end;
    u32 count;

    outb(PORT_61, control | PORT_61_GATE2);
    outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
    outb(PIT_CHANNEL2, CALIBRATION_COUNT & 0xFF);
    apic_start[0] = rdtsc();
    apic_timer_start_raw();
    apic_start[1] = start[0] = rdtsc();
    outb(PIT_CHANNEL2, CALIBRATION_COUNT >> 8); /* starts the count */
    start[1] = end[0] = rdtsc();
    for (unsigned i = 0;; i++) {
        u64 before = rdtsc();

        if (inb(PORT_61) & PORT_61_OUT2)
            break;
        end[0] = before;
        if (i == CALIBRATION_POLLS)
            panic("the 8254 doesn't count: no clock");
    }
    end[1] = rdtsc();
    count = 0xFFFFFFFF - apic_timer_read_raw();
    apic_end = rdtsc();
    outb(PORT_61, control);
    return (struct measured){
        .least = end[0] - start[1],
        .most = end[1] - start[0],
        .apic_ticks = count,
        .ticks = (end[1] + apic_end - apic_start[0] - apic_start[1]) / 2,
        .error = apic_end - end[1] + apic_start[1] - apic_start[0],
    };
}

/* What both leave possible. */
static struct measured both(const struct measured *a, const struct measured *b)
{
    struct measured m = a->error < b->error ? *a : *b;

    m.least = MAX(a->least, b->least);
    m.most = MIN(a->most, b->most);
    return m;
}

static u64 ticks_of(const struct measured *m)
{
    return (m->least + m->most) / 2;
}

static bool is_vague(const struct measured *m)
{
    return m->most - m->least > ticks_of(m) / GOOD_ENOUGH * 2 || m->error > m->ticks / APIC_GOOD_ENOUGH;
}

static void frequencies_set(const struct measured *m)
{
    u64 hz = ticks_of(m) * PIT_HZ / CALIBRATION_COUNT;

    clock.tsc_khz = hz / 1000;
    clock.ns_per_tick_32 = (1000000ULL << 32) / clock.tsc_khz;
    clock.ticks_per_ns_32 = (clock.tsc_khz << 32) / 1000000;
    apic_timer_set_hz(m->apic_ticks * hz / m->ticks); /* below 2^64 as long as a round takes less than a second */
}

void clock_init(void)
{
    struct measured known = measure();

    for (int i = 1; i < CALIBRATION_ROUNDS && is_vague(&known); i++) {
        struct measured now = measure(), more = both(&known, &now);

        /* A round in which one of the counters was disturbed contradicts the others. */
        known = more.least <= more.most ? more : now;
    }
    frequencies_set(&known);
    clock.start = rdtsc();
    if (is_vague(&known))
        pr_warn("TSC %lu kHz is only known within %lu ppm", clock.tsc_khz,
                (known.most - known.least) * 500000 / ticks_of(&known));
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

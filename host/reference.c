/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each reading of the TSC is ordered with that of the counter between: otherwise the processor may do the load from a
 * device's register after the RDTSC that follows it (SDM 2B "RDTSC").
 */
#include "host/reference.h"

#include "host/asm.h"
#include "host/bits.h"
#include "host/host_map.h"

/* HPET (IA-PC HPET 1.0a); the lower halves of its registers. */
#define HPET_PERIOD 0x004 /* femtoseconds of a tick */
#define HPET_PERIOD_LEAST (FEMTOSECONDS / CALIBRATE_MAX_HZ)
#define HPET_PERIOD_MOST 0x05F5E100
#define HPET_CONFIGURATION 0x010
#define HPET_ENABLE BIT(0)
#define HPET_COUNTER 0x0F0
#define HPET_BYTES 0x400
#define FEMTOSECONDS 1000000000000000ULL

/* ACPI 6.0 "Power Management Timer" */
#define PM_TIMER_HZ 3579545
#define PM_TIMER_MASK BITS(23, 0)

/* 82C54 data sheet */
#define PIT_HZ 1193182
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_CHANNEL2_ONE_SHOT 0xB0 /* low byte then high byte, mode 0 */
#define PIT_CHANNEL2_LATCH 0x80
#define PIT_CHANNEL2_STATUS 0xE8 /* read-back command: latch the status */
#define PIT_STATUS_NULL_COUNT 0x40
#define PIT_MAX 0xFFFF
#define PIT_TAKES_COUNT 1000 /* several times the polls that it needs to take a count */
#define PORT_61 0x61
#define PORT_61_GATE2 0x01
#define PORT_61_SPEAKER 0x02
#define PORT_61_OUT2 0x20

static volatile u32 *hpet;
static u16 pm_port;

static u64 tsc_in_order(void)
{
    __asm__ volatile("lfence" ::: "memory");

    u64 tsc = rdtsc();

    __asm__ volatile("lfence" ::: "memory");
    return tsc;
}

/* --- HPET --- */

static bool hpet_start(void)
{
    hpet[HPET_CONFIGURATION / 4] |= HPET_ENABLE;
    return true;
}

static bool hpet_read(struct reading *reading)
{
    reading->before = tsc_in_order();
    reading->count = hpet[HPET_COUNTER / 4];
    reading->after = tsc_in_order();
    return true;
}

/*
 * Is the firmware's address usable? An address that is too wide for a page table would fault, and so would registers
 * that leave the page that we map.
 */
static bool hpet_may_be_at(hpa_t base)
{
    u32 bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xFF : 36;

    return is_aligned(base, sizeof(u64)) && base % PAGE_SIZE <= PAGE_SIZE - HPET_BYTES && base >> bits == 0;
}

/* False: there is no HPET at that address. */
static bool hpet_find(hpa_t base, struct reference *reference)
{
    u32 period;

    if (!hpet_may_be_at(base))
        return false;
    hpet = host_map_device(align_down(base, PAGE_SIZE), PAGE_SIZE);
    if (!hpet)
        return false;
    hpet += base % PAGE_SIZE / sizeof(*hpet);
    period = hpet[HPET_PERIOD / 4];
    if (period < HPET_PERIOD_LEAST || period > HPET_PERIOD_MOST)
        return false;
    *reference = (struct reference){ "HPET", FEMTOSECONDS / period, BITS(31, 0), hpet_start, hpet_read };
    return true;
}

/* --- ACPI PM timer --- */

static bool pm_read(struct reading *reading)
{
    reading->before = tsc_in_order();
    reading->count = inl(pm_port) & PM_TIMER_MASK;
    reading->after = tsc_in_order();
    return true;
}

/* --- 8254: channel 2 counts down, once, from PIT_MAX, which takes 54 ms --- */

static bool pit_read(struct reading *reading)
{
    u32 left;

    reading->before = tsc_in_order();
    outb(PIT_COMMAND, PIT_CHANNEL2_LATCH);
    reading->after = tsc_in_order();
    left = inb(PIT_CHANNEL2);
    left |= (u32)inb(PIT_CHANNEL2) << 8;
    reading->count = PIT_MAX - left;
    return !(inb(PORT_61) & PORT_61_OUT2);
}

/* The 8254 takes a new count with its next tick; until then the old one would be read. */
static bool pit_has_count(void)
{
    outb(PIT_COMMAND, PIT_CHANNEL2_STATUS);
    return !(inb(PIT_CHANNEL2) & PIT_STATUS_NULL_COUNT);
}

static bool pit_start(void)
{
    u8 control = inb(PORT_61) & ~(PORT_61_SPEAKER | PORT_61_GATE2);

    outb(PORT_61, control | PORT_61_GATE2);
    outb(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
    outb(PIT_CHANNEL2, PIT_MAX & 0xFF);
    outb(PIT_CHANNEL2, PIT_MAX >> 8);
    for (unsigned i = 0; i < PIT_TAKES_COUNT; i++)
        if (pit_has_count())
            return true;
    return false;
}

unsigned reference_find(const struct acpi_timers *timers, struct reference *references)
{
    unsigned n = 0;

    if (timers->hpet && hpet_find(timers->hpet, &references[n]))
        n++;
    pm_port = timers->pm_port;
    if (pm_port)
        references[n++] = (struct reference){ "ACPI PM timer", PM_TIMER_HZ, PM_TIMER_MASK, NULL, pm_read };
    references[n++] = (struct reference){ "8254", PIT_HZ, PIT_MAX, pit_start, pit_read };
    return n;
}

u64 reference_stated_hz(void)
{
    u32 highest = cpuid(0, 0).eax;
    struct cpuid_regs ratio = highest >= 0x15 ? cpuid(0x15, 0) : (struct cpuid_regs){ 0 };

    if (ratio.eax && ratio.ebx && ratio.ecx)
        return (u64)ratio.ecx * ratio.ebx / ratio.eax;
    /* Without the crystal's frequency: the base frequency in MHz, rounded on some processors. */
    return highest >= 0x16 && ratio.eax && ratio.ebx ? (u64)(u16)cpuid(0x16, 0).eax * 1000000 : 0;
}

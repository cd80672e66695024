/* SPDX-License-Identifier: BSD-2-Clause */
/* hello: the first guest to try. Says what it sees of its machine, and what an exit costs. */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define ROUNDS 1000
#define WARM_UP 100

const char guest_name[] = "hello";

static void machine_print(void)
{
    kprintf("hello from long mode\n");
    kprintf("command line: '%s'\n", boot.cmdline);
    for (u32 i = 0; i < boot.nr_regions; i++) {
        const struct memory_region *r = &boot.region[i];

        kprintf("memory 0x%09lx-0x%09lx %s\n", r->base, r->base + r->size, r->kind == MEMORY_RAM ? "ram" : "reserved");
    }
    kprintf("cpu %s, hypervisor %s\n", boot.vendor, boot.hypervisor[0] ? boot.hypervisor : "none");
    kprintf("tsc %lu kHz, lapic timer %lu kHz\n", clock_tsc_khz(), clock_lapic_khz());
    kprintf("tsc at entry: %lu ticks\n", boot_tsc);
}

static void do_nothing(void)
{
    asm volatile("");
}

static void do_cpuid(void)
{
    cpuid(0, 0);
}

/* Print the cost of fn, in ticks of the time stamp counter. */
static u64 measure(const char *what, void (*fn)(void))
{
    u64 min = ~0ULL, sum = 0;

    for (int i = 0; i < WARM_UP; i++)
        fn();
    for (int i = 0; i < ROUNDS; i++) {
        u64 start = rdtsc(), ticks;

        fn();
        ticks = rdtsc() - start;
        min = MIN(min, ticks);
        sum += ticks;
    }
    kprintf("%s: %lu ticks (min), %lu (mean)\n", what, min, sum / ROUNDS);
    return sum;
}

void guest_main(void)
{
    u64 started = rdtsc();

    machine_print();
    report("the time stamp counter runs forward", started > boot_tsc);
    report("a memory map with this image in it", boot_is_ram((u64)image_start, (u64)image_end - (u64)image_start));
    report("long mode is active", (rdmsr(MSR_EFER) & (EFER_LME | EFER_LMA)) == (EFER_LME | EFER_LMA));
    measure("empty loop", do_nothing);
    report("time passes over cpuid exits", measure("cpuid exit", do_cpuid) > 0);
    kprintf("up for %lu us\n", clock_us(rdtsc() - boot_tsc));
}

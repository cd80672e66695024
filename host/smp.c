/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting processors, kicking them, and stopping them in a panic.
 *
 * Processors are started one after the other, so one set of parameters in the trampoline page is enough.
 */
#include "host/smp.h"

#include <string.h>

#include "host/trampoline.h"
#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/traps.h"
#define LOG_PREFIX "smp"
#include "host/log.h"
#include "host/panic.h"
#include "host/host_map.h"
#include "host/bits.h"
#include "host/frame.h"

/* The 10 ms of SDM 3A "MP Initialization Protocol" are for processors older than virtualization. */
#define INIT_DELAY_US 100
#define STARTUP_DELAY_US 200
/* Generous: an emulated processor is a thread of a machine that may be busy. */
#define START_TIMEOUT_US 1000000
#define STOP_TIMEOUT_US 100000
#define TRAMPOLINE_CODE32 0x08
#define TRAMPOLINE_CODE64 0x10

static struct {
    void (*entry)(void);
    u64 hello; /* TSC of the starting CPU when it came online */
} start;

static struct {
    bool asked;
    u32 stopped; /* CPUs that have obeyed; atomic */
} stop;

void smp_park(void)
{
    apic_send(0, IPI_INIT | IPI_OTHERS);
}

/* A started processor's first C code, on its own stack. */
static void __attribute__((noreturn)) cpu_start(struct cpu *cpu)
{
    cpu_init(cpu);
    apic_init();
    start.hello = rdtsc();
    __atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE); /* after start.hello */
    /* If the starter gives up on us, its INIT stops us here: we hold no lock then. */
    while (cpu_count() <= cpu->index)
        cpu_relax();
    start.entry();
    panic("a CPU's entry function returned");
}

/* Where the trampoline's byte `place` will be. */
static u32 trampoline_address(u64 page, const char *place)
{
    return (u32)(page + (u64)(place - trampoline_start));
}

static struct trampoline_params *trampoline_params(u64 page)
{
    return (struct trampoline_params *)((char *)frame_window(page) + TRAMPOLINE_PARAMS);
}

/*
 * Copy the code and fill in what is the same for all CPUs. The page is written by the direct map and run by the
 * identity map.
 */
static int trampoline_init(u64 page)
{
    assert(is_aligned(page, PAGE_SIZE) && page < MiB(1) && host_map_root() < GiB(4));
    assert(trampoline_end - trampoline_start <= TRAMPOLINE_PARAMS);
    memcpy(frame_window(page), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    *trampoline_params(page) = (struct trampoline_params){
        .cr3 = (u32)host_map_root(),
        .far32 = trampoline_address(page, trampoline_32),
        .selector32 = TRAMPOLINE_CODE32,
        .far64 = trampoline_address(page, trampoline_64),
        .selector64 = TRAMPOLINE_CODE64,
        .gdt_limit = (u16)(trampoline_gdt_end - trampoline_gdt - 1),
        .gdt_base = trampoline_address(page, trampoline_gdt),
        .entry = (u64)cpu_start,
    };
    return host_map(page, page, PAGE_SIZE, HOST_X);
}

static bool wait_online(const struct cpu *cpu, u32 us)
{
    u64 deadline = rdtsc() + clock_ns_to_ticks((u64)us * 1000);

    while (!__atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE)) {
        if (rdtsc() > deadline)
            return false;
        cpu_relax();
    }
    return true;
}

/* INIT-SIPI-SIPI; the second start-up IPI only if the first was not enough. */
static bool cpu_wake(const struct cpu *cpu, u64 page)
{
    apic_send(cpu->apic_id, IPI_INIT);
    clock_delay_us(INIT_DELAY_US);
    apic_send(cpu->apic_id, IPI_STARTUP | (u32)(page >> PAGE_SHIFT));
    if (wait_online(cpu, STARTUP_DELAY_US))
        return true;
    apic_send(cpu->apic_id, IPI_STARTUP | (u32)(page >> PAGE_SHIFT));
    return wait_online(cpu, START_TIMEOUT_US);
}

/* The other CPU's greeting must lie between our TSC's values before and after, or the TSCs are not synchronous. */
static void tsc_check(const struct cpu *cpu, u64 before)
{
    u64 after = rdtsc();

    if (start.hello < before || start.hello > after)
        pr_warn("cpu%u: TSC differs from cpu0's: %ld ticks; time will be wrong", cpu->index,
                (long)(start.hello - (start.hello < before ? before : after)));
}

static void cpu_bring_up(u32 apic_id, u64 page)
{
    struct cpu *cpu = cpu_create(apic_id);
    struct trampoline_params *params = trampoline_params(page);
    u64 before = rdtsc();

    if (!cpu) {
        pr_warn("APIC id %u: no memory, left out", apic_id);
        return;
    }
    params->stack = cpu->stack_top;
    params->argument = (u64)cpu;
    __atomic_store_n(&params->turn, 1, __ATOMIC_RELEASE); /* after the rest */
    if (cpu_wake(cpu, page)) {
        tsc_check(cpu, before);
        cpu_add(cpu);
        return;
    }
    /* However far the CPU has come, INIT makes it wait for a start-up IPI again, and none will come. */
    apic_send(apic_id, IPI_INIT);
    __atomic_store_n(&params->turn, 0, __ATOMIC_RELEASE);
    pr_warn("APIC id %u doesn't answer, left out", apic_id);
}

void smp_start(const u32 *apic_ids, u32 count, u32 limit, u64 trampoline, void (*entry)(void))
{
    u32 wanted = MIN(MIN(count, limit ? limit : count), (u32)MAX_CPUS);

    start.entry = entry;
    if (wanted < 2)
        return;
    if (trampoline == 0 || trampoline_init(trampoline) != 0) {
        pr_warn("no page for starting processors, %u left out", wanted - 1);
        return;
    }
    for (u32 i = 0; i < count && cpu_count() < wanted; i++)
        if (apic_ids[i] != this_cpu()->apic_id)
            cpu_bring_up(apic_ids[i], trampoline);
    host_unmap_page(trampoline);
}

void cpu_kick(u32 index)
{
    struct cpu *cpu = cpu_at(index);

    /* An earlier kick that its run loop has not seen yet serves for this one, too. */
    if (!__atomic_exchange_n(&cpu->kicked, true, __ATOMIC_ACQ_REL))
        apic_send(cpu->apic_id, IPI_FIXED | IRQ_KICK);
}

void smp_stop_others(void)
{
    u32 count = cpu_count();

    __atomic_store_n(&stop.asked, true, __ATOMIC_RELEASE);
    for (u32 i = 0; i < count; i++)
        if (i != this_cpu()->index)
            apic_send(cpu_at(i)->apic_id, IPI_NMI);
    for (u32 us = 0; us < STOP_TIMEOUT_US && __atomic_load_n(&stop.stopped, __ATOMIC_ACQUIRE) < count - 1; us++)
        clock_delay_us(1);
}

void smp_stop_if_asked(void)
{
    if (!__atomic_load_n(&stop.asked, __ATOMIC_ACQUIRE))
        return;
    __atomic_fetch_add(&stop.stopped, 1, __ATOMIC_ACQ_REL);
    halt_forever();
}

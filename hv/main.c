/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition root: the boot, step by step, and the only file that knows all rooms. docs/boot.md tells the story.
 */
#include "boot/handoff.h"
#include "hv/backend.h"
#include "hv/control/api.h"
#include "hv/control/monitor.h"
#include "hv/cpu/apic.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/clock.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/serial.h"
#include "hv/cpu/smp.h"
#include "hv/cpu/traps.h"
#include "hv/cpuid.h"
#include "hv/dev/platform.h"
#include "hv/launch.h"
#include "hv/lib/log.h"
#include "hv/lib/panic.h"
#include "hv/lib/symbols.h"
#include "hv/load.h"
#include "hv/cpu/platform.h"
#include "hv/sched.h"
#include "hv/start.h"
#include "hv/version.h"
#include "migrate/asking.h"
#include "migrate/migration.h"
#include "mm/frame.h"
#include "mm/host_map.h"
#include "mm/layout.h"
#include "net/stack.h"
#include "net/uplink.h"

/* Our copy: the loader's memory is given back. */
static struct handoff handoff;
static u64 tsc_start; /* our first instruction in C */

static void handoff_check(const struct handoff *given)
{
    if (given->magic != HANDOFF_MAGIC || given->version != HANDOFF_VERSION || given->size != sizeof(*given))
        panic("hand-over: magic %lx version %u size %u, expected %llx, %u and %lu: the loader is of another build",
              given->magic, given->version, given->size, HANDOFF_MAGIC, HANDOFF_VERSION, sizeof(*given));
}

static void config_apply(const struct config *config)
{
    log_set_level((enum log_level)config->log); /* same order: boot/config.h */
    platform_set_halt(config->exit == CONFIG_EXIT_HALT);
}

static void phase(const char *name, u64 from, u64 to)
{
    pr_info("phase %s: %lu us", name, clock_ticks_to_ns(to - from) / 1000);
}

static void report_phases(void)
{
    phase("files", handoff.tsc.loader_entry, handoff.tsc.files_loaded);
    phase("firmware", handoff.tsc.files_loaded, handoff.tsc.handover);
    phase("entry", handoff.tsc.handover, tsc_start);
    phase("init", tsc_start, rdtsc());
}

/* RAM of the machine, firmware's share included: what the map names below the top of what is usable. */
static u64 ram_size(void)
{
    u64 top = 0, size = 0;

    for (u32 i = 0; i < handoff.nr_mem; i++)
        if (handoff.mem[i].kind == MEM_USABLE)
            top = handoff.mem[i].base + handoff.mem[i].size;
    for (u32 i = 0; i < handoff.nr_mem; i++)
        if (handoff.mem[i].base < top && handoff.mem[i].kind != MEM_MMIO)
            size += handoff.mem[i].size;
    return size;
}

static void report_machine(void)
{
    struct frame_stats memory = frame_stats();
    u64 ram = ram_size();

    pr_info("%u of %u processors, TSC %lu kHz", cpu_count(), handoff.nr_cpus, clock_tsc_khz());
    pr_info("memory: %lu MiB of %lu MiB free; not for guests: %lu KiB", memory.free >> 8, ram >> 20,
            (ram >> 10) - memory.free * 4);
}

/* Where each further processor ends its boot. */
static void cpu_entry(void)
{
    backend_cpu_on();
    sched_loop();
}

/* What guests need, before the first other processor looks for work. */
static void virtualization_init(void)
{
    cpuid_init();
    load_init();
    if (backend_init())
        platform_end(END_FAILED);
    sched_add_host_work(net_poll);
    sched_end_rounds_with(uplink_flush);
    platform_devices_init(); /* guests' devices have their turn after the network, to see in it what it has for them */
}

/* On cpu 0's own stack, with our own page tables. */
static void boot(void)
{
    symbols_init(phys_to_virt(handoff.file[0].base), handoff.file[0].size);
    apic_init();
    smp_park();
    clock_init(&handoff);
    pr_info("%s %s", GODWIT_NAME, GODWIT_VERSION);
    net_init();
    virtualization_init();
    net_start(&handoff.config.net);
    smp_start(handoff.apic_id, handoff.nr_cpus, handoff.config.cpus, handoff.trampoline, cpu_entry);
    host_map_reclaim_loader(&handoff);
    report_machine();
    report_phases();
    migration_init(&handoff.config.migration);
    api_init(&handoff.config.api);
    sched_add_host_work(log_poll);
    monitor_init();
    launch_guests(&handoff);
    asking_start(&handoff.config);
    sched_loop();
}

void hv_main(const struct handoff *given)
{
    tsc_start = rdtsc();
    serial_init();
    traps_init();
    cpu_init_boot(given->apic_id[0]); /* from here on there is a log, and panic works */
    handoff_check(given);
    handoff = *given;
    config_apply(&handoff.config);
    host_map_init(&handoff); /* and the frame allocator */
    if (cpu_stacks_init(this_cpu()) != 0)
        panic("no memory for the boot processor's stacks");
    stack_enter(this_cpu()->stack_top, boot);
}

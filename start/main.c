/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition root: the boot, step by step, and the only file that knows all rooms. docs/boot.md tells the story.
 */
#include "config/boot_info.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "hv/backend.h"
#include "control/api.h"
#include "control/monitor.h"
#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "host/serial.h"
#include "host/smp.h"
#include "host/traps.h"
#include "hv/cpuid.h"
#include "dev/platform.h"
#include "start/keys.h"
#include "start/launch.h"
#include "host/log.h"
#include "host/panic.h"
#include "host/symbols.h"
#include "hv/resident.h"
#include "host/machine_end.h"
#include "hv/sched.h"
#include "start/start.h"
#include "config/version.h"
#include "owners/asking.h"
#include "owners/witness.h"
#include "owners/witness_watch.h"
#include "migrate/migration.h"
#include "protect/protection.h"
#include "host/frame.h"
#include "host/host_map.h"
#include "net/stack.h"
#include "net/uplink.h"

/* Our copy: the loader's memory is given back. */
static struct boot_info boot_info;
static u64 tsc_start; /* when our first C code ran */

static void boot_info_check(const struct boot_info *given)
{
    if (given->magic != BOOT_INFO_MAGIC || given->version != BOOT_INFO_VERSION || given->size != sizeof(*given))
        panic("hand-over: magic %lx version %u size %u, expected %llx, %u and %lu: the loader is of another build",
              given->magic, given->version, given->size, BOOT_INFO_MAGIC, BOOT_INFO_VERSION, sizeof(*given));
}

static void config_apply(const struct config *config)
{
    log_set_level((enum log_level)config->log); /* both enums have the same order: config/config.h */
    machine_set_halt(config->exit == CONFIG_EXIT_HALT);
}

static void phase(const char *name, u64 from, u64 to)
{
    pr_info("phase %s: %lu us", name, clock_ticks_to_ns(to - from) / 1000);
}

static void report_phases(void)
{
    phase("files", boot_info.tsc.loader_entry, boot_info.tsc.files_loaded);
    phase("firmware", boot_info.tsc.files_loaded, boot_info.tsc.handover);
    phase("entry", boot_info.tsc.handover, tsc_start);
    phase("init", tsc_start, rdtsc());
}

/* RAM of the machine, with the firmware's share: all that the map names below the top of usable memory. */
static u64 ram_size(void)
{
    u64 top = 0, size = 0;

    for (u32 i = 0; i < boot_info.nr_mem; i++)
        if (boot_info.mem[i].kind == MEM_USABLE)
            top = boot_info.mem[i].base + boot_info.mem[i].size;
    for (u32 i = 0; i < boot_info.nr_mem; i++)
        if (boot_info.mem[i].base < top && boot_info.mem[i].kind != MEM_MMIO)
            size += boot_info.mem[i].size;
    return size;
}

static void report_machine(void)
{
    struct frame_stats memory = frame_stats();
    u64 ram = ram_size();

    pr_info("%u of %u processors, TSC %lu kHz", cpu_count(), boot_info.nr_cpus, clock_tsc_khz());
    pr_info("memory: %lu MiB of %lu MiB free; not for guests: %lu KiB", memory.free >> 8, ram >> 20,
            (ram >> 10) - memory.free * 4);
}

/* The end of the boot of each further processor. */
static void cpu_entry(void)
{
    backend_cpu_on();
    sched_loop();
}

/* Prepare what guests need, before the first other processor looks for work. */
static void virtualization_init(void)
{
    cpuid_init();
    resident_init();
    if (backend_init())
        machine_end(END_FAILED);
    host_work_add(net_poll);
    host_work_end_rounds_with(uplink_flush);
    platform_devices_init(); /* guests' devices get their turn after the network: they then see what it has for them */
}

/* The boot on cpu 0's own stack, with our own page tables. */
static void boot(void)
{
    symbols_init(frame_window(boot_info.file[0].base), boot_info.file[0].size);
    apic_init();
    smp_park();
    clock_init(&boot_info);
    pr_info("%s %s", GODWIT_NAME, GODWIT_VERSION);
    net_init();
    virtualization_init();
    net_start(&boot_info.config.net);
    keys_read(&boot_info);
    smp_start(boot_info.apic_id, boot_info.nr_cpus, boot_info.config.cpus, boot_info.trampoline, cpu_entry);
    host_map_reclaim_loader(&boot_info);
    report_machine();
    report_phases();
    migration_init(&boot_info.config.migration);
    witness_start(&boot_info.config.witness);
    witness_watch_start();
    api_init(&boot_info.config.api);
    host_work_add(log_poll);
    monitor_init(boot_info.config.monitor == CONFIG_ACCESS_TOKEN);
    launch_guests(&boot_info);
    asking_start(&boot_info.config);
    protection_init(&boot_info.config);
    sched_loop();
}

void hv_main(const struct boot_info *given)
{
    tsc_start = rdtsc();
    serial_init();
    traps_init();
    cpu_init_boot(given->apic_id[0]); /* from here on there is a log, and panic works */
    boot_info_check(given);
    boot_info = *given;
    config_apply(&boot_info.config);
    host_map_init(&boot_info); /* this also makes the frame allocator */
    if (cpu_stacks_init(this_cpu()) != 0)
        panic("no memory for the boot processor's stacks");
    stack_enter(this_cpu()->stack_top, boot);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "launch"
#include "start/launch.h"

#include "config/boot_info.h"
#include "dirty/dirty_check.h"
#include "dirty/vm_dirty.h"
#include "guest/load/create.h"
#include "host/asm.h"
#include "host/clock.h"
#include "control/dirty_lab.h"
#include "guest/load/images.h"
#include "guest/load/kept.h"
#include "guest/load/power.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/machine_end.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "owners/asking.h"

#define LINGER_NS 100000000ULL

static unsigned refused; /* guests of the configuration for which there is not even a VM */
static u64 handover_tsc; /* when the firmware was left; 0: the first entry has been reported */

/* Is this guest started now? If other machines must be asked about it first, owners/asking.c starts it. */
static bool starts_now(const struct config *config, const struct config_vm *vm)
{
    return vm->autostart != CONFIG_AUTOSTART_NO && !asking_needed(config, vm);
}

/* Make the guest's VM, and start it if that is to be now. A VM that can't be started stays, to say why. False: there is
 * no VM. */
static bool launch(const struct config_vm *config, bool now)
{
    char reason[200];
    struct vm *vm = NULL;

    if (guest_create(config, &vm, reason, sizeof(reason)) || (now && guest_power_on(vm, reason, sizeof(reason)))) {
        pr_err("%s: %s: %s", config->name, config->kernel, reason);
        if (vm)
            vm_stop(vm, VM_CRASHED, "%s", reason);
        return vm;
    }
    dirty_check_add(vm, config);
    dirty_lab_add(vm, config);
    return true;
}

/* Host work: log when a VM was first entered. At that moment itself a guest that has moved here would wait for the
 * line. Once: the time from the firmware to the first guest instruction. */
static u64 report_first_entry(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm->first_entry_logged || !vm->first_entry_tsc)
            continue;
        vm->first_entry_logged = true;
        pr_info("%s: first entry %lu us after creation", vm->name,
                clock_ticks_to_ns(vm->first_entry_tsc - vm->created_tsc) / 1000);
        if (handover_tsc)
            pr_info("hand-over to first guest instruction: %lu us",
                    clock_ticks_to_ns(vm->first_entry_tsc - handover_tsc) / 1000);
        handover_tsc = 0;
    }
    return ~0ULL;
}

/*
 * Host work: when the last guest has ended, end the machine; a moment later, so that a client that has ended the guest
 * from outside still gets its answer.
 */
static u64 watch(void)
{
    static u64 end_tsc;
    unsigned passed = 0, failed = refused, crashed = 0;

    list_each (const struct vm, vm, vm_list()) {
        if (vm_alive(vm))
            return ~0ULL;
        passed += vm->status == VM_PASSED;
        failed += vm->status == VM_FAILED;
        crashed += vm->status == VM_CRASHED;
    }
    if (!end_tsc)
        end_tsc = rdtsc() + clock_ns_to_ticks(LINGER_NS);
    if (rdtsc() < end_tsc)
        return end_tsc;
    pr_info("all guests have ended: %u passed, %u failed, %u crashed", passed, failed, crashed);
    machine_end(failed || crashed ? END_FAILED : END_PASSED);
}

void launch_guests(const struct boot_info *boot_info)
{
    handover_tsc = boot_info->tsc.handover;
    images_init(boot_info);
    for (u32 i = 0; i < boot_info->config.nr_vms; i++)
        if (!launch(&boot_info->config.vm[i], starts_now(&boot_info->config, &boot_info->config.vm[i])))
            refused++;
    guest_resets();
    host_work_add(guest_resets);
    host_work_add(kept_poll);
    host_work_add(report_first_entry);
    host_work_add(vm_reap);
    host_work_add(vm_fold);
    /* A hypervisor without guests of its own serves the network, and does not end by itself; nor does one to which
     * guests may come. */
    if (boot_info->config.nr_vms > 0 && !boot_info->config.migration.port)
        host_work_add(watch);
}

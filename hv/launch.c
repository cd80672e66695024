/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "launch"
#include "hv/launch.h"

#include <stdlib.h>
#include <string.h>

#include "boot/handoff.h"
#include "guest/load/load.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/clock.h"
#include "hv/dirty_check.h"
#include "hv/lib/log.h"
#include "hv/cpu/platform.h"
#include "hv/sched.h"
#include "hv/vm.h"
#include "mm/layout.h"

#define LINGER_NS 100000000ULL

static unsigned refused; /* guests of the configuration that never started */
static u64 handover_tsc; /* when the firmware was left; 0: the first entry is reported */

static const struct handoff_file *find_file(const struct handoff *handoff, const char *path)
{
    for (u32 i = 0; i < handoff->nr_files; i++)
        if (!strcmp(handoff->file[i].path, path))
            return &handoff->file[i];
    return NULL;
}

/* vm->reload */
static int reload(struct vm *vm)
{
    char reason[120];
    int err = guest_load(vm, vm->image, reason, sizeof(reason));

    if (err)
        pr_err("%s: %s", vm->name, reason);
    return err;
}

static bool launch(const struct handoff *handoff, const struct config_vm *config)
{
    const struct handoff_file *kernel = find_file(handoff, config->kernel);
    const struct handoff_file *initrd = config->initrd[0] ? find_file(handoff, config->initrd) : NULL;
    char reason[120];

    if (!kernel || (config->initrd[0] && !initrd)) {
        pr_err("%s: the loader has not handed over %s", config->name, kernel ? config->initrd : config->kernel);
        return false;
    }

    struct guest_image *image = malloc(sizeof(*image)); /* kept for resets */

    if (!image)
        return false;
    *image = (struct guest_image){
        .kernel = phys_to_virt(kernel->base),
        .kernel_size = kernel->size,
        .initrd = initrd ? phys_to_virt(initrd->base) : NULL,
        .initrd_size = initrd ? initrd->size : 0,
        .cmdline = config->cmdline,
    };
    struct vm *vm = vm_create(config, NULL);

    if (!vm) {
        free(image);
        return false;
    }
    vm->image = image;
    if (guest_load(vm, image, reason, sizeof(reason))) {
        pr_err("%s: %s: %s", config->name, config->kernel, reason);
        vm_destroy(vm);
        return false;
    }
    vm->reload = reload;
    dirty_check_add(vm, config);
    vm_start(vm);
    return true;
}

/* The promise of the boot: how long from the firmware to the first guest instruction. Once. */
static void report_first_entry(const struct vm *vm)
{
    if (!handover_tsc || !vm->first_entry_tsc)
        return;
    pr_info("hand-over to first guest instruction: %lu us",
            clock_ticks_to_ns(vm->first_entry_tsc - handover_tsc) / 1000);
    handover_tsc = 0;
}

/*
 * Host work: when the last guest has ended, say how it went and end the machine; a moment later, so that who ended the
 * guest from outside gets its answer.
 */
static u64 watch(void)
{
    static u64 end_tsc;
    unsigned passed = 0, failed = refused, crashed = 0;

    list_for_each (node, vm_list()) {
        const struct vm *vm = container_of(node, struct vm, node);

        report_first_entry(vm);
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
    list_for_each (node, vm_list())
        vm_report(container_of(node, struct vm, node));
    pr_info("all guests have ended: %u passed, %u failed, %u crashed", passed, failed, crashed);
    platform_end(failed || crashed ? END_FAILED : END_PASSED);
}

void launch_guests(const struct handoff *handoff)
{
    handover_tsc = handoff->tsc.handover;
    for (u32 i = 0; i < handoff->config.nr_vms; i++)
        if (!launch(handoff, &handoff->config.vm[i]))
            refused++;
    sched_add_host_work(vm_resets);
    /* Without guests of its own the hypervisor is there for the network, and has no end; nor if guests may come. */
    if (handoff->config.nr_vms > 0 && !handoff->config.migration.port)
        sched_add_host_work(watch);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "vm"
#include "guest/load/vm_report.h"

#include <stdio.h>

#include "host/clock.h"
#include "host/log.h"
#include "hv/vm.h"

/* "name count" for each exit reason that occurred, in one line. */
static void report_exits(const struct vm *vm)
{
    char line[320];
    size_t at = 0;

    for (unsigned kind = 0; kind < NR_EXITS; kind++) {
        u64 count = vm_exits(vm, kind);

        if (count && at < sizeof(line))
            at += snprintf(line + at, sizeof(line) - at, " %s %lu", exit_handlers[kind].name, count);
    }
    pr_info("%s: exits:%s", vm->name, at ? line : " none");
}

u64 vm_ran(const struct vm *vm)
{
    u64 ticks = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        ticks += vm->vcpu[i]->guest_ticks;
    return clock_ticks_to_ns(ticks);
}

void vm_report(const struct vm *vm)
{
    u64 slices = 0, interrupts = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        slices += vm->vcpu[i]->slices;
        interrupts += vm->vcpu[i]->interrupts_injected;
    }
    pr_info("%s: %s: %s; ran %lu ms in %lu slices, took %lu interrupts", vm->name, vm_status_name(vm->status),
            vm->reason, vm_ran(vm) / 1000000, slices, interrupts);
    pr_info(
        "%s: memory %lu MiB as %lu x 4 KiB, %lu x 2 MiB, %lu x 1 GiB, %lu split for code; %lu frames of nested tables",
        vm->name, vm->mem.size >> 20, vm->mem.pages_4k, vm->mem.pages_2m, vm->mem.pages_1g, vm->npt.exec_splits,
        vm->npt.tables);
    report_exits(vm);
}

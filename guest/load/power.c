/* SPDX-License-Identifier: BSD-2-Clause */
/* A start is a reset, too: guest_power_on only judges and asks, and the next round of the host loop does the rest. */
#define LOG_PREFIX "vm"
#include "guest/load/power.h"

#include <errno.h>
#include <stdio.h>

#include "dev/platform.h"
#include "guest/load/load.h"
#include "host/frame.h"
#include "host/log.h"
#include "host/smp.h"
#include "hv/sched.h"
#include "hv/vm.h"

/* Give a VM that was buried RAM again. */
static int unbury(struct vm *vm, char *reason, size_t room)
{
    int err;

    guest_mem_fini(&vm->mem); /* the rest of the old RAM */
    err = guest_mem_init(&vm->mem, &vm->npt, vm->memory);
    if (err)
        snprintf(reason, room, "not enough memory for %lu MiB, %lu MiB are free", vm->memory >> 20,
                 frame_stats().free >> (20 - PAGE_SHIFT));
    else
        vm->buried = false;
    return err;
}

int guest_power_on(struct vm *vm, char *reason, size_t room)
{
    int err = platform_check_unique(vm, reason, room);

    assert_host_loop();
    if (err)
        return err;
    if (!guest_image_here(&vm->image)) {
        snprintf(reason, room, "what it starts from is not among this machine's files");
        return -ENOENT;
    }
    err = guest_load_check(vm, &vm->image, reason, room);
    if (!err && vm->buried)
        err = unbury(vm, reason, room);
    if (err)
        return err;
    vm_reset_parts(vm);
    vm->starting = true;
    vm->incoming.paused = false;
    vm->reason[0] = '\0';
    __atomic_store_n(&vm->reset_wanted, true, __ATOMIC_RELEASE);
    __atomic_store_n(&vm->status, VM_RUNNING, __ATOMIC_RELEASE);
    cpu_kick(0);
    return 0;
}

/* Loaders rely on zeros in RAM, and no guest may read another guest's data. */
static void reset(struct vm *vm)
{
    char reason[120];

    if (!guest_image_here(&vm->image)) { /* it came from elsewhere */
        vm_stop(vm, VM_OFF, "reset: what it starts from is not among this machine's files");
        __atomic_store_n(&vm->reset_wanted, false, __ATOMIC_RELEASE);
        return;
    }
    if (!vm->starting) {
        pr_info("%s: reset", vm->name);
        vm->resets++;
    }
    vm->starting = false;
    vm->msrs_refused = 0;
    vm_reset_parts(vm);
    guest_mem_untouch(&vm->mem);
    if (guest_load(vm, &vm->image, reason, sizeof(reason)))
        vm_stop(vm, VM_CRASHED, "reset: %s", reason);
    __atomic_store_n(&vm->reset_wanted, false, __ATOMIC_RELEASE);
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        sched_add(vm->vcpu[i]);
}

u64 guest_resets(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm_alive(vm) && vm->holds == 0 && __atomic_load_n(&vm->reset_wanted, __ATOMIC_ACQUIRE))
            reset(vm);
    }
    return ~0ULL;
}

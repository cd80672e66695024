/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "vm"
#include "dev/acpi_sleep.h"

#include <errno.h>

#include "dev/platform.h"
#include "dev/platform_map.h"
#include "host/bits.h"
#include "host/log.h"
#include "hv/sched.h"
#include "hv/vm.h"

#define REAL_MODE_END MiB(1)

void acpi_sleep(struct vm *vm)
{
    __atomic_store_n(&vm->asleep, true, __ATOMIC_RELEASE);
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        vcpu_wake(vm->vcpu[i]); /* so that it leaves its guest */
    pr_info("%s: sleeps (S3)", vm->name);
}

/* What its guest has left in the FACS. Returns 0; -EINVAL: nothing that real mode reaches; or -EAGAIN: that page is
 * missing here, and has been asked for. */
static int waking_vector(struct vm *vm, u32 *vector)
{
    int err = guest_read(&vm->mem, ACPI_FACS + ACPI_FACS_WAKING_VECTOR, vector, sizeof(*vector));

    return err ? err : *vector && *vector < REAL_MODE_END ? 0 : -EINVAL;
}

/* All is as after power-on but for RAM, and the first vcpu goes on at this address. */
static void restart_at(struct vm *vm, u32 address)
{
    vm_reset_parts(vm);
    vcpu_start_real(vm->vcpu[0], address);
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        sched_add(vm->vcpu[i]);
}

static void wake(struct vm *vm)
{
    struct acpi_pm *pm = &platform_of(vm)->pm;
    u16 buttons = pm->status & (PM1_POWER_BUTTON | PM1_SLEEP_BUTTON);
    u8 events = pm->gpe_status;
    u32 vector = 0;
    int err;

    vm_hold(vm);
    err = waking_vector(vm, &vector);
    if (!err) {
        restart_at(vm, vector);
        spin_lock(&vm->device_lock);
        pm->status |= buttons | PM1_WAKE;
        pm->gpe_status |= events; /* it may have been restored from an image while it slept */
        spin_unlock(&vm->device_lock);
        pr_info("%s: wakes", vm->name);
    } else if (err != -EAGAIN) {
        vm_stop(vm, VM_CRASHED, "it was woken, and its waking vector, 0x%x, is none of real mode", vector);
    }
    vm_release(vm);
}

u64 acpi_sleep_poll(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm_running(vm) && vm->asleep && vm->holds == 0 &&
            platform_of(vm)->pm.status & (PM1_POWER_BUTTON | PM1_SLEEP_BUTTON))
            wake(vm);
    }
    return ~0ULL;
}

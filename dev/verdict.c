/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/verdict.h"

#include "config/guest_abi.h"
#include "hv/vm.h"

#define VERDICT_PORTS 4

static void verdict_io(struct device *device, unsigned region, struct io *io)
{
    struct verdict *verdict = (struct verdict *)device;

    (void)region;
    if (!io->write)
        return;
    if (io->val == 0)
        vm_stop(verdict->vm, VM_PASSED, "verdict 0");
    else
        vm_stop(verdict->vm, VM_FAILED, "verdict %lu", io->val);
}

static void verdict_reset(struct device *device)
{
    (void)device;
}

static void verdict_state(struct device *device, struct codec *c)
{
    (void)device;
    (void)c;
}

static const struct device_ops ops = {
    .name = "verdict",
    .version = 1,
    .io = verdict_io,
    .reset = verdict_reset,
    .state = verdict_state,
};

int verdict_init(struct verdict *verdict, struct vm *vm)
{
    verdict->device.ops = &ops;
    verdict->vm = vm;
    vm_add_device(vm, &verdict->device);
    return bus_add(&vm->pio, GODWIT_VERDICT_PORT, VERDICT_PORTS, &verdict->device, 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest/load/create.h"

#include <errno.h>
#include <stdio.h>

#include "dev/platform.h"
#include "guest/load/images.h"
#include "host/frame.h"
#include "hv/vm.h"

int guest_create(const struct config_vm *config, struct vm **vm, char *reason, size_t room)
{
    struct guest_image image;

    if (!image_of(config, &image, reason, room))
        return -ENOENT;
    *vm = vm_create(config, NULL);
    if (*vm) {
        (*vm)->image = image;
        if (!platform_check_unique(*vm, reason, room))
            return 0;
        vm_destroy(*vm);
        *vm = NULL;
        return -EBUSY;
    }
    snprintf(
        reason, room,
        "not enough memory for %lu MiB and %u vcpus, %lu MiB are free: expected less (memory =), or a larger machine "
        "(make run MEM=)",
        config->memory >> 20, config->vcpus, frame_stats().free >> (20 - PAGE_SHIFT));
    return -ENOMEM;
}

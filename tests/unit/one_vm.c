/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/one_vm.h"

#include <string.h>

static struct list vms;
struct vm vm;
struct platform platform;

struct list *vm_list(void)
{
    return &vms;
}

void one_vm_make(void)
{
    memset(&vm, 0, sizeof(vm));
    memset(&platform, 0, sizeof(platform));
    vm.platform = &platform;
    vm.status = VM_RUNNING;
    list_init(&vms);
    list_add_tail(&vms, &vm.node);
}

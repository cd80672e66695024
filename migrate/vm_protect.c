/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/vm_protect.h"

#include "hv/vm.h"
#include "migrate/vm_dest.h"
#include "migrate/vm_source.h"

int migration_protect(struct vm *vm, enum protect_order order, u64 epoch)
{
    struct vm_source *from = vm_source_find(vm);

    return from ? source_protect(&from->source, order, epoch) : dest_protect(&vm_dest, vm, order);
}

bool migration_protect_info(const struct vm *vm, struct protect_info *info)
{
    const struct vm_source *from = vm_source_find(vm);

    return from ? source_protect_info(&from->source, info) : dest_protect_info(&vm_dest, vm, info);
}

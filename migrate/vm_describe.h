/* SPDX-License-Identifier: BSD-2-Clause */
/* How the source describes a VM before it moves, and how the destination judges that description. Host loop. */
#pragma once

#include "migrate/vm_ops.h"

struct config_vm;
struct vm;
struct vm_identity;

/* Fill in all of the description but vm_id, epoch and flags. */
void vm_describe(const struct vm *vm, struct migrate_description *description);

/*
 * Can a VM like this live here, beside the VMs that do? Returns WIRE_OK, with what vm_create needs in *config and
 * *identity; or the code, with the reason in words. Allocates nothing.
 */
enum wire_code vm_describe_check(const struct migrate_description *description, struct config_vm *config,
                                 struct vm_identity *identity, char reason[WIRE_REASON]);

/* Is there memory for it now? Memory that vm_reap has still to free does not count. */
bool vm_describe_fits(const struct migrate_description *description);

/* Can the VM live here with what its state says and may have changed since the description? Returns WIRE_OK; or the
 * code, with the reason. */
enum wire_code vm_describe_recheck(const struct vm *vm, char reason[WIRE_REASON]);

/* Fill in sentences for the person who moves the VM: what the VM, which can live here, would not have as at its
 * source. */
void vm_describe_warn(const struct migrate_description *description, struct wire_accepted *accepted);

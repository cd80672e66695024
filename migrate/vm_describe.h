/* SPDX-License-Identifier: BSD-2-Clause */
/* What the source says of a VM before it moves, and what the destination thinks of it. Host loop. */
#pragma once

#include "migrate/vm_ops.h"

struct config_vm;
struct vm;
struct vm_identity;

/* Fill in all but vm_id, epoch and flags. */
void vm_describe(const struct vm *vm, struct migrate_description *description);

/*
 * Can a VM like this live here, beside those that do? WIRE_OK with what vm_create needs in *config and *identity, or
 * the code with the reason in words. Nothing is kept.
 */
enum wire_code vm_describe_check(const struct migrate_description *description, struct config_vm *config,
                                 struct vm_identity *identity, char reason[WIRE_REASON]);

/* Can it, of what its state says and may have changed since it was described? WIRE_OK or the code, with the reason. */
enum wire_code vm_describe_recheck(const struct vm *vm, char reason[WIRE_REASON]);

/* What such a VM, which can live here, would not have as it has it at home: as sentences for who moves it. */
void vm_describe_warn(const struct migrate_description *description, struct wire_accepted *accepted);

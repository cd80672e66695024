/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stopped virtual machine as sections of the stream, RAM apart, and back: each of its devices, its vcpus, and what
 * the VM itself remembers. docs/migration-stream.md "State". Host loop; the VM is frozen (vm_freeze, platform_freeze).
 */
#pragma once

#include "host/stream.h"
#include "migrate/wire.h"

struct vm;

/* Contract: migrate_section_fn (migrate/vm_ops.h). */
int vm_section_save(void *ctx, unsigned index, struct wire_section *section, struct writer *w);

/* Load the section of that index, which `section` must name. Contract: migrate_dest_ops.load. */
int vm_section_load(struct vm *vm, unsigned index, const struct wire_section *section, struct reader *r,
                    char reason[WIRE_REASON]);

/*
 * Save each section of a VM that was just made to take one that comes, and load it again: what fails here would have
 * failed while the guest stands still. And then it is for the second time, hence faster: code and tables are in caches.
 * Returns whether all went well, or which did not in reason.
 */
bool vm_state_rehearse(struct vm *vm, char reason[WIRE_REASON]);

/* Sections that a VM of this shape has: one that comes is complete when as many were loaded, in order. */
unsigned vm_section_count(const struct vm *vm);

/* Its devices by name, instance and version: for the description. Returns how many, at most WIRE_DEVICES. */
unsigned vm_devices(const struct vm *vm, struct wire_device device[WIRE_DEVICES]);

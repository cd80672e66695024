/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stopped virtual machine as sections of the stream, and back: each of its devices, its vcpus, and what the VM itself
 * remembers; RAM moves apart from these. docs/migration-stream.md "State". Host loop; the VM is frozen (vm_freeze,
 * platform_freeze).
 */
#pragma once

#include "dev/codec.h"
#include "stream/wire.h"

struct vm;

/* Save or restore the section of that index. Contract: section_fn (stream/sections.h). */
void vm_state_section(void *ctx, unsigned index, struct wire_section *section, struct codec *c);

/*
 * Save each section of a VM that was just made for an incoming guest, and restore it again: what fails here would
 * otherwise fail while the guest stands still. The real restore is then the second one, and faster, because code and
 * tables are in caches. Returns whether all went well; if not, `reason` names the section.
 */
bool vm_state_rehearse(struct vm *vm, char reason[WIRE_REASON]);

/* What the VM itself remembers, as a section; and what its console keeps of its guest's output. */
void vm_state_own(struct vm *vm, struct codec *c);
void vm_state_scrollback(struct vm *vm, struct codec *c);

/* The number of sections that a VM of this shape has: an incoming VM is complete when as many were restored, in order.
 */
unsigned vm_section_count(const struct vm *vm);

/* Fill in the VM's devices for the description: name, instance and version. Returns how many, at most WIRE_DEVICES. */
unsigned vm_devices(const struct vm *vm, struct wire_device device[WIRE_DEVICES]);

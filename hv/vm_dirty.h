/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of a running VM: mm/dirty.h, together with its vcpus. Host loop.
 *
 * A round of a migration:
 *
 *     vm_harvest_begin(vm, to_send);
 *     do something else until vm_harvest_ready(vm);      one kick, one flush a vcpu
 *     read and send the pages of to_send, dirty_ack() what has arrived;
 *
 * and the last one: vm_hold or vm_pause, vm_harvest, read and send.
 */
#pragma once

#include "hv/lib/types.h"
#include "mm/dirty.h"

struct vm;

/*
 * Start logging. Holds the VM meanwhile: lazily a kick and a few microseconds, eagerly about a millisecond for each
 * GiB. Returns 0, -EBUSY (somebody else uses the log, and it has one user), -ENOTSUP (this processor can't), -ENOMEM.
 */
int vm_dirty_start(struct vm *vm, enum dirty_producer producer, enum dirty_split split);

/* For who uses it: go over to another producer. The same, but for -EBUSY; after -ENOMEM the log is as before, or off.
 */
int vm_dirty_change(struct vm *vm, enum dirty_producer producer, enum dirty_split split);

/* The producer that this processor does best: PML, else D bits, else faults. Holds the VM meanwhile. */
enum dirty_producer vm_dirty_best(struct vm *vm);

/* Stop it; large pages come back. Holds the VM meanwhile. */
void vm_dirty_stop(struct vm *vm);

/* The same a slice at a time, between which the guest runs, and others have the host loop. True: it is off. */
bool vm_dirty_stop_part(struct vm *vm);

/* Take what was written into to_send (dirty_words(&vm->mem) long), and make the vcpus flush. Returns the number of
 * pages. The one before is ready. */
u64 vm_harvest_begin(struct vm *vm, u64 *to_send);

/* May the pages be read? All that was written to them before vm_harvest_begin is in them then; what was written to
 * other pages meanwhile, the next harvest finds. */
bool vm_harvest_ready(struct vm *vm);

/* Both, waiting: at once if the VM is held or paused, else a kick's way to the other CPUs. */
u64 vm_harvest(struct vm *vm, u64 *to_send);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of a running VM: mm/dirty.h, together with its vcpus. Host loop.
 *
 * A round of a migration:
 *
 *     do something else until vm_harvest_part(vm, to_send);
 *     do something else until vm_harvest_ready(vm);      one kick, one flush a vcpu
 *     read and send the pages of to_send, dirty_ack() what has arrived;
 *
 * and the last one likewise, while the VM is held or paused.
 */
#pragma once

#include "host/types.h"
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

/* Take what was written into to_send (dirty_words(&vm->mem) long; NULL: it is counted only), a slice of the host loop's
 * time; the last slice makes the vcpus flush. True: that was it. The harvest before is ready. */
bool vm_harvest_part(struct vm *vm, u64 *to_send);

/* May the pages be read? All that was written to them before they were taken is in them then; what was written later,
 * the next harvest finds. */
bool vm_harvest_ready(struct vm *vm);

/* All of it at once, and waiting until it is ready: for who may keep others waiting. */
void vm_harvest(struct vm *vm, u64 *to_send);

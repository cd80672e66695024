/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log of a running VM: these functions call mm/dirty.h and take care of the vcpus. Host loop.
 *
 * A round of a migration:
 *
 *     do something else until vm_harvest_part(vm, to_send);
 *     do something else until vm_harvest_ready(vm);      each vcpu: one kick, one flush
 *     read and send the pages of to_send;
 *
 * The last round is the same, while the VM is held or paused.
 */
#pragma once

#include "host/types.h"
#include "mm/dirty.h"

struct vm;

const char *dirty_producer_name(enum dirty_producer producer);

/*
 * Start logging. Holds the VM meanwhile: with a lazy split for a kick and a few microseconds, with an eager split for
 * about a millisecond for each GiB. Returns 0, -EBUSY (the log has one user, and is in use; or pages of the guest are
 * missing), -ENOTSUP (this processor can't), or -ENOMEM.
 */
int vm_dirty_start(struct vm *vm, enum dirty_producer producer, enum dirty_split split);

/* The log's user changes to another producer. Returns the same values as vm_dirty_start, except -EBUSY. After -ENOMEM
 * the log is as before, or off. */
int vm_dirty_change(struct vm *vm, enum dirty_producer producer, enum dirty_split split);

/* The same, or a start, without a word in the log, for a caller that holds the VM. */
int vm_dirty_change_held(struct vm *vm, enum dirty_producer producer, enum dirty_split split);

/* The best producer that this processor has: PML, else D bits, else faults. Holds the VM meanwhile. */
enum dirty_producer vm_dirty_best(struct vm *vm);

/* Stop the log; large pages come back. Holds the VM a slice at a time. */
void vm_dirty_stop(struct vm *vm);

/* Do one slice of the stop. Between slices the guest runs, and the host loop does other work. True: the log is off. */
bool vm_dirty_stop_part(struct vm *vm);

/* Host work: give the large pages back to VMs whose RAM was split for pages that were missing. One slice in a round. */
u64 vm_fold(void);

/* Do one slice of a harvest: add the pages that were written to to_send (dirty_words(&vm->mem) long; NULL: they are
 * only counted). The last slice makes the vcpus flush, and returns true. The harvest before must be ready. */
bool vm_harvest_part(struct vm *vm, u64 *to_send);

/* May the harvested pages be read? If so, they contain all writes from before the harvest; the next harvest finds the
 * pages that are written later. */
bool vm_harvest_ready(struct vm *vm);

/* Which pages does the guest use? Do one slice of a look at all of them, which begins at page number *page, 0 at first,
 * and sets the bits (of `used`, dirty_words long; NULL: of nothing) of those whose A bit was set since the look before.
 * Large pages in use are split: the first look tells nothing of their parts. Vcpus that do not leave the guest between
 * two looks may use pages without being seen. Returns 0: the look is over; -EAGAIN: it goes on; -ENOTSUP: this
 * processor has no A bits; or -ENOMEM. */
int vm_used_part(struct vm *vm, u64 *page, u64 *used);

/* Do a whole harvest at once and wait until it is ready, for a caller that may keep the host loop waiting. */
void vm_harvest(struct vm *vm, u64 *to_send);

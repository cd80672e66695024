/* SPDX-License-Identifier: BSD-2-Clause */
/* What is left of guests that have ended, or have moved on. Host loop. */
#pragma once

#include "host/types.h"

struct vm;

#define MIGRATION_ENDED 16 /* guests that came here and have ended, kept at most */

/* For a VM that does not run: is its memory of no more use to the end of a move and to a dirty log? */
bool migration_done_with(const struct vm *vm);

/* The operator wants a VM removed that was never started, or has ended: nothing is left of it, and how it came here is
 * settled (dest_settle). Returns 0, or -EBUSY if it is not migration_done_with. */
int migration_forget(struct vm *vm);

/* Contract: dest_settle, for all VMs. */
unsigned migration_settle_ended(void);

/* Free all that a VM has here, and forget it. */
void vm_ended_destroy(struct vm *vm);

/* A VM has arrived: those that have ended, and have its name or identity, are forgotten. */
void vm_ended_make_way(const struct vm *vm);

/* A VM that has ended keeps nothing that others could use: neither RAM nor a place among the guests that came here. */
void vm_ended_bury(void);

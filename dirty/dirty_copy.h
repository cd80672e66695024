/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second copy of a guest's memory that is kept by the dirty log alone, and what comparing both tells of the log. A
 * page that differs and is in no set was missed. A page that is in the set of the last harvest and does not differ is
 * residue: the guest wrote what the page already held, or the processor's walks marked it (docs/dirty-log.md). Host
 * loop.
 */
#pragma once

#include "host/types.h"

struct vm;

struct dirty_copy {
    struct vm *vm;
    u8 *bytes;    /* as long as the guest's RAM */
    u64 *to_send; /* for harvests: the pages found and not yet copied */
    u32 drop;     /* for the test of the comparison: one page in `drop` is not copied; 0: each is */
    u64 found;    /* pages that were copied because the log named them */
    u64 compared, residue, missed;
    struct {
        u64 first, number; /* page numbers of the guest's page tables, if it has told */
        u64 residue;       /* how much of the residue they are */
    } tables;
};

/* Get the memory for it. False: there is not enough, which is logged. */
bool dirty_copy_init(struct dirty_copy *copy, struct vm *vm, u32 drop);

/* Copy all of memory. The VM is held. */
void dirty_copy_all(struct dirty_copy *copy);

/* Copy the pages of to_send, and empty it. The guest may be writing them. */
void dirty_copy_found(struct dirty_copy *copy);

/* Compare all of memory with the copy, count what was missed and what is residue, then copy as dirty_copy_found does.
 * The VM is held since before the harvest into to_send. */
void dirty_copy_compare(struct dirty_copy *copy);

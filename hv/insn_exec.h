/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carry out a decoded instruction on a guest's registers and memory, as the processor would, for accesses that a device
 * must see.
 *
 * Memory is reached by linear address through two callbacks; whether an address is RAM or a device is their business. A
 * callback that fails stops the instruction: no register, flag or memory has changed then, so it can be run again or a
 * fault be injected. Read-modify-write forms are not atomic, LOCK or not: devices here have no second bus master that
 * could tell.
 */
#pragma once

#include "hv/insn.h"
#include "host/types.h"

struct insn_memory {
    void *ctx;
    /* Access `size` (1, 2, 4 or 8) bytes at a linear address. Return 0 or -errno; any alignment may come. */
    int (*load)(void *ctx, u64 linear, unsigned size, u64 *value);
    int (*store)(void *ctx, u64 linear, unsigned size, u64 value);
};

enum insn_result {
    INSN_DONE = 0,  /* finished: go on after insn->len bytes */
    INSN_AGAIN = 1, /* one iteration of a rep is done and others follow: stay on the instruction */
};

/*
 * Execute insn on *context (registers and the six arithmetic flags change; rip is left to the caller). Returns enum
 * insn_result, -ENOTSUP for an instruction that is only decoded (port I/O, system instructions), or what a callback
 * returned.
 */
int insn_exec(const struct insn *insn, struct insn_context *context, const struct insn_memory *memory);

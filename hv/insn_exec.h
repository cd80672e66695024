/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Executes a decoded instruction on a guest's registers and memory, as the processor would, if a device must see its
 * accesses.
 *
 * Memory is accessed by linear address through callbacks; they decide whether an address is RAM or a device. If a
 * callback fails, the instruction stops: no register, flag or memory has changed then, so the instruction can be run
 * again, or a fault can be injected. Read-modify-write forms are not atomic, even with LOCK: our devices have no second
 * bus master that could see the difference.
 */
#pragma once

#include "hv/insn.h"
#include "host/types.h"

/* Write the low `size` bytes of a register as instructions do: 4 bytes clear the upper half, fewer keep the rest. */
static inline void gpr_write(u64 *reg, unsigned size, u64 value)
{
    u64 kept = size >= 4 ? 0 : ~size_mask(size);

    *reg = (*reg & kept) | (value & size_mask(size));
}

struct insn_memory {
    void *ctx;
    /* Access `size` (1, 2, 4 or 8) bytes at a linear address of any alignment. Return 0 or -errno. */
    int (*read)(void *ctx, u64 linear, unsigned size, u64 *value);
    int (*write)(void *ctx, u64 linear, unsigned size, u64 value);
    int (*probe_write)(void *ctx, u64 linear, unsigned size); /* would write succeed? */
};

enum insn_result {
    INSN_DONE = 0,  /* finished: go on after insn->len bytes */
    INSN_AGAIN = 1, /* one iteration of a REP is done, others follow: stay on the instruction */
};

/*
 * Execute insn on *context (registers and the six arithmetic flags change; rip is left to the caller). Returns enum
 * insn_result, -ENOTSUP for an instruction that is only decoded (port I/O, system instructions), or what a callback
 * returned.
 */
int insn_exec(const struct insn *insn, struct insn_context *context, const struct insn_memory *memory);

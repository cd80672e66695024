/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads and writes at guest linear addresses, for an emulated instruction of the guest: through the guest's page
 * tables, to RAM or to a device, across page borders, with the page fault that hardware would raise.
 */
#pragma once

#include "hv/vcpu_state.h"
#include "mm/guest_walk.h"

struct vcpu;

struct linear {
    struct vcpu *vcpu;
    struct walk_context walk;
    bool long_mode; /* 64-bit code: addresses must be canonical */
};

/* Prepare the accesses of the vcpu's current instruction. `state` holds STATE_CR and STATE_SEGMENTS. */
struct linear linear_init(struct vcpu *vcpu, const struct vcpu_state *state);

/*
 * Read or write 1, 2, 4 or 8 bytes. `context` is a struct linear (the signature is that of insn_exec's callbacks).
 * Returns 0, or -EFAULT with nothing stored: the exception has been injected, or the vcpu waits for a page. On the
 * vcpu's CPU, without the VM's locks.
 */
int linear_read(void *context, u64 gva, unsigned size, u64 *value);
int linear_write(void *context, u64 gva, unsigned size, u64 value);

/* Would a write of `size` bytes fault, or have to wait? Returns 0, or -EFAULT as linear_write does. */
int linear_probe_write(void *context, u64 gva, unsigned size);

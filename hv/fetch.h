/* SPDX-License-Identifier: BSD-2-Clause */
/* Fetches a guest's instruction from its linear memory for emulation, and gives the context for walks of its page
 * tables. */
#pragma once

#include "hv/insn.h"
#include "hv/vcpu_state.h"
#include "mm/guest_walk.h"

struct vcpu;

/*
 * Fetch and decode the instruction at RIP. Returns 0; -EFAULT if a page fault has been injected instead, or the vcpu
 * has begun to wait for a page (nothing has been done: re-enter the guest); -EINVAL if the bytes are no instruction
 * (the processor would raise #UD); -ENOTSUP if the decoder doesn't know the instruction. Fills STATE_CR and
 * STATE_SEGMENTS of `state`. On the vcpu's CPU.
 */
int fetch_insn(struct vcpu *vcpu, struct vcpu_state *state, struct insn *insn);

/* guest_walk or an access behind it has returned `err`: inject the page fault, or let the vcpu wait for the page.
 * Returns -EFAULT. On the vcpu's CPU. */
int fetch_walk_failed(struct vcpu *vcpu, int err, gva_t gva, u32 error);

/* The default operand and address size, decided by CR0, EFER, RFLAGS.VM and CS. */
enum insn_mode fetch_mode(const struct vcpu *vcpu, const struct vcpu_state *state);

/* The registers that guest_walk needs. */
struct walk_context fetch_walk_context(const struct vcpu *vcpu, const struct vcpu_state *state);

/* The guest's privilege level, 0 to 3. */
unsigned fetch_cpl(const struct vcpu_state *state);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest linear memory as the hypervisor needs it to emulate: instruction bytes, and operands of emulated instructions.
 */
#pragma once

#include "hv/insn.h"
#include "hv/vcpu_state.h"
#include "mm/guest_walk.h"

struct vcpu;

/*
 * Fetch and decode the instruction at RIP. Returns 0; -EFAULT if a page fault has been injected instead (re-enter the
 * guest); -EINVAL if it isn't an instruction (#UD would follow); -ENOTSUP if the decoder doesn't know it. `state`
 * receives STATE_CONTROL and STATE_SEGMENTS. On the vcpu's CPU.
 */
int fetch_insn(struct vcpu *vcpu, struct vcpu_state *state, struct insn *insn);

/* The default operand and address size by CR0, EFER, RFLAGS.VM and CS. */
enum insn_mode fetch_mode(const struct vcpu *vcpu, const struct vcpu_state *state);

/* Registers for guest_walk. */
struct walk_context fetch_walk_context(const struct vcpu *vcpu, const struct vcpu_state *state);

/* 0 to 3. */
unsigned fetch_cpl(const struct vcpu_state *state);

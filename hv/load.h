/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns the registers that the hypervisor never uses: vector state, XCR0, DR0 to DR3, TSC_AUX, and the backend's own
 * (syscall MSRs). They stay in the CPU across exits and change hands only when another vcpu is loaded there.
 */
#pragma once

#include "host/types.h"

struct vcpu;

/* Vector state to save, and the size of its area; once, on the boot processor, after cpuid_init. Panics if the area
 * outgrows its page. */
void load_init(void);

/* The vector state of INIT, in vcpu's area. Not loaded. */
void load_reset(struct vcpu *vcpu);

/*
 * Make vcpu the loaded one of this CPU, putting the previous one back into memory. False: the processor did not take
 * something of its state; its VM has ended with a dump, nothing is loaded, and what is in memory is as it was.
 */
bool vcpu_load(struct vcpu *vcpu);

/*
 * Has the processor taken `value` of this vcpu's state, or did `what`, the instruction, raise an exception (`vector`,
 * or NO_FAULT)? Then its VM has ended with a dump. For vcpu_load and backend->load.
 */
bool load_took(struct vcpu *vcpu, int vector, const char *what, u64 value);

/* Put whatever vcpu is loaded on this CPU back into memory. */
void vcpu_put(void);

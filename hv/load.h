/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps track of whose values are in the registers that the hypervisor never uses: vector state, XCR0, DR0 to DR3,
 * TSC_AUX, and those of the backend (syscall MSRs). A vcpu's values stay in the CPU across exits; they are replaced
 * only when another vcpu is loaded there.
 */
#pragma once

#include "host/types.h"

struct vcpu;

/* Determine which vector state to save, and the size of its area. Once, on the boot processor, after cpuid_init. Panics
 * if the area is larger than a page. */
void load_init(void);

/* Set the vector state of INIT in the vcpu's area. The vcpu is not loaded. */
void load_reset(struct vcpu *vcpu);

/*
 * Load the vcpu on this CPU; the vcpu that was loaded before is put back into memory. False: the processor did not take
 * a part of the vcpu's state. Then its VM has ended with a dump, nothing is loaded, and its state in memory is
 * unchanged.
 */
bool vcpu_load(struct vcpu *vcpu);

/*
 * Has the processor taken `value` of this vcpu's state? `vector` is the exception that the instruction `what` raised,
 * or NO_FAULT. After an exception this ends the VM with a dump and returns false. For vcpu_load and backend->load.
 */
bool load_took(struct vcpu *vcpu, int vector, const char *what, u64 value);

/* Put the vcpu that is loaded on this CPU, if any, back into memory. */
void vcpu_put(void);

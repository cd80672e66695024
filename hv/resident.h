/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps track of whose values are in the registers that the hypervisor leaves alone: vector state, XCR0, DR0 to DR3,
 * TSC_AUX, and those of the backend (syscall MSRs). A vcpu's values stay in the CPU across exits, until another vcpu
 * becomes resident there, or the host loop needs vector registers (host/fpu.h).
 */
#pragma once

#include "host/types.h"

struct vcpu;

/* Determine which vector state to save, and the size of its area; fpu_begin works from then on. Once, on the boot
 * processor, after cpuid_init. Panics if the area is larger than a page. */
void resident_init(void);

/* Set the vector state of INIT in the vcpu's area. The vcpu is not resident. */
void fpu_reset(struct vcpu *vcpu);

/*
 * Make the vcpu the resident of this CPU: save the registers of the vcpu that was resident before, and restore this
 * vcpu's. False: the processor did not take a part of the vcpu's state. Then its VM has ended with a dump, no vcpu is
 * resident, and its state in memory is unchanged.
 */
bool resident_set(struct vcpu *vcpu);

/*
 * Has the processor taken `value` of this vcpu's state? `vector` is the exception that the instruction `what` raised,
 * or NO_FAULT. False: an exception, which has ended the VM with a dump. For resident_set and backend->restore.
 */
bool cpu_took(struct vcpu *vcpu, int vector, const char *what, u64 value);

/* Save the registers of the vcpu that is resident on this CPU, if any, to memory. */
void resident_clear(void);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who owns the registers that the hypervisor never uses: vector state, XCR0, DR0 to DR3, TSC_AUX, and the backend's own
 * (syscall MSRs). They stay in the CPU across exits and change hands only when another vcpu is loaded there.
 */
#pragma once

struct vcpu;

/* Vector state to save, and the size of its area; once, on the boot processor, after cpuid_init. Panics if the area
 * outgrows its page. */
void load_init(void);

/* The vector state of INIT, in vcpu's area. Not loaded. */
void load_reset(struct vcpu *vcpu);

/* Make vcpu the loaded one of this CPU, putting the previous one back into memory. */
void vcpu_load(struct vcpu *vcpu);

/* Put whatever vcpu is loaded on this CPU back into memory. */
void vcpu_put(void);

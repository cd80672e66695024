/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR policy: an allow-list. The guest's access to any other MSR raises #GP. */
#pragma once

#include "host/types.h"

struct vcpu;

#define MSRS_STORED 29 /* of a vcpu: MSRs that only store a value */

/* MSRs that the guest reads and writes without an exit, because the backend switches them. For the backends' bitmaps.
 */
const u32 *msr_passthrough(unsigned *count);

/* The guest's RDMSR and WRMSR of all other MSRs. Return 0, or -EINVAL: inject #GP(0); a write also returns -EAGAIN: it
 * needs a missing page, and has done nothing. On the vcpu's CPU. */
int msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int msr_write(struct vcpu *vcpu, u32 msr, u64 value);

/* For carrying a vcpu to another host: the list of stored MSRs, the value of one, and setting one. Setting returns 0,
 * or -EINVAL if it is no stored MSR or no guest of this version or an earlier one could have written the value. */
const u32 *msr_stored_list(unsigned *count);
u64 msr_stored_get(struct vcpu *vcpu, u32 msr);
int msr_stored_set(struct vcpu *vcpu, u32 msr, u64 value);

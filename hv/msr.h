/* SPDX-License-Identifier: BSD-2-Clause */
/* MSR policy: an allow-list. What it doesn't name is #GP for the guest. */
#pragma once

#include "host/types.h"

struct msr_store;
struct vcpu;

/* MSRs that the guest reads and writes without an exit, because the backend switches them: for the backends' bitmaps.
 */
const u32 *msr_passthrough(unsigned *count);

/* The guest's RDMSR and WRMSR of all others. Return 0, or -EINVAL: inject #GP(0). On the vcpu's CPU. */
int msr_read(struct vcpu *vcpu, u32 msr, u64 *value);
int msr_write(struct vcpu *vcpu, u32 msr, u64 value);

/*
 * MSRs that dev adds (the paravirtual clock). read and write: 0, -EINVAL: #GP, or -ENOENT: not theirs. tsc_changed:
 * the guest has written its time-stamp counter, vcpu->tsc_offset is new. On the vcpu's CPU.
 */
struct msr_hook {
    int (*read)(struct vcpu *vcpu, u32 msr, u64 *value);
    int (*write)(struct vcpu *vcpu, u32 msr, u64 value);
    void (*tsc_changed)(struct vcpu *vcpu);
};

/* Once, at boot. */
void msr_set_hook(const struct msr_hook *hook);

/* All stored MSRs as after power-up. */
void msr_store_reset(struct msr_store *store);

/* The stored MSRs, to carry a vcpu to another host: which there are, a value, and to set one: 0, or -EINVAL: it is none
 * or no guest could have written it. */
const u32 *msr_stored_list(unsigned *count);
u64 msr_stored_get(struct vcpu *vcpu, u32 msr);
int msr_stored_set(struct vcpu *vcpu, u32 msr, u64 value);

/* Memory for a vcpu's stored MSRs, all zero; freed by free(). NULL without memory. */
struct msr_store *msr_store_create(void);

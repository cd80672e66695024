/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's steal time (Linux "KVM-specific MSRs", MSR_KVM_STEAL_TIME): a structure in the guest's memory tells for how
 * long a vcpu could have run and did not. The guest's scheduler charges no program for that time, and its `top` shows
 * it as st.
 *
 * The clock is VM time, which goes on while a VM is paused, frozen or on its way to another machine; so all of that
 * counts as stolen, as do the turns of other vcpus and throttling. A sleeping vcpu waits for nothing before it is
 * woken. Belongs to the vcpu's CPU, as its LAPIC does.
 */
#pragma once

#include "host/types.h"

struct codec;
struct guest_mem;

#define MSR_KVM_STEAL_TIME 0x4B564D03

/* In guest memory, aligned to its size. While the version is odd, the structure is being written. */
struct kvm_steal_time {
    u64 steal; /* nanoseconds */
    u32 version;
    u32 flags;    /* none is defined */
    u8 preempted; /* always 0: we don't tell */
    u8 pad[47];
};
_Static_assert(sizeof(struct kvm_steal_time) == 64, "Linux struct kvm_steal_time");

struct steal_time {
    u64 msr;   /* gpa of the structure | enable */
    u64 since; /* VM time at which the vcpu began to wait for its turn; 0: it does not wait */
};

/* The guest writes the MSR. Returns 0; -EINVAL: the write is a #GP; or -EAGAIN: the structure is in a missing page. */
int steal_time_write_msr(struct steal_time *steal, struct guest_mem *mem, u64 value);

/* Is the structure missing? Returns as guest_mem_ask. While it is, the vcpu may not go on. */
int steal_time_ask(const struct steal_time *steal, struct guest_mem *mem);

/* The vcpu could run from `now` on, in VM time. No change if it waits already. */
void steal_time_waits(struct steal_time *steal, u64 now);

/* The vcpu's turn has come: add the time that it has waited to the guest's structure. Writes guest memory. */
void steal_time_goes_on(struct steal_time *steal, struct guest_mem *mem, u64 now);

/* A vcpu that waits goes on waiting on another host. A state that cannot be is refused. VM time is `now`. A check saves
 * a running guest part by part, so a wait that is restored may have begun after `now`; then it begins at `now`. */
void steal_time_state(struct steal_time *steal, const struct guest_mem *mem, u64 now, struct codec *c);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's steal time (Linux "KVM-specific MSRs", MSR_KVM_STEAL_TIME): in a structure in its memory a guest finds for how
 * long a vcpu could have run and did not. Its scheduler takes that time from no program, and its `top` shows it as st.
 *
 * The clock is VM time, which goes on while a VM is paused, frozen or on its way to another machine; so all of that
 * counts, as do turns of others and throttling. A vcpu that sleeps misses nothing before it is woken. Belongs to the
 * vcpu's CPU, as its LAPIC does.
 */
#pragma once

#include "host/types.h"

struct guest_mem;
struct reader;
struct writer;

#define MSR_KVM_STEAL_TIME 0x4B564D03

/* In guest memory, aligned to its size. An odd version: being written. */
struct kvm_steal_time {
    u64 steal; /* nanoseconds */
    u32 version;
    u32 flags;    /* none is defined */
    u8 preempted; /* 0: not said */
    u8 pad[47];
};
_Static_assert(sizeof(struct kvm_steal_time) == 64, "Linux struct kvm_steal_time");

struct steal_time {
    u64 msr;   /* gpa of the structure | enable */
    u64 since; /* VM time at which it began to wait for its turn; 0: it does not */
};

/* The MSR's write. 0, or -EINVAL: #GP. */
int steal_time_write_msr(struct steal_time *steal, struct guest_mem *mem, u64 value);

/* It could run from now on, VM time. Nothing, if it waits already. */
void steal_time_waits(struct steal_time *steal, u64 now);

/* Its turn has come: the guest is told how long it has waited. Writes guest memory. */
void steal_time_goes_on(struct steal_time *steal, struct guest_mem *mem, u64 now);

/* Who waits goes on waiting elsewhere. load: 0, or -EINVAL for a state that cannot be; VM time is `now`. A check saves
 * a running guest part by part, so the wait may have begun after the time that came: it is now. */
void steal_time_save(const struct steal_time *steal, struct writer *w);
int steal_time_load(struct steal_time *steal, const struct guest_mem *mem, u64 now, struct reader *r);

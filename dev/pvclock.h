/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual clock (Linux "KVM-specific MSRs"): VM time (timer.h) as a function of the guest's TSC, in a
 * structure in its memory. The guest computes
 *
 *     time = system_time + ((tsc - tsc_timestamp) shifted by tsc_shift) * tsc_to_system_mul / 2^32
 *
 * All vcpus' structures come from one pair of TSC and VM time, so that they agree to the nanosecond (the flag
 * PVCLOCK_TSC_STABLE says so), and are written again only when that pair or a vcpu's TSC offset changes.
 *
 * Of a guest that has stood each vcpu finds PVCLOCK_GUEST_STOPPED there, until it clears the flag: its watchdogs shall
 * not take the time that has passed for a program's. For its scheduler there is steal_time.h.
 */
#pragma once

#include "config/config.h"
#include "hv/bus.h"
#include "dev/steal_time.h"

struct vcpu;
struct vm;

#define MSR_KVM_WALL_CLOCK_OLD 0x11
#define MSR_KVM_SYSTEM_TIME_OLD 0x12
#define MSR_KVM_WALL_CLOCK 0x4B564D00
#define MSR_KVM_SYSTEM_TIME 0x4B564D01

/* In guest memory. An odd version: being written. */
struct pvclock_time {
    u32 version;
    u32 pad0;
    u64 tsc_timestamp;
    u64 system_time; /* nanoseconds */
    u32 tsc_to_system_mul;
    s8 tsc_shift;
    u8 flags;
    u8 pad[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32, "Linux struct pvclock_vcpu_time_info");

#define PVCLOCK_TSC_STABLE 1
#define PVCLOCK_GUEST_STOPPED 2

/* In guest memory: the date at VM time 0. */
struct pvclock_wall {
    u32 version;
    u32 sec, nsec; /* since 1970 */
};
_Static_assert(sizeof(struct pvclock_wall) == 12, "Linux struct pvclock_wall_clock");

struct pvclock {
    struct device device; /* saves the registers */
    struct vm *vm;
    u64 start;                         /* date at VM time 0, ns since 1970: for life, wherever it runs */
    u64 wall_clock;                    /* MSR: where the guest wanted it last */
    u64 system_time[CONFIG_MAX_VCPUS]; /* MSR of each vcpu: gpa | enable. Its own CPU */
    u32 version[CONFIG_MAX_VCPUS];     /* as last written */
    struct steal_time steal[CONFIG_MAX_VCPUS];
};

/* Create it. Its MSRs are found by pvclock_register. */
void pvclock_init(struct pvclock *pvclock, struct vm *vm);

/* Hang the MSRs of all VMs into hv/msr.c, and the turns of their vcpus into hv/vcpu.c. Once, at boot. */
void pvclock_register(void);

/* Write vcpu's structure again: its TSC offset or VM time has changed. On the vcpu's CPU, or while it is not running.
 */
void pvclock_update(struct vcpu *vcpu);

/* The same, and say that the vcpu has stood. While it is not running. */
void pvclock_stood(struct vcpu *vcpu);

/* INIT: its MSRs as after power-up. On the vcpu's CPU. */
void pvclock_receive_init(struct vcpu *vcpu);

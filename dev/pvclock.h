/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual clock (Linux "KVM-specific MSRs"): a structure in the guest's memory gives VM time (timer.h) as a
 * function of the guest's TSC. The guest computes
 *
 *     time = system_time + ((tsc - tsc_timestamp) shifted by tsc_shift) * tsc_to_system_mul / 2^32
 *
 * All vcpus' structures come from one pair of TSC and VM time, so that they agree to the nanosecond (the flag
 * PVCLOCK_TSC_STABLE says so), and are written again only when that pair or a vcpu's TSC offset changes.
 *
 * After a guest has stood, each vcpu finds PVCLOCK_GUEST_STOPPED there, until it clears the flag: so its watchdogs
 * don't blame a program for the time that has passed. The scheduler learns of that time by steal_time.h.
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

/* In guest memory. While the version is odd, the structure is being written. */
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
    u64 start;                         /* date at VM time 0, ns since 1970; never changes, wherever the VM runs */
    u64 wall_clock;                    /* MSR: the gpa to which the guest last asked for the date */
    u64 system_time[CONFIG_MAX_VCPUS]; /* MSR of each vcpu: gpa | enable. Only its own CPU uses it */
    u32 version[CONFIG_MAX_VCPUS];     /* as last written */
    struct steal_time steal[CONFIG_MAX_VCPUS];
};

/* Create the clock of a VM. */
void pvclock_init(struct pvclock *pvclock, struct vm *vm);

/* Of struct vm_platform_ops: its MSRs, and the turns of a vcpu, which its steal time tells. */
int pvclock_read_msr(struct vcpu *vcpu, u32 msr, u64 *value);
int pvclock_write_msr(struct vcpu *vcpu, u32 msr, u64 value);
void pvclock_waits(struct vcpu *vcpu);
void pvclock_goes_on(struct vcpu *vcpu);

/* Write vcpu's structure again: its TSC offset or VM time has changed. On the vcpu's CPU, or while it is not running.
 */
void pvclock_update(struct vcpu *vcpu);

/* The same, and tell the guest that the vcpu has stood. While the vcpu is not running. */
void pvclock_stood(struct vcpu *vcpu);

/* Are vcpu's structures missing, the one of its steal time among them? Returns as guest_mem_ask. While they are, they
 * can't be written. */
int pvclock_ask(struct vcpu *vcpu);

/* INIT: the vcpu's MSRs are as after power-up. On the vcpu's CPU. */
void pvclock_receive_init(struct vcpu *vcpu);

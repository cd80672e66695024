/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest without a processor, for tests of what its exits do: a test says which exit has come, and looks at what a
 * program in the guest would notice. The backend keeps the vcpu's state in memory, as the test sets it.
 */
#pragma once

#include "hv/msr.h"
#include "hv/vm.h"
#include "hv/vcpu_state.h"

/* The sources of a guest rig are the same in each test; the test's head names them. */

#define RIG_RAM MiB(4)
#define RIG_HOLE 0xD0000000ULL /* physical addresses that no device has begin here */
#define RIG_PORT 0x500         /* 16 ports of a device that notes each access */
#define RIG_MMIO 0xE0000000ULL /* a page of it */
#define RIG_CODE 0x1000        /* where the vcpu is */

struct guest_rig {
    struct vm vm;
    struct vcpu *vcpu;
    struct vcpu_state *state; /* of that vcpu: what the backend has */
    u64 tsc;                  /* of the host */

    /* How the VM has ended, if it has: "" while it lives. */
    char end[160];
    unsigned triple_faults;

    /* Accesses to the device: what came, and what the device answers to reads. */
    struct io access[256];
    unsigned accesses;
    u64 answer;
    void (*on_access)(void); /* NULL, or called at each access */

    u8 cr8;
    unsigned tsc_changes;   /* how often the local APIC was told that the TSC has changed; */
    unsigned clock_changes; /* and the paravirtual clock */
};

extern struct guest_rig rig;

/* For cmocka: one vcpu in 64-bit mode without restrictions, its memory mapped one to one by 1-GiB pages, with all
 * features. */
int guest_rig_setup(void **state);
int guest_rig_teardown(void **state);

/* What a processor with all features shows, but for what `change` takes from its CPUID. For policies. */
struct cpuid_policy guest_rig_policy(void (*change)(u32 leaf, u32 subleaf, struct cpuid_regs *regs));

/* The vcpu's next instruction, of `len` bytes at RIG_CODE, exits so. Returns the vector of the exception that it
 * raises, or NO_FAULT; the events of the exit before are forgotten. After NO_FAULT and `skips` the vcpu is behind the
 * instruction, or else where it was: this is asserted. */
int guest_exits(const struct exit *exit, bool skips);

/* Instructions: RDMSR, WRMSR, CPUID, MOV from and to control registers, XSETBV. Vectors as above. */
int guest_rdmsr(u32 msr, u64 *value);
int guest_wrmsr(u32 msr, u64 value);
struct cpuid_regs guest_cpuid(u32 leaf, u32 subleaf);
u64 guest_read_cr(u8 cr);
int guest_write_cr(u8 cr, u64 value);
int guest_xsetbv(u32 index, u64 value);

/* Put code or data into the guest's memory. */
void guest_poke(gpa_t gpa, const void *bytes, size_t len);
u64 guest_peek(gpa_t gpa, unsigned size);

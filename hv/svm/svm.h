/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the AMD-V backend: shared by its files. No other file includes this. */
#pragma once

#include "hv/backend.h"
#include "hv/svm/vmcb.h"
#include "hv/vcpu.h"

/* The processor's features, and data that all vcpus share. svm_init writes this; it is constant afterwards. */
struct svm_shared {
    bool next_rip;       /* an instruction's exit saves the next RIP */
    bool decode_assists; /* CR exits name the register, I/O exits the segment */
    u64 cr4_always;      /* MCE: a machine check while it is off would end the machine, even in a guest */
    u32 nr_asids;        /* ASIDs are 1 to nr_asids - 1; 0 is the host's */
    hpa_t iopm, msrpm;
};

/* The backend's part of one physical CPU; cpu->backend_data. */
struct svm_cpu {
    hpa_t host_area; /* VMSAVE image of the host's own FS, GS, TR, LDTR and syscall MSRs */
    u32 next_asid;
    u64 asid_generation; /* counts the flushes of all ASIDs; at least 1 once an ASID was given */
};

/* The backend's part of one vcpu; vcpu->backend. */
struct svm_vcpu {
    struct vmcb *vmcb;
    hpa_t vmcb_pa;
    /* As the guest sees them. In the VMCB, CR4 also has cr4_always; EFER always has SVME, and LME only while it has
     * LMA. */
    u64 cr4, efer;

    /*
     * The CPU that gave the ASID in the VMCB, and its generation then. An ASID of a past generation may belong to
     * another vcpu by now.
     */
    u32 asid_cpu;
    u64 asid_generation;
    bool flush;  /* translations of the guest's own page tables are stale */
    u64 flushes; /* how often a new ASID was taken */

    /* The guest is about to execute the IRET at iret_rip that ends NMI blocking. */
    bool iret_pending;
    u64 iret_rip;

    u32 disagreements;        /* exits in a row whose instruction bytes didn't fit the exit code */
    struct vmcb_save entered; /* the save area at the last entry */
};

extern struct svm_shared svm_shared;

static inline struct svm_vcpu *svm_vcpu(const struct vcpu *vcpu)
{
    return vcpu->backend;
}

static inline void intercept_set(struct vmcb_control *control, unsigned exit_code, bool on)
{
    u32 bit = 1U << exit_code % 32;

    if (on)
        control->intercept[exit_code / 32] |= bit;
    else
        control->intercept[exit_code / 32] &= ~bit;
}

/* setup.c */
int svm_init(void);
void svm_vcpu_init(struct vcpu *vcpu);

/* state.c */
void svm_get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups);
void svm_set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups);

/* run.c */
void svm_run(struct vcpu *vcpu);

/* decode.c: fill vcpu->exit from the VMCB. rip and registers are current in vcpu. */
void svm_decode(struct vcpu *vcpu);

/* dump.c */
void svm_dump(struct vcpu *vcpu);

/*
 * entry.S: one trip into the guest. Loads and stores the general registers in regs (the VMCB holds RAX and RSP), and
 * loads the guest's and afterwards the host's VMLOAD state. GIF is 0 and interrupts are off before and after. Returns
 * NO_FAULT, or the vector of the exception that VMLOAD or VMRUN raised: then the guest was not entered.
 */
int svm_enter(u64 *regs, hpa_t vmcb, hpa_t host_area);

/* The VMRUN instruction in svm_enter. */
extern const char svm_enter_vmrun[];

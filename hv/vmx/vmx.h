/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the VT-x backend: shared by its files. No other file includes this. */
#pragma once

#include "hv/backend.h"
#include "hv/vcpu.h"
#include "hv/vmx/instructions.h"

struct cpuid_regs;

/*
 * The processor's capability MSRs (SDM 3D appendix A), the TRUE ones if they exist. They are the same on all CPUs:
 * cpu_on refuses a CPU that differs.
 */
struct vmx_caps {
    u64 basic, misc, ept_vpid;
    u64 pin, primary, secondary, exit, entry; /* set in bits 31:0: must be 1; in bits 63:32: may be 1 */
    u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

/* Controls that are the same for all vcpus and all entries. */
struct vmx_controls {
    u32 pin, primary, secondary, exit, entry;
};

/* Written by vmx_init, constant afterwards. */
struct vmx_shared {
    struct vmx_caps caps;
    struct vmx_controls controls;
    unsigned timer_rate; /* the preemption timer counts TSC >> this */
    bool has_timer;      /* the preemption timer exists; it stands still outside the guest */
    u64 longest_run;     /* TSC ticks that a guest runs at a time at most, see run.c */
    hpa_t msr_bitmap;
    u64 cr4_guest_owned;
};

#define NO_CPU (~0U)

/* The translations that run() must flush before the next entry. */
enum vmx_flush {
    FLUSH_VPID = 1, /* those of the guest's own page tables, which are stale */
    FLUSH_EPT = 2,  /* those of nested tables that had their root in the same frame earlier */
};

/* The backend's part of one vcpu; vcpu->backend. cpu->backend_data is the one whose VMCS is current on that CPU, or
 * NULL. */
struct vmx_vcpu {
    hpa_t vmcs_pa;
    u32 cpu; /* the CPU where the vcpu was resident last, which may still cache its translations. NO_CPU: none yet */

    /* For run.c, while the VMCS is current. */
    bool launched;
    bool unsettled;     /* the next entry has rare work to do: see unusual_put */
    bool may_block_nmi; /* NMIs were blocked at the last entry, or it injected one */
    u32 flush;          /* enum vmx_flush; if not 0, unsettled is true */
    u64 tsc_offset;     /* in the VMCS */
    u64 tsc_ratio;      /* in the VMCS, if the processor scales */
    u64 timer_until;    /* the run_until for which the preemption timer is set; 0: not set */
    u32 timer_entries;  /* entries until the timer is corrected */

    /* The CPU holds these while the vcpu is resident, else they are here. */
    struct syscall_msrs syscall;
    u64 dr6;

    u64 eptp;
    u16 vpid; /* 0: the processor has no VPIDs, and flushes at each entry and exit */
    u64 ept_flushes, vpid_flushes;

    u64 *pml;                /* the PML buffer, one page; NULL: never needed so far */
    bool pml_wanted, pml_on; /* PML is on from the next entry on; it is on in the VMCS */
};

extern struct vmx_shared vmx_shared;

static inline struct vmx_vcpu *vmx_vcpu(const struct vcpu *vcpu)
{
    return vcpu->backend;
}

/* CR0 bits that the guest changes without an exit, because they neither change its mode nor need a check. */
#define CR0_GUEST_OWNED (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM)

/* caps.c */
void vmx_caps_read(struct vmx_caps *caps);

/* Choose the controls that we use, adjusted to caps. False: a control that we need is missing; the log names it. */
bool vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *controls);

/*
 * May large EPT pages be executed on this processor? Decided by CPUID leaf 0, EAX of leaf 1 (`signature`), and
 * IA32_ARCH_CAPABILITIES (0 if the processor lacks that MSR). Some processors raise a machine check, which ends the
 * machine, when code is fetched from a page that their instruction TLB holds in two sizes; a guest can cause this
 * (CVE-2018-12207, Intel's paper "Machine Check Error Avoidance on Page Size Change").
 */
bool multihit_safe(const struct cpuid_regs *leaf0, u32 signature, u64 arch_capabilities);

/* setup.c */
int vmx_init(void);
void vmx_vcpu_init(struct vcpu *vcpu);
void vmx_vcpu_fini(struct vcpu *vcpu);

/* Write the vcpu's TSC offset and its VM's ratio into the current VMCS. */
void vmx_tsc_put(const struct vcpu *vcpu);
bool vmx_restore(struct vcpu *vcpu);
void vmx_save(struct vcpu *vcpu);

/* Read the syscall MSRs of this CPU, or give it the vcpu's from vmx->syscall; false: as cpu_took. */
struct syscall_msrs vmx_syscall_get(void);
bool vmx_syscall_put(struct vcpu *vcpu);

/*
 * vmx_borrow makes this VMCS current, if it isn't, and returns the one that was; vmx_return undoes that. For reading or
 * changing the state of a vcpu that is not resident. Between the two calls, call nothing else of the backend.
 */
struct vmx_vcpu *vmx_borrow(struct vmx_vcpu *vmx);
void vmx_return(struct vmx_vcpu *vmx, struct vmx_vcpu *previous);

/* state.c */
void vmx_get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups);
void vmx_set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups);

/* CR0 as the guest sees it. The VMCS is current. */
u64 vmx_guest_cr0(void);

/* run.c */
void vmx_run(struct vcpu *vcpu);

/*
 * decode.c: fill vcpu->exit, and vcpu->event if a delivery was interrupted. The VMCS is current; rip, rflags, registers
 * and shadow are up to date in vcpu.
 */
void vmx_decode(struct vcpu *vcpu, u64 reason);

/* Fill vcpu->exit after VMLAUNCH or VMRESUME itself has failed. */
enum vmx_entry { VMX_ENTERED, VMX_FAIL_INVALID, VMX_FAIL_VALID, VMX_FAULT /* plus the vector of an exception */ };
void vmx_decode_refused(struct vcpu *vcpu, enum vmx_entry result);

/* pml.c */
int vmx_dirty_log(struct vm *vm, bool on);

/* Switch PML on or off in the VMCS, which is current, as pml_wanted says. */
void vmx_pml_switch(struct vmx_vcpu *vmx);

/* After an exit, with pml_on: empty the buffer. */
void vmx_pml_drain(struct vcpu *vcpu);

/* dump.c */
void vmx_dump(struct vcpu *vcpu);

/*
 * entry.S: one trip into the guest, by VMRESUME if launched, else by VMLAUNCH. Loads and stores the general registers
 * except RSP, which the VMCS holds. Interrupts off before and after.
 */
enum vmx_entry vmx_enter(u64 *regs, bool launched);

/* The address at which exits arrive: HOST_RIP. */
extern char vmx_exit_landing[];

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The architectural state of a virtual processor, the same for both vendors: reset fills this struct, emulation reads
 * and changes it, migration encodes it. Backends translate it to and from VMCS and VMCB.
 */
#pragma once

#include "host/x86.h"

struct segment {
    u16 selector;
    u32 attr;  /* SEG_* of host/x86.h */
    u32 limit; /* in bytes: granularity is applied already */
    u64 base;
};

struct table_register {
    u16 limit;
    u64 base;
};

/* The MSRs of the two ways into a kernel, in the order of a VMCB. */
struct syscall_msrs {
    u64 star, lstar, cstar, fmask, kernel_gs_base;
};

struct sysenter_msrs {
    u64 cs, esp, eip;
};

/*
 * The state is divided into groups, so that a caller reads only those that it needs. RIP, RFLAGS, general registers,
 * CR2, the pending event and the interrupt shadow are not here: they are in struct vcpu, and current between runs.
 */
enum state_group {
    STATE_CR = 1,       /* cr0 cr3 cr4 efer pdpte */
    STATE_SEGMENTS = 2, /* seg gdtr idtr */
    STATE_MSRS = 4,     /* syscall sysenter pat */
    STATE_DEBUG = 8,    /* dr6 dr7; dr0 to dr3 are in struct vcpu */
    STATE_ALL = 15,
};

struct vcpu_state {
    /* STATE_CR: values as the guest sees them. The caller of set() keeps them consistent: EFER.LMA = LME and PG. */
    u64 cr0, cr3, cr4, efer;
    u64 pdpte[4];        /* PAE paging: the entries that the last write of CR3, CR0 or CR4 loaded */
    bool pdptes_missing; /* get() has to read them from a missing page, which it has asked for */

    /* STATE_SEGMENTS */
    struct segment seg[NR_SEGS]; /* FS and GS bases are MSR_FS_BASE and MSR_GS_BASE */
    struct table_register gdtr, idtr;

    /* STATE_MSRS */
    struct syscall_msrs syscall;
    struct sysenter_msrs sysenter;
    u64 pat;

    /* STATE_DEBUG */
    u64 dr6, dr7;
};

/* Is PAE paging on: does the processor use pdpte? */
static inline bool state_has_pdptes(const struct vcpu_state *state)
{
    return (state->cr0 & CR0_PG) && (state->cr4 & CR4_PAE) && !(state->efer & EFER_LMA);
}

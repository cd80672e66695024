/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of its processor: an allow-list, the same on both vendors where they agree, so that a guest can
 * move. docs/cpuid.md lists it.
 */
#pragma once

#include "host/asm.h"
#include "host/x86.h"
#include "host/types.h"

struct vcpu;

#define CPUID_BASIC 14   /* leaves 0 to 0Dh */
#define CPUID_EXTENDED 9 /* leaves 80000000h to 80000008h */

#define XSAVE_LEGACY_BYTES 576U /* of an XSAVE area: the registers that FXSAVE knows, and the header */

/* What a guest was shown at its boot, and keeps wherever it moves. Zero where a leaf is not offered. */
struct cpuid_policy {
    struct cpuid_regs basic[CPUID_BASIC], extended[CPUID_EXTENDED];
    u32 xsave_forms;             /* leaf 0Dh, subleaf 1, EAX */
    struct cpuid_regs xsave_avx; /* leaf 0Dh, subleaf 2 */
    u64 xcr0;                    /* bits that may be set; 0: no XSAVE */
};

/* Compute what this host offers; once, on the boot processor. */
void cpuid_init(void);

/* What a guest that boots here is shown: all that this host offers. */
const struct cpuid_policy *cpuid_host_policy(void);

/* The guest's answer to CPUID leaf/subleaf. */
struct cpuid_regs cpuid_guest(const struct vcpu *vcpu, u32 leaf, u32 subleaf);

/* Bits that a guest may set, by its CPUID: others fault. */
u64 cpuid_cr4_mask(const struct cpuid_policy *policy);
u64 cpuid_efer_mask(const struct cpuid_policy *policy);
u8 cpuid_maxphyaddr(void);

/* A value that XSETBV takes, of the components that we know (SDM 1 "Enabling the XSAVE Feature Set"): x87 always, AVX
 * only with SSE. */
static inline bool cpuid_xcr0_legal(u64 xcr0)
{
    return (xcr0 & XCR0_X87) && (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE));
}

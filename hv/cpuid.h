/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor that CPUID shows to a guest. The features are an allow-list, the same on both vendors if these agree,
 * so that a guest can move. docs/cpuid.md lists them.
 */
#pragma once

#include "host/asm.h"
#include "host/x86.h"
#include "host/types.h"

struct vcpu;

#define CPUID_BASIC 14   /* leaves 0 to 0Dh */
#define CPUID_EXTENDED 9 /* leaves 80000000h to 80000008h */

#define XSAVE_LEGACY_BYTES 576U /* of an XSAVE area: the registers that FXSAVE saves, and the header */

/* The CPUID values that a guest was shown at its boot and keeps wherever it moves. A leaf not offered is zero. */
struct cpuid_policy {
    struct cpuid_regs basic[CPUID_BASIC], extended[CPUID_EXTENDED];
    u32 xsave_forms;             /* leaf 0Dh, subleaf 1, EAX */
    struct cpuid_regs xsave_avx; /* leaf 0Dh, subleaf 2 */
    u64 xcr0;                    /* bits that the guest may set; 0: no XSAVE */
};

/* Compute the policy that this host offers. Once, on the boot processor. */
void cpuid_init(void);

/* The policy of a guest that boots here: all that this host offers. */
const struct cpuid_policy *cpuid_host_policy(void);

/* The guest's answer to CPUID leaf/subleaf. */
struct cpuid_regs cpuid_guest(const struct vcpu *vcpu, u32 leaf, u32 subleaf);

/* The bits of CR4 and EFER that a guest may set by its CPUID; other bits fault. */
u64 cpuid_cr4_mask(const struct cpuid_policy *policy);
u64 cpuid_efer_mask(const struct cpuid_policy *policy);

/* Does XSETBV take this value, as far as we know the components (SDM 1 "Enabling the XSAVE Feature Set")? x87 must be
 * set, and AVX needs SSE. */
static inline bool cpuid_xcr0_legal(u64 xcr0)
{
    return (xcr0 & XCR0_X87) && (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE));
}

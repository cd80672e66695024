/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of its processor: an allow-list, the same on both vendors where they agree, so that a guest can
 * move. docs/cpuid.md lists it.
 */
#pragma once

#include "hv/cpu/asm.h"
#include "hv/lib/types.h"

struct vcpu;

/* Compute the policy from the host CPU; once, on the boot processor. */
void cpuid_init(void);

/* The guest's answer to CPUID leaf/subleaf. */
struct cpuid_regs cpuid_guest(const struct vcpu *vcpu, u32 leaf, u32 subleaf);

/* Bits that a guest may set, by its CPUID: others fault. */
u64 cpuid_cr4_mask(void);
u64 cpuid_efer_mask(void);
u64 cpuid_xcr0_mask(void);
u8 cpuid_maxphyaddr(void);

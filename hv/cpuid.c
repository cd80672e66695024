/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers to a guest's CPUID: its policy (cpuid_policy.c), and values that depend on the vcpu and the VM. */
#define LOG_PREFIX "cpuid"
#include "hv/cpuid.h"

#include <string.h>

#include "host/x86.h"
#include "hv/cpuid_features.h"
#include "config/guest_abi.h"
#include "host/log.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

/* Leaf 1: the CPU's own values in EBX, and bits that are no features of ours. */
#define EBX_APIC_ID(id) ((id) << 24)
#define EBX_LOGICAL_CPUS(count) ((count) << 16)
#define ECX_XSAVE BIT(26)
#define ECX_OSXSAVE BIT(27)
#define EDX_HTT BIT(28)

/* Leaf 0Bh: what a level of the topology is. */
#define ECX_LEVEL_SMT (1 << 8)
#define ECX_LEVEL_CORE (2 << 8)

static struct cpuid_policy host_policy;

/* This CPU has XSAVE if its CR4 took OSXSAVE (host/cpu.c). */
static struct cpuid_regs host_cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = cpuid(leaf, subleaf);

    if (leaf == 1 && (r.ecx & ECX_XSAVE) && !(read_cr4() & CR4_OSXSAVE)) {
        pr_warn("this processor shows XSAVE, but can't turn it on: guests have x87 and SSE only");
        r.ecx &= ~ECX_XSAVE;
    }
    return r;
}

void cpuid_init(void)
{
    cpuid_policy_make(&host_policy, host_cpuid);
}

const struct cpuid_policy *cpuid_host_policy(void)
{
    return &host_policy;
}

static const struct cpuid_policy *policy_of(const struct vcpu *vcpu)
{
    return &vcpu->vm->identity.cpuid;
}

/* The guest's XCR0: CPUID exits while the vcpu is resident, so the CPU has it (it may have changed without an exit, see
 * resident.c). */
static u64 guest_xcr0(const struct vcpu *vcpu)
{
    return vcpu->osxsave ? xgetbv(0) & policy_of(vcpu)->xcr0 : vcpu->xcr0;
}

/* Bytes that XSAVEC and XSAVES write for the guest's XCR0. They put the components side by side; AVX is the only one
 * and aligned anyway. */
static u32 compacted_size(const struct vcpu *vcpu)
{
    return XSAVE_LEGACY_BYTES + (guest_xcr0(vcpu) & XCR0_AVX ? policy_of(vcpu)->xsave_avx.eax : 0);
}

/* Leaf 0Dh. Sizes in subleaf 0 are those of the standard form. */
static struct cpuid_regs leaf_xsave(const struct vcpu *vcpu, u32 subleaf)
{
    const struct cpuid_policy *policy = policy_of(vcpu);
    u32 avx_end = policy->xsave_avx.eax + policy->xsave_avx.ebx;

    if (!policy->xcr0)
        return (struct cpuid_regs){ 0 };
    switch (subleaf) {
    case 0:
        return (struct cpuid_regs){
            .eax = policy->xcr0,
            .ebx = guest_xcr0(vcpu) & XCR0_AVX ? avx_end : XSAVE_LEGACY_BYTES,
            .ecx = policy->xcr0 & XCR0_AVX ? avx_end : XSAVE_LEGACY_BYTES,
        };
    case 1:
        return (struct cpuid_regs){ .eax = policy->xsave_forms, .ebx = policy->xsave_forms ? compacted_size(vcpu) : 0 };
    case 2: return policy->xsave_avx;
    default: return (struct cpuid_regs){ 0 };
    }
}

/* Leaf 0Bh: one thread a core, all cores in one package. */
static struct cpuid_regs leaf_topology(const struct vcpu *vcpu, u32 subleaf)
{
    u32 count = vcpu->vm->nr_vcpus, shift = count > 1 ? 32 - __builtin_clz(count - 1) : 0;
    struct cpuid_regs r = { .ecx = subleaf, .edx = vcpu->id };

    if (subleaf == 0) {
        r.ebx = 1;
        r.ecx |= ECX_LEVEL_SMT;
    } else if (subleaf == 1) {
        r.eax = shift;
        r.ebx = count;
        r.ecx |= ECX_LEVEL_CORE;
    }
    return r;
}

/* The first leaf of a hypervisor's range: the last leaf, and a name of 12 bytes. */
static struct cpuid_regs leaf_range(u32 last, const char *name)
{
    struct cpuid_regs r = { .eax = last };

    memcpy(&r.ebx, name, 4);
    memcpy(&r.ecx, name + 4, 4);
    memcpy(&r.edx, name + 8, 4);
    return r;
}

static struct cpuid_regs leaf_hypervisor(const struct vcpu *vcpu, u32 leaf)
{
    switch (leaf) {
    case GODWIT_CPUID_BASE: return leaf_range(GODWIT_CPUID_TIMING, "GodwitGodwit");
    case GODWIT_CPUID_TIMING:
        return (struct cpuid_regs){ .eax = (u32)vcpu->vm->tsc.khz, .ebx = GODWIT_APIC_TIMER_HZ / 1000 };
    case KVM_CPUID_BASE: return leaf_range(KVM_CPUID_FEATURES, "KVMKVMKVM\0\0");
    case KVM_CPUID_FEATURES: return (struct cpuid_regs){ .eax = KVM_FEATURES };
    default: return (struct cpuid_regs){ 0 };
    }
}

static struct cpuid_regs leaf_basic(const struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = policy_of(vcpu)->basic[leaf];

    switch (leaf) {
    case 1:
        r.ebx |= EBX_APIC_ID(vcpu->id) | EBX_LOGICAL_CPUS(vcpu->vm->nr_vcpus);
        if (vcpu->osxsave)
            r.ecx |= ECX_OSXSAVE;
        if (vcpu->vm->nr_vcpus > 1)
            r.edx |= EDX_HTT;
        return r;
    case 7: return subleaf == 0 ? r : (struct cpuid_regs){ 0 };
    case 0xB: return leaf_topology(vcpu, subleaf);
    case 0xD: return leaf_xsave(vcpu, subleaf);
    default: return r;
    }
}

struct cpuid_regs cpuid_guest(const struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
    if (leaf < CPUID_BASIC)
        return leaf_basic(vcpu, leaf, subleaf);
    if (leaf - 0x80000000 < CPUID_EXTENDED)
        return policy_of(vcpu)->extended[leaf & 0xFF];
    return leaf_hypervisor(vcpu, leaf);
}

u64 cpuid_cr4_mask(const struct cpuid_policy *policy)
{
    static const struct {
        u64 bits;
        enum cpuid_feature feature;
    } by_feature[] = {
        { CR4_VME | CR4_PVI, FEATURE_VME }, { CR4_TSD, FEATURE_TSC },           { CR4_DE, FEATURE_DE },
        { CR4_PSE, FEATURE_PSE },           { CR4_PAE, FEATURE_PAE },           { CR4_MCE, FEATURE_MCE },
        { CR4_PGE, FEATURE_PGE },           { CR4_OSFXSR, FEATURE_FXSR },       { CR4_OSXMMEXCPT, FEATURE_SSE },
        { CR4_OSXSAVE, FEATURE_XSAVE },     { CR4_FSGSBASE, FEATURE_FSGSBASE }, { CR4_SMEP, FEATURE_SMEP },
        { CR4_SMAP, FEATURE_SMAP },         { CR4_UMIP, FEATURE_UMIP },
    };
    u64 mask = CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(by_feature); i++)
        if (cpuid_has(policy, by_feature[i].feature))
            mask |= by_feature[i].bits;
    return mask;
}

u64 cpuid_efer_mask(const struct cpuid_policy *policy)
{
    return (cpuid_has(policy, FEATURE_SYSCALL) ? EFER_SCE : 0) | (cpuid_has(policy, FEATURE_LM) ? EFER_LME : 0) |
           (cpuid_has(policy, FEATURE_NX) ? EFER_NXE : 0);
}

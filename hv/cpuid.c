/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feature policy. Each mask below is what we are ready to virtualize and to carry to another host; the host's own
 * bits are cut to it once, at boot. Bits we emulate are added whatever the host has. Topology, APIC ids and OSXSAVE
 * depend on the vcpu and are filled in when asked.
 */
#include "hv/cpuid.h"

#include <string.h>

#include "hv/cpu/clock.h"
#include "hv/cpu/x86.h"
#include "hv/guest_abi.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/guest_walk.h"

/* Leaf 1 ECX */
#define SSE3 BIT(0)
#define PCLMULQDQ BIT(1)
#define SSSE3 BIT(9)
#define FMA BIT(12)
#define CX16 BIT(13)
#define SSE4_1 BIT(19)
#define SSE4_2 BIT(20)
#define X2APIC BIT(21)
#define MOVBE BIT(22)
#define POPCNT BIT(23)
#define TSC_DEADLINE BIT(24)
#define AESNI BIT(25)
#define XSAVE BIT(26)
#define OSXSAVE BIT(27)
#define AVX BIT(28)
#define F16C BIT(29)
#define RDRAND BIT(30)
#define HYPERVISOR BIT(31)
#define LEAF1_ECX \
    (SSE3 | PCLMULQDQ | SSSE3 | FMA | CX16 | SSE4_1 | SSE4_2 | MOVBE | POPCNT | AESNI | XSAVE | AVX | F16C | RDRAND)
#define LEAF1_ECX_EMULATED (X2APIC | TSC_DEADLINE | HYPERVISOR)

/* Leaf 1 EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2; not DS,
 * ACPI, SS, HTT, TM, PBE */
#define LEAF1_EDX 0x078BFBFFU
#define HTT BIT(28)
#define CLFLUSH_BYTES 64U

/* Leaf 6 EAX */
#define ARAT BIT(2)

/* Leaf 7 */
#define LEAF7_EBX                                                                                                   \
    (BIT(0) /* FSGSBASE */ | BIT(3) /* BMI1 */ | BIT(5) /* AVX2 */ | BIT(7) /* SMEP */ | BIT(8) /* BMI2 */ |        \
     BIT(9) /* ERMS */ | BIT(18) /* RDSEED */ | BIT(19) /* ADX */ | BIT(20) /* SMAP */ | BIT(23) /* CLFLUSHOPT */ | \
     BIT(24) /* CLWB */ | BIT(29) /* SHA */)
#define LEAF7_ECX BIT(2) /* UMIP */
#define LEAF7_EDX BIT(4) /* FSRM */

/* Leaf 0Dh, subleaf 1 EAX: XSAVEOPT XSAVEC XGETBV1; not XSAVES, which needs MSR_XSS */
#define XSAVE_FORMS BITS(2, 0)
#define POLICY_XCR0 (XCR0_X87 | XCR0_SSE | XCR0_AVX)
#define XSAVE_LEGACY_SIZE 576U /* legacy region and header */

/* Leaf 80000001h: LAHF, ABM, PREFETCHW; SYSCALL NX PDPE1GB RDTSCP LM. AMD repeats leaf 1's EDX here. */
#define EXT1_ECX (BIT(0) | BIT(5) | BIT(8))
#define EXT1_EDX (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
#define EXT1_EDX_AMD_ALIAS 0x0183F3FFU

#define MAX_BASIC 0xDU
#define MAX_EXTENDED 0x80000008U

_Static_assert(MAX_BASIC + 1 == CPUID_BASIC && (MAX_EXTENDED & 0xFF) + 1 == CPUID_EXTENDED, "leaves of a policy");

static struct cpuid_policy host_policy;

static void init_basic(struct cpuid_policy *policy)
{
    struct cpuid_regs *basic = policy->basic, host = cpuid(1, 0);

    basic[0] = cpuid(0, 0);
    basic[0].eax = MAX_BASIC;
    basic[1] = (struct cpuid_regs){
        .eax = host.eax,
        .ebx = CLFLUSH_BYTES / 8 << 8,
        .ecx = (host.ecx & LEAF1_ECX) | LEAF1_ECX_EMULATED,
        .edx = host.edx & LEAF1_EDX,
    };
    if (!(host.ecx & XSAVE))
        basic[1].ecx &= ~(XSAVE | AVX | FMA | F16C);
    basic[6].eax = ARAT;
    host = cpuid(7, 0);
    basic[7] =
        (struct cpuid_regs){ .ebx = host.ebx & LEAF7_EBX, .ecx = host.ecx & LEAF7_ECX, .edx = host.edx & LEAF7_EDX };
}

static void init_xsave(struct cpuid_policy *policy)
{
    struct cpuid_regs *basic = policy->basic;

    if (!(basic[1].ecx & XSAVE))
        return;
    policy->xcr0 = cpuid(0xD, 0).eax & POLICY_XCR0;
    policy->xsave_forms = cpuid(0xD, 1).eax & XSAVE_FORMS;
    if (policy->xcr0 & XCR0_AVX) {
        policy->xsave_avx = cpuid(0xD, 2);
    } else {
        basic[1].ecx &= ~(AVX | FMA | F16C);
        basic[7].ebx &= ~BIT(5);
    }
}

static void init_extended(struct cpuid_policy *policy)
{
    static const char brand[48] = "Godwit virtual processor";
    struct cpuid_regs *basic = policy->basic, *extended = policy->extended, host = cpuid(0x80000001, 0);
    u32 edx = EXT1_EDX;

    extended[0] =
        (struct cpuid_regs){ .eax = MAX_EXTENDED, .ebx = basic[0].ebx, .ecx = basic[0].ecx, .edx = basic[0].edx };
    /* "AuthenticAMD" repeats the basic features; Intel has zeros there. */
    if (host.edx & BIT(0))
        edx |= EXT1_EDX_AMD_ALIAS;
    extended[1] = (struct cpuid_regs){ .eax = host.eax, .ecx = host.ecx & EXT1_ECX, .edx = host.edx & edx };
    memcpy(&extended[2], brand, sizeof(brand));
    extended[8].eax = GUEST_MAXPHYADDR | 48 << 8;
}

void cpuid_init(void)
{
    init_basic(&host_policy);
    init_xsave(&host_policy);
    init_extended(&host_policy);
}

const struct cpuid_policy *cpuid_host_policy(void)
{
    return &host_policy;
}

static const struct cpuid_policy *policy_of(const struct vcpu *vcpu)
{
    return &vcpu->vm->identity.cpuid;
}

/* The guest's XCR0: CPUID exits while the vcpu is loaded, so the CPU has it (it may have changed without an exit, see
 * load.c). */
static u64 guest_xcr0(const struct vcpu *vcpu)
{
    return vcpu->osxsave ? xgetbv(0) & policy_of(vcpu)->xcr0 : vcpu->xcr0;
}

/* Bytes that XSAVEC and XSAVES write for the guest's XCR0: the components side by side; AVX, the only one, is aligned
 * anyway. */
static u32 compacted_size(const struct vcpu *vcpu)
{
    return XSAVE_LEGACY_SIZE + (guest_xcr0(vcpu) & XCR0_AVX ? policy_of(vcpu)->xsave_avx.eax : 0);
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
            .ebx = guest_xcr0(vcpu) & XCR0_AVX ? avx_end : XSAVE_LEGACY_SIZE,
            .ecx = policy->xcr0 & XCR0_AVX ? avx_end : XSAVE_LEGACY_SIZE,
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
        r.ecx |= 1 << 8; /* SMT */
    } else if (subleaf == 1) {
        r.eax = shift;
        r.ebx = count;
        r.ecx |= 2 << 8; /* core */
    }
    return r;
}

static struct cpuid_regs leaf_hypervisor(const struct vcpu *vcpu, u32 leaf)
{
    struct cpuid_regs r = { 0 };

    if (leaf == GODWIT_CPUID_BASE) {
        r.eax = GODWIT_CPUID_TIMING;
        memcpy(&r.ebx, "Godw", 4);
        memcpy(&r.ecx, "itGo", 4);
        memcpy(&r.edx, "dwit", 4);
    } else if (leaf == GODWIT_CPUID_TIMING) {
        r.eax = (u32)vcpu->vm->tsc.khz;
        r.ebx = GODWIT_APIC_TIMER_HZ / 1000;
    } else if (leaf == KVM_CPUID_BASE) {
        r.eax = KVM_CPUID_FEATURES;
        memcpy(&r.ebx, "KVMK", 4);
        memcpy(&r.ecx, "VMKV", 4);
        memcpy(&r.edx, "M\0\0\0", 4);
    } else if (leaf == KVM_CPUID_FEATURES) {
        r.eax = KVM_FEATURES;
    }
    return r;
}

static struct cpuid_regs leaf_basic(const struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
    struct cpuid_regs r = policy_of(vcpu)->basic[leaf];

    switch (leaf) {
    case 1:
        r.ebx |= vcpu->id << 24 | vcpu->vm->nr_vcpus << 16;
        if (vcpu->osxsave)
            r.ecx |= OSXSAVE;
        if (vcpu->vm->nr_vcpus > 1)
            r.edx |= HTT;
        return r;
    case 7: return subleaf == 0 ? r : (struct cpuid_regs){ 0 };
    case 0xB: return leaf_topology(vcpu, subleaf);
    case 0xD: return leaf_xsave(vcpu, subleaf);
    default: return r;
    }
}

struct cpuid_regs cpuid_guest(const struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
    if (leaf <= MAX_BASIC)
        return leaf_basic(vcpu, leaf, subleaf);
    if (leaf >= 0x80000000 && leaf <= MAX_EXTENDED)
        return policy_of(vcpu)->extended[leaf & 0xFF];
    return leaf_hypervisor(vcpu, leaf);
}

u64 cpuid_cr4_mask(const struct cpuid_policy *policy)
{
    const struct cpuid_regs *leaf7 = &policy->basic[7];
    u64 mask = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
               CR4_OSXMMEXCPT;

    if (policy->xcr0)
        mask |= CR4_OSXSAVE;
    if (leaf7->ebx & BIT(0))
        mask |= CR4_FSGSBASE;
    if (leaf7->ebx & BIT(7))
        mask |= CR4_SMEP;
    if (leaf7->ebx & BIT(20))
        mask |= CR4_SMAP;
    if (leaf7->ecx & BIT(2))
        mask |= CR4_UMIP;
    return mask;
}

u64 cpuid_efer_mask(const struct cpuid_policy *policy)
{
    return EFER_SCE | EFER_LME | (policy->extended[1].edx & BIT(20) ? EFER_NXE : 0);
}

u8 cpuid_maxphyaddr(void)
{
    return GUEST_MAXPHYADDR;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what the processor offers to what we use (SDM 3D appendix A "VMX Capability Reporting Facility"). Each control
 * and feature that we want is a row below. docs/vmx.md says what each is for.
 */
#define LOG_PREFIX "vmx"
#include "hv/vmx/vmx.h"

#include "host/asm.h"
#include "host/msr_index.h"
#include "host/log.h"

#define CONTROL(group, bit, name)                                \
    {                                                            \
        offsetof(struct vmx_caps, group), (u64)(bit) << 32, name \
    }
#define FEATURE(group, bits, name)                   \
    {                                                \
        offsetof(struct vmx_caps, group), bits, name \
    }

static const struct wish {
    size_t group;     /* offset in struct vmx_caps */
    u64 bits;         /* there; any of them will do. A control is there in the half that says what may be 1 */
    const char *name; /* for the log; NULL: we can do without */
} wishes[] = {
    CONTROL(pin, PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"),
    CONTROL(pin, PIN_NMI, "NMI exiting"),
    CONTROL(pin, PIN_VIRTUAL_NMIS, "virtual NMIs"),
    CONTROL(pin, PIN_PREEMPTION_TIMER, NULL),
    CONTROL(primary, PRIMARY_TSC_OFFSETTING, "TSC offsetting"),
    CONTROL(primary, PRIMARY_HLT, "HLT exiting"),
    CONTROL(primary, PRIMARY_MWAIT, "MWAIT exiting"),
    CONTROL(primary, PRIMARY_RDPMC, "RDPMC exiting"),
    CONTROL(primary, PRIMARY_CR8_LOAD, "CR8-load exiting"),
    CONTROL(primary, PRIMARY_CR8_STORE, "CR8-store exiting"),
    CONTROL(primary, PRIMARY_UNCONDITIONAL_IO, "unconditional I/O exiting"),
    CONTROL(primary, PRIMARY_MSR_BITMAPS, "MSR bitmaps"),
    CONTROL(primary, PRIMARY_MONITOR, "MONITOR exiting"),
    CONTROL(primary, PRIMARY_SECONDARY, "secondary controls"),
    /* RDTSCP is added for each vcpu by its CPUID (setup.c). */
    CONTROL(secondary, SECONDARY_EPT, "EPT"),
    CONTROL(secondary, SECONDARY_UNRESTRICTED_GUEST, "unrestricted guest"),
    CONTROL(secondary, SECONDARY_VPID, NULL),
    CONTROL(secondary, SECONDARY_WBINVD, NULL),
    CONTROL(secondary, SECONDARY_TSC_SCALING, NULL),
    CONTROL(exit, EXIT_SAVE_DEBUG, "saving of debug controls at exits"),
    CONTROL(exit, EXIT_HOST_64BIT, "a 64-bit host"),
    CONTROL(exit, EXIT_LOAD_PAT, "loading of PAT at exits"),
    CONTROL(exit, EXIT_LOAD_EFER, "loading of EFER at exits"),
    CONTROL(exit, EXIT_SAVE_TIMER, NULL),
    CONTROL(entry, ENTRY_LOAD_DEBUG, "loading of debug controls at entries"),
    CONTROL(entry, ENTRY_LOAD_PAT, "loading of PAT at entries"),
    CONTROL(entry, ENTRY_LOAD_EFER, "loading of EFER at entries"),
    FEATURE(ept_vpid, EPT_CAP_4_LEVELS, "4-level EPT"),
    FEATURE(ept_vpid, EPT_CAP_WRITE_BACK, "write-back EPT tables"),
    FEATURE(ept_vpid, EPT_CAP_2M, "2 MiB EPT pages"),
    FEATURE(ept_vpid, EPT_CAP_INVEPT, "INVEPT"),
    FEATURE(ept_vpid, EPT_CAP_INVEPT_CONTEXT, "INVEPT of a context"),
    FEATURE(basic, BASIC_INSTRUCTION_INFO, "information about INS and OUTS"),
};

static u64 control_msr(u64 basic, u32 msr, u32 true_msr)
{
    return rdmsr(basic & BASIC_TRUE_CONTROLS ? true_msr : msr);
}

void vmx_caps_read(struct vmx_caps *caps)
{
    u64 basic = rdmsr(MSR_VMX_BASIC);

    *caps = (struct vmx_caps){
        .basic = basic,
        .misc = rdmsr(MSR_VMX_MISC),
        .pin = control_msr(basic, MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS),
        .primary = control_msr(basic, MSR_VMX_PROCBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS),
        .exit = control_msr(basic, MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS),
        .entry = control_msr(basic, MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS),
        .cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0),
        .cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1),
        .cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0),
        .cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1),
    };
    /* Each of these two MSRs exists only if the control before it does. */
    if (caps->primary >> 32 & PRIMARY_SECONDARY)
        caps->secondary = rdmsr(MSR_VMX_PROCBASED_CTLS2);
    if (caps->secondary >> 32 & SECONDARY_EPT)
        caps->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
}

static u64 word_of(const struct vmx_caps *caps, size_t group)
{
    return *(const u64 *)((const u8 *)caps + group);
}

/* The controls that must be 1, and those of our wishes that may be 1. */
static u32 choose(const struct vmx_caps *caps, size_t group)
{
    u64 word = word_of(caps, group);
    u32 controls = word;

    for (unsigned i = 0; i < ARRAY_SIZE(wishes); i++)
        if (wishes[i].group == group)
            controls |= (word & wishes[i].bits) >> 32;
    return controls;
}

/* Is all there that we can't do without? The log names what is missing. */
static bool granted(const struct vmx_caps *caps)
{
    bool all = true;

    for (unsigned i = 0; i < ARRAY_SIZE(wishes); i++) {
        if (!wishes[i].name || (word_of(caps, wishes[i].group) & wishes[i].bits))
            continue;
        pr_err("this processor lacks %s", wishes[i].name);
        all = false;
    }
    return all;
}

bool vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *controls)
{
    *controls = (struct vmx_controls){
        .pin = choose(caps, offsetof(struct vmx_caps, pin)),
        .primary = choose(caps, offsetof(struct vmx_caps, primary)),
        .secondary = choose(caps, offsetof(struct vmx_caps, secondary)),
        .exit = choose(caps, offsetof(struct vmx_caps, exit)),
        .entry = choose(caps, offsetof(struct vmx_caps, entry)),
    };
    /* We can use the timer only if it goes on from its saved value. */
    if (!(controls->pin & PIN_PREEMPTION_TIMER) || !(controls->exit & EXIT_SAVE_TIMER)) {
        controls->pin &= ~PIN_PREEMPTION_TIMER;
        controls->exit &= ~EXIT_SAVE_TIMER;
    }
    /* VPID without a way to flush one is worse than none. */
    if (!(caps->ept_vpid & VPID_CAP_INVVPID) || !(caps->ept_vpid & VPID_CAP_CONTEXT))
        controls->secondary &= ~SECONDARY_VPID;
    return granted(caps);
}

/* --- Machine Check Error Avoidance on Page Size Change --- */

#define GENUINE_INTEL_EBX 0x756E6547
#define AFFECTED_FAMILY 6

/* Of that family: Atom and Xeon Phi, whose instruction TLBs are others. */
static const u8 safe_models[] = {
    0x37, 0x4A, 0x4D, /* Silvermont */
    0x4C, 0x5A, 0x75, /* Airmont */
    0x5C, 0x5F, 0x7A, /* Goldmont, Goldmont Plus */
    0x86, 0x96, 0x9C, /* Tremont */
    0x57, 0x85,       /* Knights Landing, Knights Mill */
};

/* SDM 2A "CPUID", EAX of leaf 1; the extended model counts in family 6. */
static bool model_is_safe(u32 signature)
{
    u8 model = (u8)((signature >> 4 & 0xF) | (signature >> 12 & 0xF0));

    if ((signature >> 8 & 0xF) != AFFECTED_FAMILY)
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(safe_models); i++)
        if (safe_models[i] == model)
            return true;
    return false;
}

bool multihit_safe(const struct cpuid_regs *leaf0, u32 signature, u64 arch_capabilities)
{
    return leaf0->ebx != GENUINE_INTEL_EBX || (arch_capabilities & ARCH_CAPABILITIES_PSCHANGE_MC_NO) ||
           model_is_safe(signature);
}

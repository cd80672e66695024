/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what the processor offers to what we use (SDM 3D appendix A "VMX Capability Reporting Facility"). Each control
 * that we want is a row below, with its name for the log. docs/vmx.md says what each is for.
 */
#define LOG_PREFIX "vmx"
#include "hv/vmx/vmx.h"

#include "host/asm.h"
#include "host/msr_index.h"
#include "host/log.h"

struct wish {
    u64 bit;
    const char *name;
    bool optional;
};

static const struct wish pin_wishes[] = {
    { PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting", false },
    { PIN_NMI, "NMI exiting", false },
    { PIN_VIRTUAL_NMIS, "virtual NMIs", false },
    { PIN_PREEMPTION_TIMER, "the preemption timer", true },
};

static const struct wish primary_wishes[] = {
    { PRIMARY_TSC_OFFSETTING, "TSC offsetting", false }, { PRIMARY_HLT, "HLT exiting", false },
    { PRIMARY_MWAIT, "MWAIT exiting", false },           { PRIMARY_RDPMC, "RDPMC exiting", false },
    { PRIMARY_CR8_LOAD, "CR8-load exiting", false },     { PRIMARY_CR8_STORE, "CR8-store exiting", false },
    { PRIMARY_IO_BITMAPS, "I/O bitmaps", false },        { PRIMARY_MSR_BITMAPS, "MSR bitmaps", false },
    { PRIMARY_MONITOR, "MONITOR exiting", false },       { PRIMARY_SECONDARY, "secondary controls", false },
};

/* RDTSCP, INVPCID and XSAVES are added for each vcpu by its CPUID (setup.c). */
static const struct wish secondary_wishes[] = {
    { SECONDARY_EPT, "EPT", false },
    { SECONDARY_UNRESTRICTED_GUEST, "unrestricted guest", false },
    { SECONDARY_VPID, "VPID", true },
    { SECONDARY_WBINVD, "WBINVD exiting", true },
    { SECONDARY_TSC_SCALING, "TSC scaling", true },
};

static const struct wish exit_wishes[] = {
    { EXIT_SAVE_DEBUG, "saving of debug controls at exits", false },
    { EXIT_HOST_64BIT, "a 64-bit host", false },
    { EXIT_LOAD_PAT, "loading of PAT at exits", false },
    { EXIT_LOAD_EFER, "loading of EFER at exits", false },
    { EXIT_SAVE_TIMER, "saving of the preemption timer", true },
};

static const struct wish entry_wishes[] = {
    { ENTRY_LOAD_DEBUG, "loading of debug controls at entries", false },
    { ENTRY_LOAD_PAT, "loading of PAT at entries", false },
    { ENTRY_LOAD_EFER, "loading of EFER at entries", false },
};

/* The features that we need beyond controls. */
static const struct wish ept_wishes[] = {
    { EPT_CAP_4_LEVELS, "4-level EPT", false },
    { EPT_CAP_WRITE_BACK, "write-back EPT tables", false },
    { EPT_CAP_2M, "2 MiB EPT pages", false },
    { EPT_CAP_INVEPT, "INVEPT", false },
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

/* Does `may` contain all wished controls that are not optional? The log names the missing ones. */
static bool granted(const struct wish *wishes, unsigned count, u64 may)
{
    bool all = true;

    for (unsigned i = 0; i < count; i++) {
        if (wishes[i].optional || (may & wishes[i].bit))
            continue;
        pr_err("this processor lacks %s", wishes[i].name);
        all = false;
    }
    return all;
}

/* The controls that must be 1, and those of our wishes that may be 1. */
static bool adjust(const struct wish *wishes, unsigned count, u64 caps, u32 *controls)
{
    u32 must = caps, may = caps >> 32;

    *controls = must;
    for (unsigned i = 0; i < count; i++)
        *controls |= wishes[i].bit & may;
    return granted(wishes, count, may);
}

#define ADJUST(group) adjust(group##_wishes, ARRAY_SIZE(group##_wishes), caps->group, &controls->group)

bool vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *controls)
{
    const u64 invept = EPT_CAP_INVEPT_CONTEXT | EPT_CAP_INVEPT_GLOBAL;
    const u64 invvpid = VPID_CAP_CONTEXT | VPID_CAP_ALL;
    /* Check all of them, so that the log is complete. */
    bool ok = ADJUST(pin) & ADJUST(primary) & ADJUST(secondary) & ADJUST(exit) & ADJUST(entry);

    ok &= granted(ept_wishes, ARRAY_SIZE(ept_wishes), caps->ept_vpid);
    if (ok && !(caps->ept_vpid & invept)) {
        pr_err("this processor lacks INVEPT of a context or of all");
        ok = false;
    }
    if (!(caps->basic & BASIC_INSTRUCTION_INFO)) {
        pr_err("this processor lacks information about INS and OUTS");
        ok = false;
    }
    /* We can use the timer only if it goes on from its saved value. */
    if (!(controls->pin & PIN_PREEMPTION_TIMER) || !(controls->exit & EXIT_SAVE_TIMER)) {
        controls->pin &= ~PIN_PREEMPTION_TIMER;
        controls->exit &= ~EXIT_SAVE_TIMER;
    }
    /* VPID without a way to flush one is worse than none. */
    if (!(caps->ept_vpid & VPID_CAP_INVVPID) || !(caps->ept_vpid & invvpid))
        controls->secondary &= ~SECONDARY_VPID;
    return ok;
}

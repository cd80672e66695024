/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MSR allow-list. Three kinds: switched by the backend (pass-through), emulated below, and stored: registers whose
 * value a guest may set and read back though nothing depends on it (MTRRs: memory is write-back whatever they say). All
 * else is #GP.
 */
#include "hv/msr.h"

#include <errno.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "host/msr_index.h"
#include "hv/cpuid_features.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/guest_walk.h"

#define MTRR_VARIABLE 8 /* pairs of base and mask */
#define MTRRCAP_WC BIT(10)
#define MTRRCAP_FIX BIT(8)
#define MTRR_DEF_TYPE_BITS (BITS(11, 10) | BITS(7, 0))
#define MTRR_BASE_TYPE BITS(7, 0)
#define MTRR_MASK_VALID BIT(11)
#define MISC_ENABLE_FAST_STRINGS BIT(0)

#define EIGHT(msr) (msr), (msr) + 1, (msr) + 2, (msr) + 3, (msr) + 4, (msr) + 5, (msr) + 6, (msr) + 7

/* In the order in which they are sent to another host. */
static const u32 stored[] = {
    MSR_MTRR_DEF_TYPE,
    EIGHT(MSR_MTRR_PHYSBASE0),
    EIGHT(MSR_MTRR_PHYSBASE0 + MTRR_VARIABLE),
    MSR_MTRR_FIX64K_00000,
    MSR_MTRR_FIX16K_80000,
    MSR_MTRR_FIX16K_A0000,
    EIGHT(MSR_MTRR_FIX4K_C0000),
    MSR_TSC_ADJUST,
};

_Static_assert(ARRAY_SIZE(stored) == MSRS_STORED, "vcpu->msrs");

static const u32 passthrough[] = {
    MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,         MSR_LSTAR,
    MSR_CSTAR,   MSR_FMASK,   MSR_SYSENTER_CS,    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

const u32 *msr_passthrough(unsigned *count)
{
    *count = ARRAY_SIZE(passthrough);
    return passthrough;
}

/* Memory types of PAT and MTRR entries: UC, WC, WT, WP, WB, and in PAT UC-. */
static bool memory_type_legal(u8 type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

static bool memory_types_legal(u64 value, bool pat)
{
    for (unsigned i = 0; i < 8; i++)
        if (!memory_type_legal(value >> (8 * i), pat))
            return false;
    return true;
}

/* Where the value of a stored MSR is, or NULL. */
static u64 *stored_value(struct vcpu *vcpu, u32 msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(stored); i++)
        if (stored[i] == msr)
            return &vcpu->msrs[i];
    return NULL;
}

/* SDM 3A "Memory Type Range Registers (MTRRs)": a set bit without a meaning faults. Guests of earlier versions could
 * set such bits of variable MTRRs: a guest that comes from one keeps them, as nothing depends on them. */
static bool stored_legal(u32 msr, u64 value, bool comes)
{
    bool mask = msr & 1;
    u64 bits = BITS(GUEST_MAXPHYADDR - 1, PAGE_SHIFT) | (mask ? MTRR_MASK_VALID : MTRR_BASE_TYPE);

    if (msr == MSR_TSC_ADJUST)
        return true;
    if (msr == MSR_MTRR_DEF_TYPE)
        return !(value & ~MTRR_DEF_TYPE_BITS) && memory_type_legal(value, false);
    if (msr >= MSR_MTRR_FIX64K_00000)
        return memory_types_legal(value, false);
    return (comes || !(value & ~bits)) && (mask || memory_type_legal(value, false));
}

const u32 *msr_stored_list(unsigned *count)
{
    *count = ARRAY_SIZE(stored);
    return stored;
}

u64 msr_stored_get(struct vcpu *vcpu, u32 msr)
{
    return *stored_value(vcpu, msr);
}

static int stored_set(struct vcpu *vcpu, u32 msr, u64 value, bool comes)
{
    if (!stored_legal(msr, value, comes))
        return -EINVAL;
    *stored_value(vcpu, msr) = value;
    return 0;
}

/* The offset of a moved vcpu's TSC is known without its adjustment, which only the guest looks at. */
int msr_stored_set(struct vcpu *vcpu, u32 msr, u64 value)
{
    return stored_value(vcpu, msr) ? stored_set(vcpu, msr, value, true) : -EINVAL;
}

static u64 read_backend(struct vcpu *vcpu, u32 msr)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_CR | STATE_MSRS);
    return msr == MSR_EFER ? state.efer : state.pat;
}

/* LME turns IA-32e mode on and off, which paging keeps (SDM 3A "Initializing IA-32e Mode"); LMA is the processor's. */
static int write_efer(struct vcpu *vcpu, u64 value)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_CR);
    if (value & ~(cpuid_efer_mask(&vcpu->vm->identity.cpuid) | EFER_LMA))
        return -EINVAL;
    if (((state.efer ^ value) & EFER_LME) && (state.cr0 & CR0_PG))
        return -EINVAL;
    state.efer = (value & ~EFER_LMA) | (state.efer & EFER_LMA);
    backend()->set(vcpu, &state, STATE_CR);
    return 0;
}

static int write_pat(struct vcpu *vcpu, u64 value)
{
    struct vcpu_state state;

    if (!memory_types_legal(value, true))
        return -EINVAL;
    backend()->get(vcpu, &state, STATE_MSRS);
    state.pat = value;
    backend()->set(vcpu, &state, STATE_MSRS);
    return 0;
}

/* SDM 3B "Time-Stamp Counter Adjustment": a write of the counter shows in the adjustment, and the reverse. */
static int write_tsc_adjust(struct vcpu *vcpu, u64 value)
{
    u64 *adjustment = stored_value(vcpu, MSR_TSC_ADJUST);

    vcpu->tsc_offset += value - *adjustment;
    *adjustment = value;
    vcpu->interrupts->tsc_changed(vcpu);
    vm_platform->tsc_changed(vcpu);
    return 0;
}

static int write_tsc(struct vcpu *vcpu, u64 value)
{
    return write_tsc_adjust(vcpu, msr_stored_get(vcpu, MSR_TSC_ADJUST) + value - vcpu_tsc(vcpu, rdtsc()));
}

int msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
    const u64 *store;
    int err = vcpu->interrupts->read_msr(vcpu, msr, value);

    if (err != -ENOENT)
        return err;
    switch (msr) {
    case MSR_TSC: *value = vcpu_tsc(vcpu, rdtsc()); return 0;
    case MSR_EFER:
    case MSR_PAT: *value = read_backend(vcpu, msr); return 0;
    case MSR_TSC_AUX:
        if (!cpuid_has(&vcpu->vm->identity.cpuid, FEATURE_RDTSCP))
            return -EINVAL;
        *value = rdmsr(MSR_TSC_AUX); /* resident: resident.c */
        return 0;
    case MSR_MTRRCAP: *value = MTRRCAP_WC | MTRRCAP_FIX | MTRR_VARIABLE; return 0;
    case MSR_MISC_ENABLE: *value = MISC_ENABLE_FAST_STRINGS; return 0;
    case MSR_PLATFORM_ID:
    case MSR_BIOS_SIGN_ID:
    case MSR_MCG_CAP:
    case MSR_MCG_STATUS:
    /* Linux reads these of AMD processors of one family or another, without a net. */
    case MSR_SYSCFG: /* no extended fixed MTRRs, no memory encryption */
    case MSR_HWCR:   /* no workaround is on */
    case MSR_NB_CFG: /* no registers of a PCI function beyond 255 by port CF8h */
    case MSR_INT_PENDING: /* halting never enters C1E, so the APIC timer goes on */ *value = 0; return 0;
    }
    store = stored_value(vcpu, msr);
    if (!store)
        return vm_platform->read_msr(vcpu, msr, value) ? -EINVAL : 0;
    *value = *store;
    return 0;
}

int msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
    int err = vcpu->interrupts->write_msr(vcpu, msr, value);

    if (err != -ENOENT)
        return err;
    switch (msr) {
    case MSR_TSC: return write_tsc(vcpu, value);
    case MSR_TSC_ADJUST: return write_tsc_adjust(vcpu, value);
    case MSR_EFER: return write_efer(vcpu, value);
    case MSR_PAT: return write_pat(vcpu, value);
    case MSR_TSC_AUX:
        if (!cpuid_has(&vcpu->vm->identity.cpuid, FEATURE_RDTSCP) || value >> 32)
            return -EINVAL;
        return wrmsr_guest(MSR_TSC_AUX, value) == NO_FAULT ? 0 : -EINVAL;
    case MSR_BIOS_SIGN_ID: /* written with 0 before CPUID, to read the microcode revision */
    case MSR_MCG_STATUS:
    case MSR_MISC_ENABLE:
    case MSR_NB_CFG: /* Linux asks for more registers of PCI functions, which have none (dev/pci.c) */
    case MSR_HWCR: /* Linux turns on the workaround for an erratum that no host has */ return 0;
    }
    if (stored_value(vcpu, msr))
        return stored_set(vcpu, msr, value, false);
    err = vm_platform->write_msr(vcpu, msr, value);
    return err == -ENOENT ? -EINVAL : err;
}

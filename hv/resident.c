/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/resident.h"

#include <string.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "host/cpu.h"
#include "host/fpu.h"
#include "host/msr_index.h"
#include "host/traps.h"
#include "hv/cpuid.h"
#include "hv/cpuid_features.h"
#include "host/panic.h"
#include "hv/vm.h"

/* Offsets in the legacy region of an XSAVE area (SDM 1 "Legacy Region of an XSAVE Area"). */
#define FXSAVE_FCW 0
#define XSAVE_BV 512 /* in the header: what the area holds */
#define FCW_RESET 0x37F
#define MXCSR_RESET 0x1F80

static u64 components; /* XCR0 while saving and restoring; 0: this CPU has no XSAVE */
static bool has_tsc_aux;

void resident_init(void)
{
    components = cpuid_host_policy()->xcr0;
    has_tsc_aux = cpuid_has(cpuid_host_policy(), FEATURE_RDTSCP);
    if (components) {
        if (xsetbv_guest(0, components) != NO_FAULT)
            panic("XCR0 does not take %#lx, which CPUID offers", components);
        if (cpuid(0xD, 0).ebx > PAGE_SIZE)
            panic("XSAVE area of %u bytes for components %#lx", cpuid(0xD, 0).ebx, components);
    }
    fpu_init(components, resident_clear);
}

void fpu_reset(struct vcpu *vcpu)
{
    memset(vcpu->fpu, 0, PAGE_SIZE);
    *(u16 *)((u8 *)vcpu->fpu + FXSAVE_FCW) = FCW_RESET;
    *(u32 *)((u8 *)vcpu->fpu + FXSAVE_MXCSR) = MXCSR_RESET;
    vcpu->xcr0 = XCR0_X87;
}

bool cpu_took(struct vcpu *vcpu, int vector, const char *what, u64 value)
{
    if (vector == NO_FAULT)
        return true;
    vm_crash(vcpu, "%s with %#lx raised %s", what, value, trap_name(vector));
    return false;
}

static bool fpu_restore(struct vcpu *vcpu)
{
    u64 area = (u64)vcpu->fpu;

    if (!components)
        return cpu_took(vcpu, fxrstor_guest(vcpu->fpu), "FXRSTOR", area);
    /* XRSTOR loads what XCR0 has enabled, so the guest's own XCR0 comes last. */
    return cpu_took(vcpu, xsetbv_guest(0, components), "XSETBV", components) &&
           cpu_took(vcpu, xrstor_guest(vcpu->fpu, components), "XRSTOR", area) &&
           cpu_took(vcpu, xsetbv_guest(0, vcpu->xcr0), "XSETBV", vcpu->xcr0);
}

/*
 * QEMU 7.2 lets FXRSTOR and XRSTOR load an MXCSR with reserved bits; processors fault then. So no other machine would
 * take such a state, and any program could keep its VM from moving: clear these bits.
 */
static void mxcsr_settle(void *area)
{
    *(u32 *)((u8 *)area + FXSAVE_MXCSR) &= MXCSR_BITS;
}

/*
 * The guest's policy, not the host, decides which components the area holds: always x87 and SSE, in XSAVE's form, and
 * the others of the policy. So the area fits any host that can show the guest that policy.
 */
static void fpu_save(struct vcpu *vcpu)
{
    u64 policy = vcpu->vm->identity.cpuid.xcr0 | XCR0_X87;

    if (!components) {
        fxsave(vcpu->fpu);
        mxcsr_settle(vcpu->fpu);
        *(u64 *)((u8 *)vcpu->fpu + XSAVE_BV) = XCR0_X87 | XCR0_SSE;
        return;
    }
    /* Read back: not every processor lets us intercept XSETBV (docs/svm.md). What policy forbids is dropped here. */
    vcpu->xcr0 = xgetbv(0) & policy;
    xsetbv_guest(0, components); /* taken before, in resident_init */
    xsave(vcpu->fpu, policy | XCR0_SSE);
    mxcsr_settle(vcpu->fpu);
}

bool resident_set(struct vcpu *vcpu)
{
    struct cpu *cpu = this_cpu();

    assert_here(vcpu);
    assert(!cpu->in_fpu);
    if (cpu->resident == vcpu)
        return true;
    resident_clear();
    if (!fpu_restore(vcpu) ||
        (has_tsc_aux && !cpu_took(vcpu, wrmsr_guest(MSR_TSC_AUX, vcpu->tsc_aux), "WRMSR of TSC_AUX", vcpu->tsc_aux)) ||
        !backend()->restore(vcpu))
        return false;
    write_dr0(vcpu->dr[0]);
    write_dr1(vcpu->dr[1]);
    write_dr2(vcpu->dr[2]);
    write_dr3(vcpu->dr[3]);
    cpu->resident = vcpu;
    return true;
}

void resident_clear(void)
{
    struct cpu *cpu = this_cpu();
    struct vcpu *vcpu = cpu->resident;

    if (!vcpu)
        return;
    backend()->save(vcpu);
    fpu_save(vcpu);
    vcpu->dr[0] = read_dr0();
    vcpu->dr[1] = read_dr1();
    vcpu->dr[2] = read_dr2();
    vcpu->dr[3] = read_dr3();
    if (has_tsc_aux)
        vcpu->tsc_aux = rdmsr(MSR_TSC_AUX);
    __atomic_store_n(&cpu->resident, NULL, __ATOMIC_RELEASE); /* sched_remove: all of it can be read */
}

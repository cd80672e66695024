/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/load.h"

#include <string.h>

#include "hv/backend.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/cpu.h"
#include "hv/cpu/msr_index.h"
#include "hv/cpuid.h"
#include "hv/lib/panic.h"
#include "hv/vm.h"

/* Offsets in the legacy region of an XSAVE area (SDM 1 "Legacy Region of an XSAVE Area"). */
#define FXSAVE_FCW 0
#define FXSAVE_MXCSR 24
#define FCW_RESET 0x37F
#define MXCSR_RESET 0x1F80

static u64 components; /* XCR0 while saving and restoring; 0: this CPU has no XSAVE */
static bool has_tsc_aux;

void load_init(void)
{
    components = cpuid_host_policy()->xcr0;
    has_tsc_aux = cpuid(0x80000001, 0).edx & BIT(27);
    if (components) {
        xsetbv(0, components);
        if (cpuid(0xD, 0).ebx > PAGE_SIZE)
            panic("XSAVE area of %u bytes for components %#lx", cpuid(0xD, 0).ebx, components);
    }
}

void load_reset(struct vcpu *vcpu)
{
    memset(vcpu->fpu, 0, PAGE_SIZE);
    *(u16 *)((u8 *)vcpu->fpu + FXSAVE_FCW) = FCW_RESET;
    *(u32 *)((u8 *)vcpu->fpu + FXSAVE_MXCSR) = MXCSR_RESET;
    vcpu->xcr0 = XCR0_X87;
}

static void fpu_restore(const struct vcpu *vcpu)
{
    if (!components) {
        fxrstor(vcpu->fpu);
        return;
    }
    /* XRSTOR loads what XCR0 has enabled, so the guest's own XCR0 comes last. */
    xsetbv(0, components);
    xrstor(vcpu->fpu, components);
    xsetbv(0, vcpu->xcr0);
}

static void fpu_save(struct vcpu *vcpu)
{
    if (!components) {
        fxsave(vcpu->fpu);
        return;
    }
    /* Read back: not every processor lets us intercept XSETBV (docs/svm.md). What policy forbids is dropped here. */
    vcpu->xcr0 = xgetbv(0) & vcpu->vm->identity.cpuid.xcr0;
    xsetbv(0, components);
    xsave(vcpu->fpu, components);
}

void vcpu_load(struct vcpu *vcpu)
{
    struct cpu *cpu = this_cpu();

    if (cpu->loaded == vcpu)
        return;
    vcpu_put();
    fpu_restore(vcpu);
    write_dr0(vcpu->dr[0]);
    write_dr1(vcpu->dr[1]);
    write_dr2(vcpu->dr[2]);
    write_dr3(vcpu->dr[3]);
    if (has_tsc_aux)
        wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
    cpu->loaded = vcpu;
    backend()->load(vcpu);
}

void vcpu_put(void)
{
    struct cpu *cpu = this_cpu();
    struct vcpu *vcpu = cpu->loaded;

    if (!vcpu)
        return;
    backend()->put(vcpu);
    cpu->loaded = NULL;
    fpu_save(vcpu);
    vcpu->dr[0] = read_dr0();
    vcpu->dr[1] = read_dr1();
    vcpu->dr[2] = read_dr2();
    vcpu->dr[3] = read_dr3();
    if (has_tsc_aux)
        vcpu->tsc_aux = rdmsr(MSR_TSC_AUX);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is decided once: capabilities, the permission maps that all vcpus share, and the constant part of a VMCB.
 * docs/svm.md says why each intercept is there.
 */
#define LOG_PREFIX "svm"
#include "hv/svm/svm.h"

#include <errno.h>
#include <string.h>

#include "host/asm.h"
#include "host/log.h"
#include "hv/msr.h"
#include "hv/vm.h"
#include "host/frame.h"

#define CPUID_FEATURES_EDX_PAGE1GB BIT(26)
#define CPUID_SVM_EDX_NRIPS BIT(3)
#define CPUID_SVM_EDX_DECODE_ASSISTS BIT(7)

/* The I/O permission map takes 12 KiB; the buddy allocator gives 16. */
#define IOPM_ORDER 2
#define IOPM_PAGES 3
#define MSRPM_ORDER 1

struct svm_shared svm_shared;

static const u8 intercepts[] = {
    /* Registers that decide the guest's mode, one whose value the guest sees changed, and the task priority. */
    VMEXIT_CR0_WRITE, VMEXIT_CR4_READ, VMEXIT_CR4_WRITE, VMEXIT_CR8_READ, VMEXIT_CR8_WRITE, VMEXIT_XSETBV,
    VMEXIT_TASK_SWITCH,

    /* What belongs to the host. */
    VMEXIT_INTR, VMEXIT_NMI, VMEXIT_INIT, VMEXIT_SHUTDOWN, VMEXIT_EXCP0 + VECTOR_MC, VMEXIT_INVD, VMEXIT_WBINVD,
    VMEXIT_IOIO, VMEXIT_MSR, VMEXIT_RSM, VMEXIT_RDPMC,

    /* A guest can make the delivery of these raise them again, endlessly, so that no interrupt is ever taken. */
    VMEXIT_EXCP0 + VECTOR_DB, VMEXIT_EXCP0 + VECTOR_AC,

    /* Instructions that we emulate. */
    VMEXIT_CPUID, VMEXIT_HLT,

    /* Instructions that we don't offer. VMLOAD and VMSAVE, left alone, would reach the host's memory, and CLGI its
     * interrupts. */
    VMEXIT_VMRUN, VMEXIT_VMMCALL, VMEXIT_VMLOAD, VMEXIT_VMSAVE, VMEXIT_STGI, VMEXIT_CLGI, VMEXIT_SKINIT, VMEXIT_INVLPGA,
    VMEXIT_MONITOR, VMEXIT_MWAIT, VMEXIT_MWAIT_CONDITIONAL, VMEXIT_RDPRU
};

/*
 * Where the map has the two bits (read, write) of an MSR: three ranges of 2 KiB (APM 2 "MSR Intercepts"). -1: outside,
 * always intercepted.
 */
static int msrpm_bit(u32 msr)
{
    static const u32 range[] = { 0, 0xC0000000, 0xC0010000 };

    for (unsigned i = 0; i < ARRAY_SIZE(range); i++)
        if (msr - range[i] < 0x2000)
            return i * 0x800 * 8 + (msr - range[i]) * 2;
    return -1;
}

static void msrpm_fill(u8 *map)
{
    unsigned count;
    const u32 *msrs = msr_passthrough(&count);

    memset(map, 0xFF, PAGE_SIZE << MSRPM_ORDER);
    for (unsigned i = 0; i < count; i++) {
        int bit = msrpm_bit(msrs[i]);

        if (bit >= 0)
            map[bit / 8] &= ~(3U << bit % 8);
    }
}

/*
 * Zero in the memory-type bits is the host PAT's entry 0, write-back. Nested walks are user accesses: U everywhere (APM
 * 2 "Nested Table Walk").
 */
static struct npt_format make_npt_format(void)
{
    return (struct npt_format){
        .name = "NPT",
        .read = PTE_P | PTE_U,
        .write = PTE_W,
        .no_exec = PTE_NX,
        .table = PTE_P | PTE_W | PTE_U,
        .leaf_large = PTE_PS,
        .large = PTE_PS,
        .present = PTE_P,
        .accessed = PTE_A,
        .dirty = PTE_D,
        .has_1g = cpuid(0x80000001, 0).edx & CPUID_FEATURES_EDX_PAGE1GB,
    };
}

int svm_init(void)
{
    struct cpuid_regs features = cpuid(0x8000000A, 0);
    hpa_t iopm = frame_alloc(IOPM_ORDER);
    hpa_t msrpm = frame_alloc(MSRPM_ORDER);

    if (iopm == FRAME_NONE || msrpm == FRAME_NONE) {
        pr_err("no memory for the permission maps");
        return -ENOMEM; /* the boot ends here, so nothing is freed */
    }
    frame_free(iopm + IOPM_PAGES * PAGE_SIZE, FRAME_ORDER_4K);
    memset(frame_window(iopm), 0xFF, IOPM_PAGES * PAGE_SIZE);
    msrpm_fill(frame_window(msrpm));

    svm_shared = (struct svm_shared){
        .next_rip = features.edx & CPUID_SVM_EDX_NRIPS,
        .decode_assists = features.edx & CPUID_SVM_EDX_DECODE_ASSISTS,
        .cr4_always = read_cr4() & CR4_MCE,
        .nr_asids = features.ebx,
        .iopm = iopm,
        .msrpm = msrpm,
    };
    /* A processor may scale the TSC (MSR_TSC_RATIO), but no emulator does on which we could test it. */
    backend_features = (struct backend_features){ .npt_format = make_npt_format(), .scales_tsc = false };
    pr_info("revision %u, %u ASIDs, next RIP %s, decode assists %s", features.eax & 0xFF, features.ebx,
            svm_shared.next_rip ? "yes" : "no", svm_shared.decode_assists ? "yes" : "no");
    return svm_shared.nr_asids < 2 ? -ENODEV : 0;
}

void svm_vcpu_init(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct vmcb *vmcb = vcpu->backend_page;

    for (unsigned i = 0; i < ARRAY_SIZE(intercepts); i++)
        intercept_set(&vmcb->control, intercepts[i], true);
    vmcb->control.iopm_base_pa = svm_shared.iopm;
    vmcb->control.msrpm_base_pa = svm_shared.msrpm;
    vmcb->control.nested_control = NP_ENABLE;
    vmcb->control.nested_cr3 = vcpu->vm->npt.root;
    svm->vmcb = vmcb;
    svm->vmcb_pa = frame_address(vmcb);
    svm->flush = true;
}

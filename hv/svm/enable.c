/* SPDX-License-Identifier: BSD-2-Clause */
/* Turning AMD-V on and off, and the table of the backend (APM 2 "Enabling SVM"). */
#define LOG_PREFIX "svm"
#include "hv/svm/svm.h"

#include <errno.h>

#include "host/asm.h"
#include "host/cpu.h"
#include "host/msr_index.h"
#include "host/log.h"
#include "host/frame.h"

#define CPUID_FEATURES 0x80000001
#define CPUID_FEATURES_ECX_SVM BIT(2)
#define CPUID_SVM 0x8000000A
#define CPUID_SVM_EDX_NP BIT(0)

#define DR7_ENABLED BITS(7, 0)
#define DR7_TYPES 0x33330000ULL              /* of the four breakpoints, without their lengths */
#define DR7_IDLE (DR7_RESET | 0x22220000ULL) /* ours: none is enabled, each is one of ports */

static struct svm_cpu svm_cpus[MAX_CPUS];

static bool present(void)
{
    if (cpuid(0x80000000, 0).eax < CPUID_SVM || !(cpuid(CPUID_FEATURES, 0).ecx & CPUID_FEATURES_ECX_SVM)) {
        pr_info("no AMD-V: CPUID doesn't show it");
        return false;
    }
    if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
        pr_warn("no AMD-V: the firmware has disabled it (VM_CR.SVMDIS)");
        return false;
    }
    if (!(cpuid(CPUID_SVM, 0).edx & CPUID_SVM_EDX_NP)) {
        pr_warn("no AMD-V: this processor has no nested paging");
        return false;
    }
    return true;
}

static int cpu_on(void)
{
    struct cpu *cpu = this_cpu();
    struct svm_cpu *svm = &svm_cpus[cpu->index];
    void *area = frame_alloc_page();

    if (!present())
        return -ENODEV;
    if (!area)
        return -ENOMEM;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, frame_address(cpu->backend_page));
    write_dr7(DR7_IDLE);

    /* What VMSAVE stores never changes in the host, so one image serves every exit. */
    svm->host_area = frame_address(area);
    __asm__ volatile("vmsave %0" : : "a"(svm->host_area) : "memory");

    /* Start as if all ASIDs were used up: then the first one given comes with a flush of all that the firmware left. */
    svm->next_asid = svm_shared.nr_asids;
    cpu->backend_data = svm;
    return 0;
}

static int init(void)
{
    return present() ? svm_init() : -ENODEV;
}

static void vcpu_fini(struct vcpu *vcpu)
{
    (void)vcpu;
}

/* svm_enter restores and saves all guest state each time. But see svm_save. */
static bool svm_restore(struct vcpu *vcpu)
{
    (void)vcpu;
    return true;
}

/*
 * QEMU 7.2 has a list of the breakpoints that are enabled. Only MOV to DR7 changes it, and believes of each that it is
 * of the type that DR7 had until then; but VMRUN and exits change DR7 alone. So a breakpoint of this guest would stay,
 * and QEMU would end by SIGSEGV when the next guest changed types. By our two writes the breakpoints go: for those of
 * ports, of which DR7_IDLE speaks, QEMU has no list. To a processor the two writes mean nothing.
 */
static void svm_save(struct vcpu *vcpu)
{
    u64 dr7 = svm_vcpu(vcpu)->vmcb->save.dr7;

    if (dr7 & DR7_ENABLED) {
        write_dr7(DR7_RESET | (dr7 & DR7_TYPES));
        write_dr7(DR7_IDLE);
    }
}

/* AMD-V processors have no PML; they offer D bits. */
static int svm_dirty_log(struct vm *vm, bool on)
{
    (void)vm;
    return on ? -ENOTSUP : 0;
}

const struct backend svm_backend = {
    .name = "AMD-V with nested paging",
    .init = init,
    .cpu_on = cpu_on,
    .vcpu_size = sizeof(struct svm_vcpu),
    .vcpu_init = svm_vcpu_init,
    .vcpu_fini = vcpu_fini,
    .restore = svm_restore,
    .save = svm_save,
    .run = svm_run,
    .get = svm_get,
    .set = svm_set,
    .dirty_log = svm_dirty_log,
    .dump = svm_dump,
};

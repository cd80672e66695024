/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCB in words. */
#define LOG_PREFIX "svm"
#include "hv/svm/svm.h"

#include "host/log.h"

static const struct {
    enum vmexit code;
    const char *name;
} codes[] = {
#define VMEXIT_NAME(name, code) { code, #name },
    VMEXITS(VMEXIT_NAME)
#undef VMEXIT_NAME
};

static const char *code_name(u64 code)
{
    if ((u32)code == VMEXIT_INVALID)
        return "INVALID: the guest state is not one that VMRUN accepts";
    for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return code - VMEXIT_EXCP0 < 32 ? "exception" : "?";
}

static void dump_event(const char *name, u64 word)
{
    static const char *const types[8] = { "interrupt", "type 1", "NMI",    "exception",
                                          "INT n",     "type 5", "type 6", "type 7" };

    if (!(word & EVENT_VALID))
        return;
    pr_err("  %s: %s vector %u%s error %#x", name, types[field_get(EVENT_TYPE, word)],
           (unsigned)field_get(EVENT_VECTOR, word), word & EVENT_ERROR_VALID ? "," : ", no",
           (unsigned)field_get(EVENT_ERROR, word));
}

static void dump_control(const struct svm_vcpu *svm)
{
    const struct vmcb_control *control = &svm->vmcb->control;

    pr_err("VMCB at %#lx: exit code %#lx (%s), info %#lx %#lx", svm->vmcb_pa, control->exit_code,
           code_name(control->exit_code), control->exit_info_1, control->exit_info_2);
    dump_event("being delivered", control->exit_int_info);
    dump_event("injected", control->event_injection);
    pr_err("  intercepts %08x %08x %08x %08x %08x", control->intercept[0], control->intercept[1], control->intercept[2],
           control->intercept[3], control->intercept[4]);
    pr_err("  asid %u of cpu%u generation %lu, tlb control %u, flushes %lu", control->asid, svm->asid_cpu,
           svm->asid_generation, control->tlb_control & 0xFF, svm->flushes);
    pr_err("  ncr3 %#lx iopm %#lx msrpm %#lx tsc offset %#lx next rip %#lx", control->nested_cr3, control->iopm_base_pa,
           control->msrpm_base_pa, control->tsc_offset, control->next_rip);
    pr_err("  interrupt control %#x%s%s, shadow %u%s", control->interrupt_control,
           control->interrupt_control & V_IRQ ? " V_IRQ" : "",
           control->interrupt_control & V_INTR_MASKING ? " MASKING" : "",
           (unsigned)(control->interrupt_state & INTERRUPT_SHADOW), svm->iret_pending ? ", iret pending" : "");
}

void svm_dump(struct vcpu *vcpu)
{
    const struct vmcb_save *save = &svm_vcpu(vcpu)->vmcb->save;

    dump_control(svm_vcpu(vcpu));
    pr_err("  cpl %u, cr4 %#lx and efer %#lx where the guest sees %#lx and %#lx", save->cpl, save->cr4, save->efer,
           svm_vcpu(vcpu)->cr4, svm_vcpu(vcpu)->efer);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The VMCB in words. */
#define LOG_PREFIX "svm"
#include "hv/svm/svm.h"

#include <stdio.h>

#include "host/log.h"

/* Names of exit codes from VMEXIT_INTR on, and by that of their intercepts. */
static const char *const code_names[] = { "INTR",        "NMI",        "SMI",
                                          "INIT",        "VINTR",      "CR0_SEL_WRITE",
                                          "IDTR_READ",   "GDTR_READ",  "LDTR_READ",
                                          "TR_READ",     "IDTR_WRITE", "GDTR_WRITE",
                                          "LDTR_WRITE",  "TR_WRITE",   "RDTSC",
                                          "RDPMC",       "PUSHF",      "POPF",
                                          "CPUID",       "RSM",        "IRET",
                                          "SWINT",       "INVD",       "PAUSE",
                                          "HLT",         "INVLPG",     "INVLPGA",
                                          "IOIO",        "MSR",        "TASK_SWITCH",
                                          "FERR_FREEZE", "SHUTDOWN",   "VMRUN",
                                          "VMMCALL",     "VMLOAD",     "VMSAVE",
                                          "STGI",        "CLGI",       "SKINIT",
                                          "RDTSCP",      "ICEBP",      "WBINVD",
                                          "MONITOR",     "MWAIT",      "MWAIT_CONDITIONAL",
                                          "XSETBV",      "RDPRU",      "EFER_WRITE_TRAP" };

/* The name of an exit code, made in `buffer` if it is one of a row. */
static const char *code_name(u64 code, char *buffer, size_t size)
{
    if (code == VMEXIT_NPF)
        return "NPF";
    if ((u32)code == VMEXIT_INVALID)
        return "INVALID: the guest state is not one that VMRUN accepts";
    if (code >= VMEXIT_INTR && code - VMEXIT_INTR < ARRAY_SIZE(code_names))
        return code_names[code - VMEXIT_INTR];
    if (code < 0x20)
        snprintf(buffer, size, "CR%u_%s", (unsigned)code % 16, code < 0x10 ? "READ" : "WRITE");
    else if (code < 0x40)
        snprintf(buffer, size, "DR%u_%s", (unsigned)code % 16, code < 0x30 ? "READ" : "WRITE");
    else if (code < 0x60)
        snprintf(buffer, size, "exception %u", (unsigned)code - VMEXIT_EXCP0);
    else
        snprintf(buffer, size, "?");
    return buffer;
}

static void dump_intercepts(const struct vmcb_control *control)
{
    char line[100] = "";
    size_t len = 0;

    for (unsigned code = 0; code < INTERCEPT_WORDS * 32; code++) {
        char buffer[20];

        if (!intercept_get(control, code))
            continue;
        len += snprintf(line + len, sizeof(line) - len, " %s", code_name(code, buffer, sizeof(buffer)));
        if (len > sizeof(line) - sizeof(buffer) - 2) {
            pr_err("  intercepts%s", line);
            len = 0;
        }
    }
    if (len)
        pr_err("  intercepts%s", line);
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
    char buffer[20];

    pr_err("VMCB at %#lx: exit code %#lx (%s), info %#lx %#lx", svm->vmcb_pa, control->exit_code,
           code_name(control->exit_code, buffer, sizeof(buffer)), control->exit_info_1, control->exit_info_2);
    dump_event("being delivered", control->exit_int_info);
    dump_event("injected", control->event_injection);
    dump_intercepts(control);
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

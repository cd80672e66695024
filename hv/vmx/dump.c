/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMCS in words: why the guest came out, all fields that aren't zero, and after a refused entry the guest state
 * that is the likely reason.
 */
#define LOG_PREFIX "vmx"
#include "hv/vmx/vmx.h"

#include <stdio.h>

#include "host/log.h"

#define FIELDS_PER_LINE 3
#define RFLAGS_RESERVED_0 (BITS(63, 22) | BIT(15) | BIT(5) | BIT(3))
#define TYPE_CODE 8 /* of SEG_TYPE */
#define TYPE_CODE_CONFORMING 12

static const char *const exit_names[] = {
#define VMX_EXIT_NAME(name, number) [number] = #name,
    VMX_EXITS(VMX_EXIT_NAME)
#undef VMX_EXIT_NAME
};

static const struct {
    enum vmcs_field field;
    const char *name;
} fields[] = {
#define VMCS_NAME(name, encoding) { name, #name },
    VMCS_FIELDS(VMCS_NAME)
#undef VMCS_NAME
};

/* SDM 3D "VM-Instruction Error Numbers": those of VMLAUNCH and VMRESUME. */
static const char *const instruction_errors[] = {
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control fields",
    [8] = "VM entry with invalid host-state fields",
    [26] = "VM entry with events blocked by MOV SS",
};

static const char *exit_reason_name(u64 reason)
{
    u64 basic = field_get(EXIT_REASON_BASIC, reason);

    return NAME_AT(exit_names, basic);
}

static void dump_fields(void)
{
    char line[130];
    size_t at = 0;
    unsigned on_line = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        u64 value;

        if (!vmread_try(fields[i].field, &value) || value == 0)
            continue;
        at += snprintf(line + at, sizeof(line) - at, "  %s %lx", fields[i].name, value);
        if (++on_line < FIELDS_PER_LINE)
            continue;
        pr_err("%s", line);
        at = on_line = 0;
    }
    if (on_line)
        pr_err("%s", line);
}

/* --- The checks of SDM 3C "Checking and Loading Guest State" that a mistake of ours fails first --- */

static void hint(bool wrong, const char *what)
{
    if (wrong)
        pr_err("  perhaps: %s", what);
}

static void check_registers(void)
{
    const struct vmx_caps *caps = &vmx_shared.caps;
    u64 cr0 = vmread(GUEST_CR0), cr4 = vmread(GUEST_CR4), rflags = vmread(GUEST_RFLAGS);
    bool ia32e = vmread(ENTRY_CONTROLS) & ENTRY_IA32E_GUEST;
    bool code64 = ia32e && (vmread(GUEST_CS_ACCESS_RIGHTS) & SEG_L);

    hint((~cr0 & caps->cr0_fixed0 & ~(CR0_PE | CR0_PG)) || (cr0 & ~caps->cr0_fixed1), "CR0 against the fixed bits");
    hint((~cr4 & caps->cr4_fixed0) || (cr4 & ~caps->cr4_fixed1), "CR4 against the fixed bits");
    hint(ia32e != !!(vmread(GUEST_EFER) & EFER_LMA), "EFER.LMA differs from the IA-32e mode entry control");
    hint(ia32e && !((cr0 & CR0_PG) && (cr4 & CR4_PAE)), "IA-32e mode guest without CR0.PG and CR4.PAE");
    hint((rflags & RFLAGS_RESERVED_0) || !(rflags & RFLAGS_FIXED1), "reserved bits of RFLAGS");
    hint(!code64 && vmread(GUEST_RIP) >> 32, "RIP beyond 32 bits outside 64-bit mode");
}

static void check_events(void)
{
    u64 rflags = vmread(GUEST_RFLAGS), state = vmread(GUEST_INTERRUPTIBILITY);
    u64 event = vmread(ENTRY_INTERRUPTION_INFO);
    bool shadow = state & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    bool interrupt = (event & INTERRUPTION_VALID) && field_get(INTERRUPTION_TYPE, event) == EVENT_INTERRUPT;

    hint(interrupt && (shadow || !(rflags & RFLAGS_IF)), "interrupt injected into a shadow or with RFLAGS.IF = 0");
    hint((state & BLOCKING_BY_STI) && (!(rflags & RFLAGS_IF) || (state & BLOCKING_BY_MOV_SS)), "blocking by STI");
    hint(shadow && !(rflags & RFLAGS_TF) != !(vmread(GUEST_PENDING_DEBUG) & PENDING_DEBUG_BS),
         "pending BS differs from TF in a shadow");
}

static void check_segment(unsigned i)
{
    static const char *const names[NR_SEGS] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };
    u64 attr = vmread(VMCS_NTH(GUEST_ES_ACCESS_RIGHTS, i)), limit = vmread(VMCS_NTH(GUEST_ES_LIMIT, i));
    const char *wrong = NULL;

    if (attr & SEG_UNUSABLE)
        wrong = i == SEG_CS || i == SEG_TR ? "unusable" : NULL;
    else if (!(attr & SEG_P) || !(attr & SEG_S) != (i >= SEG_LDTR))
        wrong = "P or S";
    else if (((limit & 0xFFF) != 0xFFF && (attr & SEG_G)) || (limit >> 20 && !(attr & SEG_G)))
        wrong = "granularity against limit";
    else if (i <= SEG_GS && !(attr & 1))
        wrong = "not accessed";
    else if (i == SEG_TR && !(attr & 2))
        wrong = "not busy";
    if (wrong)
        pr_err("  perhaps: %s: %s", names[i], wrong);
}

static void check_segments(void)
{
    u64 cs = vmread(GUEST_CS_ACCESS_RIGHTS), cs_dpl = field_get(SEG_DPL, cs);
    bool nonconforming = (cs & TYPE_CODE_CONFORMING) == TYPE_CODE && !(vmread(GUEST_RFLAGS) & RFLAGS_VM);

    for (unsigned i = 0; i < NR_SEGS; i++)
        check_segment(i);
    hint(nonconforming && cs_dpl != field_get(SEG_DPL, vmread(GUEST_SS_ACCESS_RIGHTS)), "DPL of CS is not that of SS");
    hint(nonconforming && cs_dpl != (vmread(GUEST_CS_SELECTOR) & 3), "DPL of CS is not its RPL (Bochs)");
}

static void explain_refusal(const struct exit *exit)
{
    u64 reason = vmread(EXIT_REASON);

    if (reason & EXIT_REASON_ENTRY_FAILURE)
        pr_err("  entry failed while loading the guest (%s), qualification %#lx", exit_reason_name(reason),
               exit->u.raw.info[0]);
    else
        pr_err("  entry refused: error %lu: %s", exit->u.raw.code, NAME_AT(instruction_errors, exit->u.raw.code));
    check_registers();
    check_events();
    check_segments();
}

void vmx_dump(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu), *previous = vmx_borrow(vmx);
    u64 reason = vmread(EXIT_REASON);

    pr_err("VMCS: last exit %s (%lu), qualification %#lx", exit_reason_name(reason),
           field_get(EXIT_REASON_BASIC, reason), vmread(EXIT_QUALIFICATION));
    if (vcpu->exit.kind == EXIT_ENTRY_FAILED)
        explain_refusal(&vcpu->exit);
    dump_fields();
    pr_err("  flushes: %lu INVEPT, %lu INVVPID", vmx->ept_flushes, vmx->vpid_flushes);
    vmx_return(vmx, previous);
}

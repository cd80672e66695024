/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct vcpu_state to and from the VMCS, and the few registers that no VMCS holds.
 *
 * The guest's CR0 and CR4 live in two places: bits that the guest owns in GUEST_CRn, where it changes them without an
 * exit, the others in the read shadow. In GUEST_CRn these other bits have the values that VMX needs: NE and VMXE on,
 * caches on, machine checks as on the host.
 */
#include "hv/vmx/vmx.h"

#include <string.h>

#include "host/asm.h"

#define TYPE_ACCESSED 1
#define TYPE_CODE 8
#define TYPE_TSS_BUSY 2
#define LIMIT_1M 0xFFFFF
#define ATTR_REAL_MODE_CODE 0x93

static u64 merge(u64 owned, u64 real, u64 shadow)
{
    return (real & owned) | (shadow & ~owned);
}

u64 vmx_guest_cr0(void)
{
    return merge(CR0_GUEST_OWNED, vmread(GUEST_CR0), vmread(CR0_READ_SHADOW));
}

static void cr_get(struct vcpu_state *state)
{
    state->cr0 = vmx_guest_cr0();
    state->cr3 = vmread(GUEST_CR3);
    state->cr4 = merge(vmx_shared.cr4_guest_owned, vmread(GUEST_CR4), vmread(CR4_READ_SHADOW));
    state->efer = vmread(GUEST_EFER);
    memset(state->pdpte, 0, sizeof(state->pdpte));
    state->pdptes_missing = false;
    for (unsigned i = 0; i < 4 && state_has_pdptes(state); i++)
        state->pdpte[i] = vmread(VMCS_NTH(GUEST_PDPTE0, i));
}

/* Unrestricted guest frees PE and PG of what VMX fixes (SDM 3D "Reporting of CR0 and CR4 Fixed Bits"). */
static u64 real_cr0(u64 cr0)
{
    u64 must = vmx_shared.caps.cr0_fixed0 & ~(CR0_PE | CR0_PG);

    return ((cr0 & ~(CR0_CD | CR0_NW)) | must | CR0_NE | CR0_ET) & vmx_shared.caps.cr0_fixed1;
}

static u64 real_cr4(u64 cr4)
{
    return cr4 | vmx_shared.caps.cr4_fixed0 | CR4_VMXE | (read_cr4() & CR4_MCE);
}

/*
 * In real mode some processors keep the attributes that CS had in protected mode. Bochs 2.7 takes CPL from the
 * selector's low bits, and refuses an entry where those differ from the DPL of a code segment: call CS a data segment,
 * as the manual allows an unrestricted guest (SDM 3C "Checks on Guest Segment Registers").
 */
static void real_mode_cs_fix(u64 cr0)
{
    u64 attr = vmread(GUEST_CS_ACCESS_RIGHTS);

    if (!(cr0 & CR0_PE) && (attr & TYPE_CODE))
        vmwrite(GUEST_CS_ACCESS_RIGHTS, (attr & (SEG_DB | SEG_G)) | ATTR_REAL_MODE_CODE);
}

static void cr_set(struct vmx_vcpu *vmx, const struct vcpu_state *state)
{
    u32 entry = vmx_shared.controls.entry;

    vmwrite(GUEST_CR0, real_cr0(state->cr0));
    vmwrite(CR0_READ_SHADOW, state->cr0);
    vmwrite(GUEST_CR3, state->cr3);
    vmwrite(GUEST_CR4, real_cr4(state->cr4));
    vmwrite(CR4_READ_SHADOW, state->cr4);
    vmwrite(GUEST_EFER, state->efer);
    vmwrite(ENTRY_CONTROLS, state->efer & EFER_LMA ? entry | ENTRY_IA32E_GUEST : entry);
    for (unsigned i = 0; i < 4 && state_has_pdptes(state); i++)
        vmwrite(VMCS_NTH(GUEST_PDPTE0, i), state->pdpte[i]);
    real_mode_cs_fix(state->cr0);
    /* Any of these may change the meaning of the guest's page tables; a write that changes nothing may ask for a flush.
     */
    vmx->flush |= FLUSH_VPID;
    vmx->unsettled = true;
}

static struct segment segment_get(unsigned i)
{
    return (struct segment){
        .selector = vmread(VMCS_NTH(GUEST_ES_SELECTOR, i)),
        .attr = vmread(VMCS_NTH(GUEST_ES_ACCESS_RIGHTS, i)),
        .limit = vmread(VMCS_NTH(GUEST_ES_LIMIT, i)),
        .base = vmread(VMCS_NTH(GUEST_ES_BASE, i)),
    };
}

/*
 * Entry demands the attributes that this processor leaves in a loaded segment: accessed, busy for TR, and G in keeping
 * with the limit. A segment saved on VT-x has all these already and stays unchanged.
 */
static u32 attr_for_entry(unsigned i, const struct segment *segment)
{
    u32 attr = segment->attr;

    if (i == SEG_TR)
        attr |= TYPE_TSS_BUSY;
    if (!(attr & SEG_P) || (attr & SEG_UNUSABLE))
        return attr | SEG_UNUSABLE;
    if (attr & SEG_S)
        attr |= TYPE_ACCESSED;
    if (segment->limit > LIMIT_1M)
        attr |= SEG_G;
    if ((segment->limit & ~PAGE_MASK) != ~PAGE_MASK)
        attr &= ~SEG_G;
    return attr;
}

static void segments_get(struct vcpu_state *state)
{
    for (unsigned i = 0; i < NR_SEGS; i++)
        state->seg[i] = segment_get(i);
    state->gdtr = (struct table_register){ .limit = vmread(GUEST_GDTR_LIMIT), .base = vmread(GUEST_GDTR_BASE) };
    state->idtr = (struct table_register){ .limit = vmread(GUEST_IDTR_LIMIT), .base = vmread(GUEST_IDTR_BASE) };
}

static void segments_set(const struct vcpu_state *state)
{
    for (unsigned i = 0; i < NR_SEGS; i++) {
        vmwrite(VMCS_NTH(GUEST_ES_SELECTOR, i), state->seg[i].selector);
        vmwrite(VMCS_NTH(GUEST_ES_ACCESS_RIGHTS, i), attr_for_entry(i, &state->seg[i]));
        vmwrite(VMCS_NTH(GUEST_ES_LIMIT, i), state->seg[i].limit);
        vmwrite(VMCS_NTH(GUEST_ES_BASE, i), state->seg[i].base);
    }
    real_mode_cs_fix(vmread(CR0_READ_SHADOW));
    vmwrite(GUEST_GDTR_LIMIT, state->gdtr.limit);
    vmwrite(GUEST_GDTR_BASE, state->gdtr.base);
    vmwrite(GUEST_IDTR_LIMIT, state->idtr.limit);
    vmwrite(GUEST_IDTR_BASE, state->idtr.base);
}

static void msrs_get(const struct vmx_vcpu *vmx, bool resident, struct vcpu_state *state)
{
    state->syscall = resident ? vmx_syscall_get() : vmx->syscall;
    state->sysenter.cs = vmread(GUEST_SYSENTER_CS);
    state->sysenter.esp = vmread(GUEST_SYSENTER_ESP);
    state->sysenter.eip = vmread(GUEST_SYSENTER_EIP);
    state->pat = vmread(GUEST_PAT);
}

static void msrs_set(struct vcpu *vcpu, bool resident, const struct vcpu_state *state)
{
    vmx_vcpu(vcpu)->syscall = state->syscall;
    if (resident)
        vmx_syscall_put(vcpu);
    vmwrite(GUEST_SYSENTER_CS, state->sysenter.cs);
    vmwrite(GUEST_SYSENTER_ESP, state->sysenter.esp);
    vmwrite(GUEST_SYSENTER_EIP, state->sysenter.eip);
    vmwrite(GUEST_PAT, state->pat);
}

static void debug_set(struct vmx_vcpu *vmx, bool resident, const struct vcpu_state *state)
{
    vmx->dr6 = state->dr6;
    if (resident)
        write_dr6(state->dr6);
    vmwrite(GUEST_DR7, state->dr7);
}

void vmx_get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu), *previous = vmx_borrow(vmx);
    bool resident = previous == vmx;

    assert_in_reach(vcpu);
    if (groups & STATE_CR)
        cr_get(state);
    if (groups & STATE_SEGMENTS)
        segments_get(state);
    if (groups & STATE_MSRS)
        msrs_get(vmx, resident, state);
    if (groups & STATE_DEBUG) {
        state->dr6 = resident ? read_dr6() : vmx->dr6;
        state->dr7 = vmread(GUEST_DR7);
    }
    vmx_return(vmx, previous);
}

void vmx_set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu), *previous = vmx_borrow(vmx);
    bool resident = previous == vmx;

    assert_in_reach(vcpu);
    if (groups & STATE_CR)
        cr_set(vmx, state);
    if (groups & STATE_SEGMENTS)
        segments_set(state);
    if (groups & STATE_MSRS)
        msrs_set(vcpu, resident, state);
    if (groups & STATE_DEBUG)
        debug_set(vmx, resident, state);
    vmx_return(vmx, previous);
}

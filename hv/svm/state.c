/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct vcpu_state to and from the VMCB. All of it is in memory between runs, so it doesn't matter on which CPU.
 *
 * CR4 and EFER in the VMCB differ from what the guest sees. CR4.MCE is on if the host's is. In EFER, SVME must be 1,
 * which the guest doesn't see; and LME is set only while LMA is. The processor doesn't need LME before, because only
 * our emulation sets LMA. QEMU 7.2 restores the host's CR0 at an exit while the guest's EFER and CR4 are still loaded,
 * and refuses to turn paging back on if it finds LME without PAE.
 */
#include "hv/svm/svm.h"

#include <errno.h>
#include <string.h>

#include "hv/vm.h"
#include "mm/guest_walk.h"

static struct vmcb_segment *segment_slot(struct vmcb_save *save, unsigned seg)
{
    return seg == SEG_LDTR ? &save->ldtr : seg == SEG_TR ? &save->tr : &save->seg[seg];
}

/*
 * The attributes that the processor left, completed by those that it need not report: whether a loaded segment was
 * accessed, its granularity, and whether a TSS is busy. QEMU 7.2 demands for TR the type that its own LTR left: not
 * busy.
 */
static struct segment segment_get(const struct vmcb_segment *slot)
{
    u32 attr = (slot->attr & VMCB_ATTR_LOW) | (slot->attr & VMCB_ATTR_HIGH) << 4;

    if (!(attr & SEG_P))
        attr |= SEG_UNUSABLE;
    return (struct segment){ .selector = slot->selector, .attr = attr, .limit = slot->limit, .base = slot->base };
}

/* P = 0 means unusable; DPL stays, because SS.DPL is the privilege level. */
static void segment_set(struct vmcb_segment *slot, const struct segment *segment)
{
    u32 attr = segment->attr;

    if (attr & SEG_UNUSABLE)
        attr &= ~SEG_P;
    slot->selector = segment->selector;
    slot->attr = (attr & VMCB_ATTR_LOW) | (attr >> 4 & VMCB_ATTR_HIGH);
    slot->limit = segment->limit;
    slot->base = segment->base;
}

static void segments_get(struct vmcb_save *save, struct vcpu_state *state)
{
    for (unsigned i = 0; i < NR_SEGS; i++)
        state->seg[i] = segment_get(segment_slot(save, i));

    /* The processor's privilege level is CPL (SYSRET leaves SS.DPL alone); ours is SS.DPL. */
    state->seg[SEG_SS].attr = field_set(SEG_DPL, state->seg[SEG_SS].attr, save->cpl);
    state->gdtr = (struct table_register){ .limit = save->gdtr.limit, .base = save->gdtr.base };
    state->idtr = (struct table_register){ .limit = save->idtr.limit, .base = save->idtr.base };
}

/* VMRUN takes CPL from its own field on hardware, from SS.DPL on QEMU 7.2: both say the same here. */
static void segments_set(struct vmcb_save *save, const struct vcpu_state *state)
{
    for (unsigned i = 0; i < NR_SEGS; i++)
        segment_set(segment_slot(save, i), &state->seg[i]);
    save->cpl = field_get(SEG_DPL, state->seg[SEG_SS].attr);
    save->gdtr.limit = state->gdtr.limit;
    save->gdtr.base = state->gdtr.base;
    save->idtr.limit = state->idtr.limit;
    save->idtr.base = state->idtr.base;
}

/*
 * With nested paging the processor keeps no copy of the four PAE entries: it rereads them from memory, and so do we.
 * Nobody has checked the entries that are there now: one with a reserved bit would fault when used, so it counts as not
 * present.
 */
static void pdptes_get(struct vcpu *vcpu, struct vcpu_state *state)
{
    memset(state->pdpte, 0, sizeof(state->pdpte));
    state->pdptes_missing = false;
    if (state_has_pdptes(state)) /* if not RAM, the entries stay 0: not present */
        state->pdptes_missing = guest_pdptes_read(&vcpu->vm->mem, state->cr3, state->pdpte) == -EAGAIN;
    for (unsigned i = 0; i < ARRAY_SIZE(state->pdpte); i++)
        if (state->pdpte[i] & GUEST_PDPTE_RESERVED)
            state->pdpte[i] = 0;
}

static void cr_get(struct vcpu *vcpu, struct vcpu_state *state)
{
    const struct vmcb_save *save = &svm_vcpu(vcpu)->vmcb->save;

    state->cr0 = save->cr0;
    state->cr3 = save->cr3;
    state->cr4 = svm_vcpu(vcpu)->cr4;
    state->efer = svm_vcpu(vcpu)->efer;
    pdptes_get(vcpu, state);
}

/*
 * Any write may change the meaning of the guest's page tables, except a change of TS alone (lazy FPU switching does
 * many of these). A write that changes nothing may be a request for a flush.
 */
static bool cr_needs_flush(const struct svm_vcpu *svm, const struct vcpu_state *state)
{
    const struct vmcb_save *save = &svm->vmcb->save;

    return (save->cr0 ^ state->cr0) != CR0_TS || save->cr3 != state->cr3 || svm->cr4 != state->cr4 ||
           svm->efer != state->efer;
}

static void cr_set(struct svm_vcpu *svm, const struct vcpu_state *state)
{
    struct vmcb_save *save = &svm->vmcb->save;

    svm->flush |= cr_needs_flush(svm, state);
    save->cr0 = state->cr0;
    save->cr3 = state->cr3;
    svm->cr4 = state->cr4;
    save->cr4 = state->cr4 | svm_shared.cr4_always;
    svm->efer = state->efer;
    save->efer = state->efer | EFER_SVME;
    if (!(state->efer & EFER_LMA))
        save->efer &= ~EFER_LME;
}

void svm_get(struct vcpu *vcpu, struct vcpu_state *state, unsigned groups)
{
    struct vmcb_save *save = &svm_vcpu(vcpu)->vmcb->save;

    assert_in_reach(vcpu);
    if (groups & STATE_CR)
        cr_get(vcpu, state);
    if (groups & STATE_SEGMENTS)
        segments_get(save, state);
    if (groups & STATE_MSRS) {
        state->syscall = save->syscall;
        state->sysenter = save->sysenter;
        state->pat = save->g_pat;
    }
    if (groups & STATE_DEBUG) {
        state->dr6 = save->dr6;
        state->dr7 = save->dr7;
    }
}

void svm_set(struct vcpu *vcpu, const struct vcpu_state *state, unsigned groups)
{
    struct vmcb_save *save = &svm_vcpu(vcpu)->vmcb->save;

    assert_in_reach(vcpu);
    if (groups & STATE_CR)
        cr_set(svm_vcpu(vcpu), state);
    if (groups & STATE_SEGMENTS)
        segments_set(save, state);
    if (groups & STATE_MSRS) {
        save->syscall = state->syscall;
        save->sysenter = state->sysenter;
        save->g_pat = state->pat;
    }
    if (groups & STATE_DEBUG) {
        save->dr6 = state->dr6;
        save->dr7 = state->dr7;
    }
}

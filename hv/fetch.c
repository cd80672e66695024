/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/fetch.h"

#include <errno.h>

#include "hv/backend.h"
#include "hv/inject.h"
#include "hv/vcpu.h"
#include "hv/vm.h"

unsigned fetch_cpl(const struct vcpu_state *state)
{
    return field_get(SEG_DPL, state->seg[SEG_SS].attr);
}

enum insn_mode fetch_mode(const struct vcpu *vcpu, const struct vcpu_state *state)
{
    u32 cs = state->seg[SEG_CS].attr;

    if (!(state->cr0 & CR0_PE) || (vcpu->rflags & RFLAGS_VM))
        return INSN_16;
    if ((state->efer & EFER_LMA) && (cs & SEG_L))
        return INSN_64;
    return cs & SEG_DB ? INSN_32 : INSN_16;
}

struct walk_context fetch_walk_context(const struct vcpu *vcpu, const struct vcpu_state *state)
{
    struct walk_context ctx = {
        .cr0 = state->cr0,
        .cr3 = state->cr3,
        .cr4 = state->cr4,
        .efer = state->efer,
        .rflags = vcpu->rflags,
        .pdptes_missing = state->pdptes_missing,
        .cpl = fetch_cpl(state),
    };

    for (unsigned i = 0; i < 4; i++)
        ctx.pdpte[i] = state->pdpte[i];
    return ctx;
}

int fetch_walk_failed(struct vcpu *vcpu, int err, gva_t gva, u32 error)
{
    if (err == -EAGAIN) {
        page_wait_begin(vcpu);
    } else {
        vcpu->cr2 = gva;
        inject_exception(vcpu, VECTOR_PF, error);
    }
    return -EFAULT;
}

/* Bytes from gva to the end of its page, up to the longest instruction. Returns how many, or as fetch_insn. */
static int fetch_bytes(struct vcpu *vcpu, const struct walk_context *ctx, gva_t gva, u8 *bytes, unsigned want)
{
    u64 in_page = PAGE_SIZE - (gva & ~PAGE_MASK);
    unsigned len = MIN(want, in_page);
    u32 error;
    gpa_t gpa;
    int err = guest_walk(&vcpu->vm->mem, ctx, gva, WALK_FETCH, &gpa, &error);

    if (err)
        return fetch_walk_failed(vcpu, err, gva, error);
    err = guest_read(&vcpu->vm->mem, gpa, bytes, len);
    if (err == -EFAULT)
        return -ENOTSUP;
    return err ? fetch_walk_failed(vcpu, err, gva, 0) : (int)len;
}

int fetch_insn(struct vcpu *vcpu, struct vcpu_state *state, struct insn *insn)
{
    u8 bytes[INSN_MAX_LEN];

    backend()->get(vcpu, state, STATE_CR | STATE_SEGMENTS);
    struct walk_context ctx = fetch_walk_context(vcpu, state);
    enum insn_mode mode = fetch_mode(vcpu, state);
    gva_t gva = vcpu->rip;

    if (mode != INSN_64)
        gva = (u32)(state->seg[SEG_CS].base + vcpu->rip);
    int len = fetch_bytes(vcpu, &ctx, gva, bytes, INSN_MAX_LEN);
    if (len < 0)
        return len;
    int err = insn_decode(insn, mode, bytes, len);
    if (err != -EAGAIN)
        return err;

    /* The instruction goes on in the next page, which may be mapped anywhere. */
    gva = mode == INSN_64 ? gva + len : (u32)(gva + len);
    int more = fetch_bytes(vcpu, &ctx, gva, bytes + len, INSN_MAX_LEN - len);
    return more < 0 ? more : insn_decode(insn, mode, bytes, len + more);
}

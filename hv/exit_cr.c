/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes to control registers: the checks of SDM 3A "Control Registers" and SDM 2 "MOV--Move to/from Control
 * Registers", in the order that a processor makes them, then one set() of the backend. Each function either changes the
 * vcpu and returns 0, or changes nothing: with -EINVAL the guest gets #GP(0), with -EAGAIN the vcpu waits for a page.
 */
#include <errno.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "hv/cpuid.h"
#include "hv/inject.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/guest_walk.h"

#define CR0_DEFINED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* If PAE paging is on, `reload` its four top entries, which it keeps in the processor. A present one may have no
 * reserved bit. */
static int load_pdptes(struct vcpu *vcpu, struct vcpu_state *state, bool reload)
{
    int err;

    if (!reload || !state_has_pdptes(state))
        return 0;
    err = guest_pdptes_read(&vcpu->vm->mem, state->cr3, state->pdpte);
    if (err)
        return err == -EAGAIN ? err : -EINVAL;
    for (unsigned i = 0; i < 4; i++)
        if ((state->pdpte[i] & PTE_P) && (state->pdpte[i] & GUEST_PDPTE_RESERVED))
            return -EINVAL;
    return 0;
}

static bool cr0_legal(const struct vcpu_state *old, u64 cr0)
{
    bool code64 = (old->efer & EFER_LMA) && (old->seg[SEG_CS].attr & SEG_L);

    if (cr0 & ~CR0_DEFINED & BITS(63, 32))
        return false;
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return false;
    if ((cr0 & CR0_NW) && !(cr0 & CR0_CD))
        return false;
    if (!(cr0 & CR0_PG))
        return !code64;
    if (!(old->cr0 & CR0_PG) && (old->efer & EFER_LME))
        return (old->cr4 & CR4_PAE) && !(old->seg[SEG_CS].attr & SEG_L);
    return true;
}

/* These judge a value and put it into *state, with what follows from it. `reload`: does the write load the four entries
 * of PAE paging? False: the value is not legal. */
static bool cr0_change(struct vcpu_state *state, u64 value, bool *reload)
{
    if (!cr0_legal(state, value))
        return false;
    *reload = (state->cr0 ^ value) & (CR0_PG | CR0_CD | CR0_NW);
    state->cr0 = (value & CR0_DEFINED) | CR0_ET;
    state->efer &= ~EFER_LMA;
    if ((state->efer & EFER_LME) && (value & CR0_PG))
        state->efer |= EFER_LMA;
    return true;
}

static bool cr3_change(struct vcpu_state *state, u64 value, bool *reload)
{
    *reload = true;
    state->cr3 = value;
    return !(state->efer & EFER_LMA) || !(value & ~BITS(GUEST_MAXPHYADDR - 1, 0));
}

static bool cr4_change(struct vcpu_state *state, u64 value, bool *reload)
{
    *reload = (state->cr4 ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP);
    state->cr4 = value;
    return !(state->efer & EFER_LMA) || (value & CR4_PAE);
}

static int cr8_write(struct vcpu *vcpu, u64 value)
{
    if (value & ~BITS(3, 0))
        return -EINVAL;
    vcpu->interrupts->set_cr8(vcpu, value);
    return 0;
}

static int cr_write(struct vcpu *vcpu, u8 cr, u64 value)
{
    struct vcpu_state state;
    bool legal, reload;
    int err;

    if (cr == 8)
        return cr8_write(vcpu, value);
    if (cr == 4 && (value & ~cpuid_cr4_mask(&vcpu->vm->identity.cpuid)))
        return -EINVAL;
    backend()->get(vcpu, &state, cr == 0 ? STATE_CR | STATE_SEGMENTS : STATE_CR);
    legal = (cr == 0 ? cr0_change : cr == 3 ? cr3_change : cr4_change)(&state, value, &reload);
    err = legal ? load_pdptes(vcpu, &state, reload) : -EINVAL;
    if (err)
        return err;
    vcpu->osxsave = state.cr4 & CR4_OSXSAVE;
    backend()->set(vcpu, &state, STATE_CR);
    return 0;
}

static u64 cr_read(struct vcpu *vcpu, u8 cr)
{
    struct vcpu_state state;

    if (cr == 8)
        return vcpu->interrupts->get_cr8(vcpu);
    backend()->get(vcpu, &state, STATE_CR);
    return cr == 0 ? state.cr0 : cr == 3 ? state.cr3 : state.cr4;
}

void exit_cr(struct vcpu *vcpu)
{
    const struct exit *exit = &vcpu->exit;
    int err = 0;

    if (!exit->u.cr.write)
        vcpu->regs[exit->u.cr.gpr] = cr_read(vcpu, exit->u.cr.cr);
    else
        err = cr_write(vcpu, exit->u.cr.cr, exit->u.cr.value);
    if (err == -EAGAIN)
        page_wait_begin(vcpu);
    else if (err)
        inject_gp(vcpu);
    else
        vcpu_skip(vcpu);
}

/* SDM 2 "XSETBV": register 0 only, a legal value, nothing outside the policy. CPL 0 and CR4.OSXSAVE
 * were checked by the processor. */
void exit_xsetbv(struct vcpu *vcpu)
{
    u64 value = vcpu->regs[RDX] << 32 | (u32)vcpu->regs[RAX];

    if ((u32)vcpu->regs[RCX] != 0 || !cpuid_xcr0_legal(value) || (value & ~vcpu->vm->identity.cpuid.xcr0) ||
        xsetbv_guest(0, value) != NO_FAULT) { /* the vcpu is resident: its XCR0 is in the CPU */
        inject_gp(vcpu);
        return;
    }
    vcpu->xcr0 = value;
    vcpu_skip(vcpu);
}

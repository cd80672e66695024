/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual end of interrupt (Linux "KVM-specific MSRs", MSR_KVM_PV_EOI_EN) is a word in the guest's memory. We
 * set its bit 0 when an EOI would do nothing but end the interrupt in service. The guest then clears the bit and does
 * not write the EOI register, which saves one exit for each interrupt.
 *
 * While `offered` is set, only the guest's memory tells whether that interrupt has ended. So pv_eoi_settle reads the
 * word before the LAPIC is asked anything that depends on it. All this belongs to the vcpu's CPU, as its LAPIC does.
 */
#pragma once

#include "host/types.h"

struct codec;
struct guest_mem;
struct lapic;

#define MSR_KVM_PV_EOI_EN 0x4B564D04

struct pv_eoi {
    u64 msr;      /* gpa of the word | enable */
    bool offered; /* we have set the bit for the interrupt in service, and not found it cleared yet */
};

/* The guest writes the MSR; there may be no offer. Returns 0; -EINVAL: the write is a #GP; or -EAGAIN: the word is in a
 * missing page. */
int pv_eoi_write_msr(struct pv_eoi *pv_eoi, struct guest_mem *mem, u64 value);

/* Is the word missing? Returns as guest_mem_ask. While it is, nothing else here may be called but pv_eoi_state. */
int pv_eoi_ask(const struct pv_eoi *pv_eoi, struct guest_mem *mem);

/* An interrupt has just been taken: offer the guest to leave out its EOI, if that would have no other effect. */
void pv_eoi_offer(struct pv_eoi *pv_eoi, struct guest_mem *mem, const struct lapic *lapic);

/*
 * If the guest has accepted the offer (the bit is clear), give the LAPIC the EOI. If it has not done so yet, and its
 * EOI would have other effects by now or `withdraw` is set, take the offer back: the guest will write the register.
 */
void pv_eoi_settle(struct pv_eoi *pv_eoi, struct guest_mem *mem, struct lapic *lapic, bool withdraw);

/* An offer is saved as it is, because the guest's memory moves, too. A state that cannot be is refused. */
void pv_eoi_state(struct pv_eoi *pv_eoi, const struct guest_mem *mem, struct codec *c);

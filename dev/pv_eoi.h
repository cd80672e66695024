/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM's paravirtual end of interrupt (Linux "KVM-specific MSRs", MSR_KVM_PV_EOI_EN): a word in the guest's memory whose
 * bit 0 we set where an EOI would do nothing but end the interrupt in service. The guest then clears the bit and leaves
 * the register alone, which saves an exit an interrupt.
 *
 * As long as `offered`, whether that interrupt has ended stands in the guest's memory only. It is looked up before the
 * LAPIC is asked anything that depends on it. Belongs to the vcpu's CPU, as its LAPIC does.
 */
#pragma once

#include "host/types.h"

struct guest_mem;
struct lapic;
struct reader;
struct writer;

#define MSR_KVM_PV_EOI_EN 0x4B564D04

struct pv_eoi {
    u64 msr;      /* gpa of the word | enable */
    bool offered; /* its bit was set for the interrupt in service, and not looked at since */
};

/* The MSR's write, nothing being offered. 0, or -EINVAL: #GP. */
int pv_eoi_write_msr(struct pv_eoi *pv_eoi, const struct guest_mem *mem, u64 value);

/* An interrupt has just been taken: spare the guest its EOI, if that would have no other effect. */
void pv_eoi_offer(struct pv_eoi *pv_eoi, struct guest_mem *mem, const struct lapic *lapic);

/*
 * Give the LAPIC the EOI that the guest has left out. If it has not come to that yet, and its EOI would have other
 * effects by now or `withdraw` is set, take the offer back: the guest will write the register.
 */
void pv_eoi_settle(struct pv_eoi *pv_eoi, struct guest_mem *mem, struct lapic *lapic, bool withdraw);

/* An offer stays as it is, for the guest's memory moves as well. load: 0, or -EINVAL for a state that cannot be. */
void pv_eoi_save(const struct pv_eoi *pv_eoi, struct writer *w);
int pv_eoi_load(struct pv_eoi *pv_eoi, const struct guest_mem *mem, struct reader *r);

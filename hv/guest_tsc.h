/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TSC that a guest reads is the host's TSC, scaled if the processor can do that (SDM 3C "Time-Stamp Counter
 * Offsetting and Scaling"), plus the offset of each vcpu. A VM keeps the frequency that its guest found at boot for
 * ever.
 *
 * On a machine whose TSC runs at another frequency and can't be scaled, the TSC that the guest reads runs at the wrong
 * rate. Then the paravirtual clock tells the guest the true rate, and deadlines of its APIC timer keep their length in
 * time (guest_tsc_to_host).
 */
#pragma once

#include "host/types.h"

struct guest_tsc {
    u64 khz;      /* the frequency that the guest relies on */
    u64 host_khz; /* the frequency of this machine's TSC */
    u64 ratio;    /* guest ticks in one host tick: 16 bits before the binary point, 48 after, as in TSC_MULTIPLIER */
    u64 inverse;  /* host ticks for one tick at khz: 24 bits before the binary point, 40 after */
};

/* The frequencies that a guest's TSC may have: 1 MHz (emulators) to 16 GHz; any other value is no clock. */
#define GUEST_TSC_KHZ_MIN 1000u
#define GUEST_TSC_KHZ_MAX ((1u << 24) - 1)

static inline bool guest_tsc_is_khz(u64 khz)
{
    return khz >= GUEST_TSC_KHZ_MIN && khz <= GUEST_TSC_KHZ_MAX;
}

#define GUEST_TSC_RATIO_BITS 48 /* after the binary point */
#define GUEST_TSC_UNSCALED (1ULL << GUEST_TSC_RATIO_BITS)

/* Fill *tsc for a guest that relies on khz, a legal frequency (see above), on a machine with a TSC of host_khz. If the
 * two differ by less than the error of a measurement, they are taken as equal. */
void guest_tsc_init(struct guest_tsc *tsc, u64 khz, u64 host_khz, bool can_scale);

/* The host's ticks, scaled, but without the vcpu's offset. */
u64 guest_tsc_scale(const struct guest_tsc *tsc, u64 host);

/* The host ticks in which `ticks` of the guest should pass; rounded up, saturated. */
u64 guest_tsc_to_host(const struct guest_tsc *tsc, u64 ticks);

/* The frequency in kHz at which the guest's TSC really runs on this machine. */
u64 guest_tsc_khz_here(const struct guest_tsc *tsc);

/* Does the guest's TSC run at a rate that the guest doesn't expect? */
bool guest_tsc_strays(const struct guest_tsc *tsc);

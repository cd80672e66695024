/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TSC that a guest reads: the host's, scaled where the processor can do that (SDM 3C "Time-Stamp Counter Offsetting
 * and Scaling"), plus the offset of each vcpu. A VM keeps for ever the frequency that its guest has found at its boot.
 *
 * On a machine whose TSC runs at another frequency and can't be scaled, what the guest reads runs at the wrong rate:
 * the paravirtual clock tells it so, and deadlines of its APIC timer keep their length in time (guest_tsc_to_host).
 */
#pragma once

#include "host/types.h"

struct guest_tsc {
    u64 khz;      /* that the guest counts on */
    u64 host_khz; /* of this machine's */
    u64 ratio;    /* guest ticks a host tick: 16 bits, and 48 behind the point, as in TSC_MULTIPLIER */
    u64 inverse;  /* host ticks for one that the guest counts: 24 bits, and 40 behind the point */
};

/* What may be the frequency of a guest's: 1 MHz (emulators) to 16 GHz; beyond, it is no clock. */
#define GUEST_TSC_KHZ_MIN 1000u
#define GUEST_TSC_KHZ_MAX ((1u << 24) - 1)

static inline bool guest_tsc_is_khz(u64 khz)
{
    return khz >= GUEST_TSC_KHZ_MIN && khz <= GUEST_TSC_KHZ_MAX;
}

#define GUEST_TSC_RATIO_BITS 48 /* behind the point */
#define GUEST_TSC_UNSCALED (1ULL << GUEST_TSC_RATIO_BITS)

/* A guest that counts on khz, which is a frequency as above, on a machine of host_khz. Frequencies that differ by less
 * than measuring them may err are taken for equal. */
void guest_tsc_init(struct guest_tsc *tsc, u64 khz, u64 host_khz, bool can_scale);

/* The host's ticks, scaled: without the offset. */
u64 guest_tsc_scale(const struct guest_tsc *tsc, u64 host);

/* Host ticks in which so many of the guest's should pass: rounded up, saturated. */
u64 guest_tsc_to_host(const struct guest_tsc *tsc, u64 ticks);

/* The frequency at which it really runs here, kHz. */
u64 guest_tsc_khz_here(const struct guest_tsc *tsc);

/* Does it run at a rate that the guest doesn't expect? */
bool guest_tsc_strays(const struct guest_tsc *tsc);

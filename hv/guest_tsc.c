/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/guest_tsc.h"

#include "host/bits.h"

#define INVERSE_BITS 40 /* behind the point; frequencies in kHz have at most 24 bits */
#define REST_BITS 8     /* of a ratio, which a second division finds */
#define NOISE 4000      /* measured frequencies of the same clock differ by less than a 4000th: host/calibrate.c */

/* a / b as a ratio, without a division of more than 64 bits. */
static u64 ratio_of(u64 a, u64 b)
{
    u64 high = a << (GUEST_TSC_RATIO_BITS - REST_BITS), rest = high % b;

    return (high / b) << REST_BITS | (rest << REST_BITS) / b;
}

void guest_tsc_init(struct guest_tsc *tsc, u64 khz, u64 host_khz, bool can_scale)
{
    u64 gap = khz > host_khz ? khz - host_khz : host_khz - khz;

    if (gap <= host_khz / NOISE)
        host_khz = khz;
    *tsc = (struct guest_tsc){
        .khz = khz,
        .host_khz = host_khz,
        .ratio = can_scale ? ratio_of(khz, host_khz) : GUEST_TSC_UNSCALED,
        .inverse = ((host_khz << INVERSE_BITS) + khz - 1) / khz,
    };
}

u64 guest_tsc_scale(const struct guest_tsc *tsc, u64 host)
{
    return (u64)((unsigned __int128)host * tsc->ratio >> GUEST_TSC_RATIO_BITS);
}

u64 guest_tsc_to_host(const struct guest_tsc *tsc, u64 ticks)
{
    unsigned __int128 host = ((unsigned __int128)ticks * tsc->inverse + BITS(INVERSE_BITS - 1, 0)) >> INVERSE_BITS;

    return host > ~0ULL ? ~0ULL : (u64)host;
}

u64 guest_tsc_khz_here(const struct guest_tsc *tsc)
{
    return tsc->ratio == GUEST_TSC_UNSCALED ? tsc->host_khz : tsc->khz;
}

bool guest_tsc_strays(const struct guest_tsc *tsc)
{
    return guest_tsc_khz_here(tsc) != tsc->khz;
}

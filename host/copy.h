/* SPDX-License-Identifier: BSD-2-Clause */
/* Copying bulk data: what packets and pages are moved with. */
#pragma once

#include <string.h>

#include "host/types.h"

/*
 * Copy len bytes; the two don't overlap. As memcpy, but without newlib's REP MOVSB at both ends of what isn't aligned,
 * which frames and their headers never are: its start-up costs processors tens of cycles, and emulators a round a byte.
 */
static inline void bulk_copy(void *to, const void *from, size_t len)
{
    u8 *d = to;
    const u8 *s = from;
    u64 a, b, c, e;

    if (len < sizeof(a)) {
        while (len--)
            *d++ = *s++;
        return;
    }
    for (; len >= 4 * sizeof(a); len -= 4 * sizeof(a), d += 4 * sizeof(a), s += 4 * sizeof(a)) {
        memcpy(&a, s, 8);
        memcpy(&b, s + 8, 8);
        memcpy(&c, s + 16, 8);
        memcpy(&e, s + 24, 8);
        memcpy(d, &a, 8);
        memcpy(d + 8, &b, 8);
        memcpy(d + 16, &c, 8);
        memcpy(d + 24, &e, 8);
    }
    for (; len >= sizeof(a); len -= sizeof(a), d += sizeof(a), s += sizeof(a)) {
        memcpy(&a, s, sizeof(a));
        memcpy(d, &a, sizeof(a));
    }
    while (len--)
        *d++ = *s++;
}

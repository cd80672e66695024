/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies bulk data: packets and pages. */
#pragma once

#include <string.h>

#include "host/types.h"

/*
 * Copy len bytes between two areas that don't overlap. Unlike newlib's memcpy this uses no REP MOVSB at the ends of
 * unaligned data; network frames and their headers are never aligned. To start a REP MOVSB costs a processor tens of
 * cycles, and an emulator runs one round for each byte.
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

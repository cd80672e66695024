/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies bulk data: packets and pages. */
#pragma once

#include <string.h>

#include "host/types.h"

#define BULK_TURN 64 /* bytes in a turn of the loop: the compiler makes moves in line of it */

/*
 * Copy len bytes between two areas that don't overlap. Unlike newlib's memcpy this uses no REP MOVSB at the ends of
 * unaligned data; network frames and their headers are never aligned. To start a REP MOVSB costs a processor tens of
 * cycles, and an emulator runs one round for each byte. The function lies in one page: QEMU links no two pieces of code
 * of which one crosses into another page, and in a loop it then searches for the next turn each time.
 */
static __attribute__((noinline, unused, aligned(512))) void bulk_copy(void *to, const void *from, size_t len)
{
    u8 *d = to;
    const u8 *s = from;

    for (; len >= BULK_TURN; len -= BULK_TURN, d += BULK_TURN, s += BULK_TURN)
        memcpy(d, s, BULK_TURN);
    for (; len >= sizeof(u64); len -= sizeof(u64), d += sizeof(u64), s += sizeof(u64))
        memcpy(d, s, sizeof(u64));
    while (len--)
        *d++ = *s++;
}

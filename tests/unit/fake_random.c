/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes that are the same in each run, for tests that need some. */
#include "tls/random.h"

void random_fill(u8 *bytes, u32 len)
{
    static u32 chance = 1;

    while (len-- > 0) {
        chance = chance * 1664525 + 1013904223;
        *bytes++ = (u8)(chance >> 24);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What debug images fill freed memory with (mm/frame.c, hv/lib/heap_net.c). A pointer that is read from it is not
 * canonical, so its use is #GP.
 */
#pragma once

#include <string.h>

#include "hv/lib/types.h"

#define JUNK 0xA5

/* Has nobody written there since bytes[0..size) were filled? Equal to itself shifted by one, and the first byte right:
 * all bytes right. */
static inline bool junk_is_whole(const u8 *bytes, size_t size)
{
    return size == 0 || (bytes[0] == JUNK && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What debug images fill freed memory with (host/frame.c, host/heap_net.c). A pointer that is read from it is not
 * canonical, so its use is #GP.
 */
#pragma once

#include <string.h>

#include "host/types.h"

#define JUNK 0xA5
#define JUNK_WORD (JUNK * 0x0101010101010101ULL)

/* Has nobody written there since these `size` bytes, 8 at least and aligned to 8, were filled? Equal to itself shifted
 * by a word, and the first word right: all right. Shifted by a byte it would be ten times as slow (newlib's memcmp). */
static inline bool junk_is_whole(const u64 *words, size_t size)
{
    return *words == JUNK_WORD && memcmp(words, words + 1, size - sizeof(*words)) == 0;
}

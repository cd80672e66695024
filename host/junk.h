/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The junk that debug images fill freed memory with (host/frame.c, host/heap_net.c). A pointer that is read from junk
 * is not canonical, so its use raises #GP.
 */
#pragma once

#include <string.h>

#include "host/types.h"

#define JUNK 0xA5
#define JUNK_WORD (JUNK * 0x0101010101010101ULL)

/* Are these `size` bytes (at least 8, aligned to 8) still junk? They are if the first word is junk and the memory
 * equals itself shifted by a word. A shift by a byte would do, too, but newlib's memcmp would be ten times as slow. */
static inline bool junk_is_whole(const u64 *words, size_t size)
{
    return *words == JUNK_WORD && memcmp(words, words + 1, size - sizeof(*words)) == 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What moments.c and its real-mode code share. */
#pragma once

#define REAL_SEGMENT 0x1023 /* one byte has two names: 1023:0004 is 1000:0234 */
#define REAL_OTHER 0x1000
#define REAL_OFFSET 0x4
#define REAL_OTHER_OFFSET 0x234

#ifndef __ASSEMBLER__
#include "host/types.h"

/* For real_call: counts, and reads back through the other segment, until a 'q' is typed; gives how often that failed.
 * real_turns, below 64 KiB: how often it went round. */
extern const u8 real_until_q[];
extern u32 real_turns;
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a VM has been: its last moves, as the machines to which they went have noted them. It moves with the VM. Host
 * loop. */
#pragma once

#include "stream/wire.h"

struct codec;
struct vm;

#define HISTORY_MOVES 8
#define HISTORY_PEER 64 /* text of an address */

enum history_mode { HISTORY_WHOLE, HISTORY_SPLIT, HISTORY_COLD, NR_HISTORY_MODES };

struct history_move {
    u64 epoch;
    u64 at;                  /* ns since 1970, by the destination's clock */
    u64 stood;               /* ns for which its guest stood; of a cold move, for which it was down */
    u8 mode;                 /* enum history_mode */
    char from[HISTORY_PEER]; /* the source, as the destination saw it */
};

struct vm_history {
    u32 moves; /* ever; the last HISTORY_MOVES are kept */
    struct history_move move[HISTORY_MOVES];
};

/* It has come here by this move, now. */
void vm_history_add(struct vm *vm, const struct history_move *move);

/* As a section of state. */
void vm_history_state(struct vm *vm, struct codec *c);

/* "whole", "split", "cold" */
const char *history_mode_name(u8 mode);

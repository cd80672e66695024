/* SPDX-License-Identifier: BSD-2-Clause */
/* What visits.S and real.S offer to C: code for the calls of tests/guests/kit/modes.h, and what it leaves behind. */
#pragma once

#include "tests/guests/modes/modes.h"
#include "host/types.h"

struct visit {
    u32 cr0, cr4, efer, cs;
    u32 width; /* of the operand-size proof */
    char vendor[12];
    u32 result;
};
_Static_assert(sizeof(struct visit) == VISIT_SIZE && offsetof(struct visit, result) == VISIT_RESULT,
               "modes.h describes struct visit");

extern struct visit visit, real_visit;
extern u32 window;
extern const u8 compat_visit[], protected_visit[], paging32_visit[], pae_visit[];
extern const u8 real_portrait[], real_segments[], real_int[], real_divide[], real_ports[], real_outs[], real_unreal[],
    real_far[];

/* SPDX-License-Identifier: BSD-2-Clause */
/* How many pages a guest dirties, without a migration (QEMU's calc-dirty-rate): the log is on for a moment. */
#pragma once

#include "host/types.h"

struct vm;

enum dirty_rate_status { DIRTY_RATE_UNSTARTED, DIRTY_RATE_MEASURING, DIRTY_RATE_MEASURED };

struct dirty_rate {
    enum dirty_rate_status status;
    u32 calc_time;   /* ms that it took, or takes */
    u64 pages;       /* different pages written in that time */
    u64 rate;        /* the same, a second: a lower bound of what a migration's rounds will see */
    u64 from, until; /* host TSC */
    u64 before;      /* pages harvested before it began */
    bool counted;    /* the pages; the log has not ended yet */
};

/* Measure for `ms`; vm->dirty_rate tells when it has MEASURED. Returns 0, -EBUSY (the log is in use, or measuring),
 * -EINVAL (0 ms), or what vm_dirty_start says. Host loop. */
int dirty_rate_start(struct vm *vm, u32 ms);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Measures how many pages a guest dirties, without a move (QEMU's calc-dirty-rate). The log is on for a while. */
#pragma once

#include "host/types.h"

struct vm;

enum dirty_rate_status { DIRTY_RATE_UNSTARTED, DIRTY_RATE_MEASURING, DIRTY_RATE_MEASURED };

struct dirty_rate {
    enum dirty_rate_status status;
    u32 calc_time;   /* ms that the measurement takes or took */
    u64 pages;       /* different pages written in that time */
    u64 rate;        /* pages a second: a lower bound of what a migration's rounds will see */
    u64 from, until; /* host TSC at begin and end */
    u64 before;      /* pages harvested before the measurement began */
    bool counted;    /* the pages are counted, but the log has not ended yet */
};

/* Start to measure for `ms` milliseconds; the status then becomes MEASURED. Returns 0, -EBUSY (the log is in use, or a
 * measurement runs), -EINVAL (ms is 0), -ENOMEM, or the error of vm_dirty_start. Host loop. */
int dirty_rate_start(struct vm *vm, u32 ms);

/* The last measurement of this VM, which may still run. Host loop. */
const struct dirty_rate *dirty_rate_of(const struct vm *vm);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM is to the administrator: its status (hv/vm.h), or what a move makes of it. `vms` and /metrics show it, and
 * the table of commands says in which of them a command makes sense. Host loop.
 */
#pragma once

#include "hv/vm.h"

/* Those of enum vm_status, and behind them: */
enum {
    SHOWN_OUTGOING = VM_INCOMING + 1, /* stands still here for the end of its move away */
    SHOWN_IN_DOUBT,                   /* its destination runs it, or may run it */
    SHOWN_SUPERSEDED,                 /* another machine claims it under a higher epoch */
    SHOWN_PREPARED,                   /* came here whole, and its source has fallen silent before it said COMMIT */
    SHOWN_ELSEWHERE,                  /* not started here, for another machine has it */
    NR_SHOWN,
};

unsigned shown_status(const struct vm *vm);

/* "running", "in-doubt" ... */
const char *shown_name(unsigned status);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status of a VM as the administrator sees it: that of hv/vm.h, or what a move makes of it. `vms` and /metrics show
 * it, and the table of commands says in which of these a command makes sense. Host loop.
 */
#pragma once

#include "hv/vm.h"

/* The values of enum vm_status, and after them: */
enum {
    SHOWN_SUSPENDED = VM_INCOMING + 1, /* its guest sleeps, and a button wakes it */
    SHOWN_OUTGOING,                    /* the VM stands still here while its move away ends */
    SHOWN_IN_DOUBT,                    /* its destination runs it, or may run it */
    SHOWN_SERVING,                     /* its destination runs it, and needs the memory that is here */
    SHOWN_SUPERSEDED,                  /* another machine claims it under a higher epoch */
    SHOWN_PREPARED,                    /* it came here whole, and its connection ended before its source said COMMIT */
    SHOWN_ELSEWHERE,                   /* the VM does not run here, because another machine has it */
    NR_SHOWN,
};

unsigned shown_status(const struct vm *vm);

/* "running", "in-doubt" ... */
const char *shown_name(unsigned status);

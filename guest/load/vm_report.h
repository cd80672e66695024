/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a VM has run; what the log says of one that has ended and will soon have no memory. */
#pragma once

#include "host/types.h"

struct vm;

/* ns for which its vcpus have run so far, their exits included, all together. Any CPU. */
u64 vm_ran(const struct vm *vm);

/* Log its status and reason, what it has used, and its exits by reason. Host loop. */
void vm_report(const struct vm *vm);

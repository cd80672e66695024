/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log says of a VM that has ended and will soon have no memory. */
#pragma once

struct vm;

/* Log its status and reason, what it has used, and its exits by reason. Host loop. */
void vm_report(const struct vm *vm);

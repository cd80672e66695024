/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine whose only VM is a struct: for tests of what looks at each VM of a machine. */
#pragma once

#include "dev/platform.h"
#include "hv/vm.h"

extern struct vm vm;
extern struct platform platform; /* that VM's devices */

/* The VM is fresh, runs, and is the only one. */
void one_vm_make(void);

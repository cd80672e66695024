/* SPDX-License-Identifier: BSD-2-Clause */
/* The verdict port (config/guest_abi.h): by it a test guest says that it is done, and whether it has passed. Stateless.
 */
#pragma once

#include "hv/bus.h"

struct vm;

struct verdict {
    struct device device;
    struct vm *vm;
};

/* Create it and add its port to the bus. Returns 0 or bus_add's error. */
int verdict_init(struct verdict *verdict, struct vm *vm);

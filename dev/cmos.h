/* SPDX-License-Identifier: BSD-2-Clause */
/* The CMOS clock in a guest: ports 70h and 71h, and line 8. It starts with the host's wall clock. */
#pragma once

#include "dev/mc146818.h"
#include "dev/timer.h"

struct cmos {
    struct device device;
    struct mc146818 chip;
    struct timer timer;
    struct vm *vm;
};

/* Create the chip and add its ports to the bus. Returns 0 or bus_add's error. */
int cmos_init(struct cmos *cmos, struct vm *vm);

/* Bring the state up to the present time. With device_lock held. */
void cmos_settle(struct cmos *cmos);

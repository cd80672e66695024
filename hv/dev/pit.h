/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 in a guest: its ports, port 61h, and counter 0 on line 0. */
#pragma once

#include "hv/dev/i8254.h"
#include "hv/dev/timer.h"

struct pit {
    struct device device;
    struct i8254 chip;
    struct timer timer; /* counter 0's next rise */
    struct vm *vm;
};

/* Create the chip and claim its ports. Returns 0 or bus_add's error. */
int pit_init(struct pit *pit, struct vm *vm);

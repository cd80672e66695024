/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 in a guest: its ports, port 61h, and counter 0 on line 0.
 *
 * A kernel that counts time by counter 0 alone loses none when it could not take its ticks (docs/time.md): those that
 * came while the one before still waited are owed, and follow.
 */
#pragma once

#include "dev/i8254.h"
#include "dev/timer.h"

struct pit {
    struct device device;
    struct i8254 chip;
    struct timer timer; /* counter 0's next rise, or the next tick that is owed */
    u64 counted;        /* tick of the chip up to which its rises have interrupted, or are owed */
    u32 owed;           /* rises that have not interrupted */
    struct vm *vm;
};

/* Create the chip and claim its ports. Returns 0 or bus_add's error. */
int pit_init(struct pit *pit, struct vm *vm);

/* Before it is saved: what has risen by now is owed. With device_lock held. */
void pit_settle(struct pit *pit);

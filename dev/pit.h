/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 in a guest: its ports, port 61h, and counter 0 on line 0.
 *
 * A kernel that counts time by counter 0 alone loses no tick that it could not take in time (docs/time.md): ticks that
 * came while the one before still waited are owed, and follow later.
 */
#pragma once

#include "dev/i8254.h"
#include "dev/timer.h"

struct pit {
    struct device device;
    struct i8254 chip;
    struct timer timer; /* for counter 0's next rise, or the next tick that is owed */
    u64 counted;        /* the chip's tick up to which rises have interrupted or are owed */
    u32 owed;           /* rises that have not interrupted */
    bool blocked;       /* the last one that has interrupted still waited when we looked; read without device_lock */
    struct vm *vm;
};

/* Create the chip and add its ports to the bus. Returns 0 or bus_add's error. */
int pit_init(struct pit *pit, struct vm *vm);

/* A processor of the guest has taken an interrupt, which may be the one that owed ticks wait for. On the vcpu's CPU,
 * without device_lock. */
void pit_taken(struct pit *pit);

/* Call this before the chip is saved: all rises up to now are owed then. With device_lock held. */
void pit_settle(struct pit *pit);

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/guests/kit/pit.h"

#include "tests/guests/kit/cpu.h"

#define PIT_COUNTER0 0x40
#define PIT_COMMAND 0x43

static void pit_start(u8 command, u16 count)
{
    outb(PIT_COMMAND, command);
    outb(PIT_COUNTER0, (u8)count);
    outb(PIT_COUNTER0, count >> 8);
}

void pit_periodic(u16 count)
{
    pit_start(0x34, count);
}

void pit_once(u16 count)
{
    pit_start(0x30, count);
}

/* A counter without a count. */
void pit_stop(void)
{
    outb(PIT_COMMAND, 0x30);
}

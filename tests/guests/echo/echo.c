/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo: a guest to steer. It counts, a line every 100 ms, and sends back what is typed on its console: letters in upper
 * case. A 'q' ends it with PASS.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"

#define TICK_US 100000

const char guest_name[] = "echo";

/* The next typed character, or 0 after a tick without one. */
static char key_wait(void)
{
    u64 end = rdtsc() + clock_ticks(TICK_US);
    char key = 0;

    while (!key && rdtsc() < end)
        key = console_key();
    return key;
}

void guest_main(void)
{
    char key = 0;

    for (u64 tick = 0; key != 'q';) {
        key = key_wait();
        if (!key)
            kprintf("tick %lu\n", tick++);
        else
            kprintf("key %c\n", key >= 'a' && key <= 'z' ? key - 32 : key);
    }
    report("a key has come", key == 'q');
}

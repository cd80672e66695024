/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo: a guest to steer. It counts, a line every 100 ms, and sends back what is typed on its console: letters in upper
 * case. A 'q' ends it with PASS. It sleeps in between, and looks for typed characters every 5 ms.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/trap.h"

#define TICK_US 100000
#define LOOK_US 5000
#define TIMER_VECTOR 0x40

const char guest_name[] = "echo";

static void timer_handler(struct trap_frame *frame)
{
    (void)frame;
    lapic_eoi();
}

/* The next typed character, or 0 after a tick without one. */
static char key_wait(void)
{
    u64 end = rdtsc() + clock_ticks(TICK_US);
    char key;

    while (!(key = console_key()) && rdtsc() < end) {
        sti_hlt();
        cli();
    }
    return key;
}

void guest_main(void)
{
    char key = 0;

    lapic_enable();
    trap_handle(TIMER_VECTOR, timer_handler);
    lapic_timer(TIMER_VECTOR, LVT_PERIODIC, LOOK_US);
    for (u64 tick = 0; key != 'q';) {
        key = key_wait();
        if (!key)
            kprintf("tick %lu\n", tick++);
        else
            kprintf("key %c\n", key >= 'a' && key <= 'z' ? key - 32 : key);
    }
    report("a key has come", key == 'q');
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo: a guest to steer. It counts, a line every 100 ms, and sends back what is typed on its console: letters in upper
 * case. A 'q' ends it with PASS.
 */
#include "guest/kit/boot.h"
#include "guest/kit/clock.h"
#include "guest/kit/console.h"
#include "guest/kit/cpu.h"
#include "guest/kit/report.h"
#include "hv/guest_abi.h"

#define UART_RBR (GODWIT_CONSOLE_PORT + 0)
#define UART_LSR (GODWIT_CONSOLE_PORT + 5)
#define LSR_DR 0x01
#define TICK_US 100000

const char guest_name[] = "echo";

/* The next typed character, or 0 after a tick without one. */
static char key_wait(void)
{
    u64 end = rdtsc() + clock_ticks(TICK_US);

    while (rdtsc() < end)
        if (inb(UART_LSR) & LSR_DR)
            return (char)inb(UART_RBR);
    return 0;
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

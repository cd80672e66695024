/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo: a guest to steer. It counts, a line every 100 ms, and sends back what is typed on its console: letters in upper
 * case. A 'q' ends it with PASS. It sleeps in between, and looks for typed characters every 5 ms, and on Godwit at its
 * power button: when that is pressed it powers off, or does what the option power=reset or power=ignore says.
 */
#include "dev/platform_map.h"
#include "host/bits.h"
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

/* Of PM1 status, and of PM1 control. */
#define POWER_BUTTON BIT(8)
#define SLP_EN BIT(13)
#define SLP_TYP_SHIFT 10

const char guest_name[] = "echo";

static void timer_handler(struct trap_frame *frame)
{
    (void)frame;
    lapic_eoi();
}

/* The power button was pressed: obey, unless an option says otherwise. */
static void power_button(void)
{
    char option[8] = "";

    outw(ACPI_PM1A_EVENT_PORT, POWER_BUTTON);
    boot_option("power", option, sizeof(option));
    kprintf("power button\n");
    if (option[0] == 'r')
        outb(RESET_PORT, RESET_VALUE);
    else if (option[0] != 'i')
        outw(ACPI_PM1A_CONTROL_PORT, ACPI_SLP_TYP_S5 << SLP_TYP_SHIFT | SLP_EN);
}

/* The next typed character, or 0 after a tick without one. */
static char key_wait(void)
{
    u64 end = rdtsc() + clock_ticks(TICK_US);
    char key;

    while (!(key = console_key()) && rdtsc() < end) {
        sti_hlt();
        cli();
        if (boot.godwit && inw(ACPI_PM1A_EVENT_PORT) & POWER_BUTTON)
            power_button();
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* The timers' and the serial port's interrupts, by the 8259s and by the I/O APIC. */
#include "tests/guests/chips/chips.h"
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"

#define PERIODS 10
#define SLOW_COUNT 0xFFFFU /* 55 ms */
#define OWED_US 500000
#define MS_COUNT (PIT_HZ / 1000)
#define PIT_PIN 2
#define SERIAL_PIN 4
#define SERIAL_LEVELS 3

#define UART_IER 0x3F9
#define UART_IIR 0x3FA
#define UART_MCR 0x3FC
#define MCR_OUT2 0x08
#define IER_THRE 0x02

#define RTC_A 0x0A
#define RTC_B 0x0B
#define RTC_B_PIE 0x40
#define RTC_RATE_512HZ 7

static void rtc_periodic(bool on)
{
    u8 b = cmos_read(RTC_B);

    cmos_write(RTC_A, 0x20 | RTC_RATE_512HZ);
    cmos_write(RTC_B, on ? b | RTC_B_PIE : b & ~RTC_B_PIE);
    rtc_clear();
}

/* Ten periods of the 8254, not faster than they should be. */
static void check_periodic(u8 vector)
{
    u64 start = rdtsc();

    pit_periodic(MS_COUNT);
    sti();
    report("the 8254 interrupts again and again", await(vector, PERIODS));
    report("the 8254 is not too fast", clock_us(rdtsc() - start) >= (PERIODS - 1) * 1000 * 9 / 10);
    pit_stop();
    clock_spin(1000); /* what is on its way arrives */
    cli();
}

/* Ticks of the slowest counter since `start`. */
static u64 ticks_since(u64 start)
{
    return clock_us(rdtsc() - start) * PIT_HZ / SLOW_COUNT / 1000000;
}

/* Interrupts were off for a while, as if the host had had no time for the guest: each tick of it comes nevertheless,
 * and before long as many have come as there were. */
static void check_owed(u8 vector)
{
    if (!boot.godwit) {
        report_skip("ticks that could not be taken", "only Godwit makes them good");
        return;
    }
    seen[vector] = 0;
    pit_periodic(SLOW_COUNT);
    u64 start = rdtsc(), end = start + clock_ticks(LONG_US);

    clock_spin(OWED_US);
    u64 owed = ticks_since(start);
    sti();
    while (seen[vector] < owed && rdtsc() < end)
        pause();
    cli();
    report("ticks that could not be taken follow", rdtsc() < end);
    report("and none that there was not", seen[vector] <= ticks_since(start) + 1);
    pit_stop();
    sti();
    clock_spin(1000); /* what is on its way arrives */
    cli();
}

static void check_once(u8 vector)
{
    seen[vector] = 0;
    pit_once(MS_COUNT);
    sti();
    report("its one-shot arrives", await(vector, 1));
    clock_spin(5000);
    report_equal("its one-shot arrives once", seen[vector], 1);
    cli();
}

static void check_halt(u8 vector)
{
    seen[vector] = 0;
    pit_once(MS_COUNT);
    sti_hlt();
    cli();
    report_equal("its interrupt ends HLT", seen[vector], 1);
}

static void check_rtc(u8 vector)
{
    rtc_periodic(true);
    sti();
    report("the CMOS clock interrupts again and again", await(vector, PERIODS));
    cli();
    rtc_periodic(false);
}

void test_pic(void)
{
    report_prefix("8259");
    lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
    watch(PIC_VECTOR, NULL, true);
    watch(PIC_VECTOR + RTC_LINE, rtc_clear, true);
    pic_unmask(0);
    check_periodic(PIC_VECTOR);
    check_owed(PIC_VECTOR);
    check_once(PIC_VECTOR);
    check_halt(PIC_VECTOR);
    pic_mask_all();
    seen[PIC_VECTOR] = 0;
    pit_once(MS_COUNT);
    sti();
    clock_spin(5000);
    cli();
    report_equal("a masked line is silent", seen[PIC_VECTOR], 0);
    sti();
    pic_unmask(0);
    report("and its edge waits", await(PIC_VECTOR, 1));
    cli();
    pic_unmask(RTC_LINE);
    check_rtc(PIC_VECTOR + RTC_LINE);
    pit_stop();
    pic_mask_all();
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
}

/* Reading IIR takes the transmitter's interrupt back: not before it has come so often. */
static void serial_clear(void)
{
    if (seen[PIN_VECTOR + SERIAL_PIN] == SERIAL_LEVELS - 1)
        inb(UART_IIR);
}

/* The serial port's line as a level: it interrupts until the cause is taken away, whatever EOIs are given. */
static void check_level(void)
{
    u8 vector = PIN_VECTOR + SERIAL_PIN, mcr = inb(UART_MCR);

    watch(vector, serial_clear, false);
    pin_set(SERIAL_PIN, vector, PIN_LEVEL | PIN_MASKED);
    outb(UART_MCR, mcr | MCR_OUT2);
    outb(UART_IER, IER_THRE);
    sti();
    clock_spin(1000);
    unsigned masked = seen[vector];

    pin_set(SERIAL_PIN, vector, PIN_LEVEL);
    bool arrived = await(vector, SERIAL_LEVELS);

    clock_spin(5000);
    cli();
    unsigned count = seen[vector];
    u32 entry = pin_get(SERIAL_PIN);

    outb(UART_IER, 0);
    outb(UART_MCR, mcr);
    pin_set(SERIAL_PIN, vector, PIN_MASKED);
    report_equal("a masked level is silent", masked, 0);
    report("a level interrupts when it is let through", arrived);
    report_equal("again after each EOI, until it falls", count, SERIAL_LEVELS);
    report("remote IRR is clear after the EOI", !(entry & PIN_REMOTE_IRR));
}

void test_ioapic(const char *mode)
{
    report_prefix(mode);
    watch(PIN_VECTOR + PIT_PIN, NULL, false);
    watch(PIN_VECTOR + RTC_LINE, rtc_clear, false);
    pin_set(PIT_PIN, PIN_VECTOR + PIT_PIN, 0);
    check_periodic(PIN_VECTOR + PIT_PIN);
    check_owed(PIN_VECTOR + PIT_PIN);
    check_once(PIN_VECTOR + PIT_PIN);
    check_halt(PIN_VECTOR + PIT_PIN);
    pin_set(PIT_PIN, PIN_VECTOR + PIT_PIN, PIN_MASKED);
    seen[PIN_VECTOR + PIT_PIN] = 0;
    pit_once(MS_COUNT);
    sti();
    clock_spin(5000);
    cli();
    report_equal("a masked pin is silent", seen[PIN_VECTOR + PIT_PIN], 0);
    pit_stop();
    pin_set(RTC_LINE, PIN_VECTOR + RTC_LINE, 0);
    check_rtc(PIN_VECTOR + RTC_LINE);
    pin_set(RTC_LINE, PIN_VECTOR + RTC_LINE, PIN_MASKED);
    check_level();
}

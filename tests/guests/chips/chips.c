/* SPDX-License-Identifier: BSD-2-Clause */
/* chips: the PC's timers interrupt by both interrupt controllers, and all clocks agree. */
#include "tests/guests/chips/chips.h"

#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define CPUID_X2APIC BIT(21) /* CPUID.1:ECX */

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71

const char guest_name[] = "chips";

volatile unsigned seen[256];
static void (*clearers[256])(void);
static bool by_pic[256];

static void handler(struct trap_frame *frame)
{
    if (clearers[frame->vector])
        clearers[frame->vector]();
    seen[frame->vector]++;
    if (!by_pic[frame->vector]) {
        lapic_eoi();
        return;
    }
    pic_eoi((unsigned)(frame->vector - PIC_VECTOR));
}

void watch(u8 vector, void (*clear)(void), bool pic)
{
    seen[vector] = 0;
    clearers[vector] = clear;
    by_pic[vector] = pic;
    trap_handle(vector, handler);
}

bool await(u8 vector, unsigned count)
{
    u64 start = rdtsc();

    while (seen[vector] < count && rdtsc() - start < clock_ticks(LONG_US))
        pause();
    return seen[vector] >= count;
}

u8 cmos_read(u8 index)
{
    outb(CMOS_INDEX, index);
    return inb(CMOS_DATA);
}

void cmos_write(u8 index, u8 value)
{
    outb(CMOS_INDEX, index);
    outb(CMOS_DATA, value);
}

void rtc_clear(void)
{
    cmos_read(0x0C);
}

bool interval_is(const struct interval *interval, u64 ticks, u64 hz)
{
    /* Where nobody says what the TSC's frequency is, the kit has measured it roughly. */
    u64 want = ticks * clock_tsc_khz() / (hz / 1000), slack = want / (boot.godwit ? 100 : 10);
    u64 shortest = interval->end[0] - interval->begin[1], longest = interval->end[1] - interval->begin[0];

    return want + slack >= shortest && want <= longest + slack;
}

void guest_main(void)
{
    lapic_enable();
    trap_handle(LAPIC_SPURIOUS_VECTOR, handler);
    pic_init();
    test_pic();
    test_ioapic("xapic");
    test_clocks();
    report_prefix("x2apic");
    if (cpuid(1, 0).ecx & CPUID_X2APIC) {
        lapic_x2apic();
        test_ioapic("x2apic");
    } else {
        report_skip("all", "not in CPUID");
    }
    report_prefix(NULL);
    report_equal("no spurious interrupt", seen[LAPIC_SPURIOUS_VECTOR], 0);
}

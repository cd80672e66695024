/* SPDX-License-Identifier: BSD-2-Clause */
/* Every clock of the machine against the TSC. */
#include "tests/guests/chips/chips.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/report.h"
#include "config/guest_abi.h"
#include "host/bits.h"

#define PM_TIMER_PORT 0x608
#define PM_TIMER_HZ 3579545ULL
#define PM_TIMER_MASK 0xFFFFFF
#define PORT_61 0x61
#define PORT_61_OUT2 0x20
#define PIT_COUNTER2 0x42
#define PIT_COMMAND 0x43
#define PIT_COUNT 20000 /* 17 ms */
#define SPIN_US 50000

#define RTC_SECOND 0x00
#define RTC_YEAR 0x09
#define RTC_A 0x0A
#define RTC_A_UIP 0x80

#define MSR_KVM_WALL_CLOCK 0x4B564D00
#define MSR_KVM_SYSTEM_TIME 0x4B564D01
#define MSR_KVM_STEAL_TIME 0x4B564D03
#define NS_PER_SECOND 1000000000ULL

static volatile struct {
    u32 version, pad;
    u64 tsc, system_time;
    u32 mul;
    s8 shift;
    u8 flags, pad1[2];
} pvclock __attribute__((aligned(64)));

static volatile struct {
    u32 version, sec, nsec;
} wall __attribute__((aligned(64)));

static volatile struct {
    u64 ns;
    u32 version, flags;
    u8 preempted, pad[47];
} steal __attribute__((aligned(64)));

static u32 pm_timer(void)
{
    return inl(PM_TIMER_PORT) & PM_TIMER_MASK;
}

static void test_pm_timer(void)
{
    struct interval interval;
    u32 first, last;

    interval.begin[0] = rdtsc();
    first = pm_timer();
    interval.begin[1] = rdtsc();
    clock_spin(SPIN_US);
    interval.end[0] = rdtsc();
    last = pm_timer();
    interval.end[1] = rdtsc();
    report("the PM timer keeps time", interval_is(&interval, (last - first) & PM_TIMER_MASK, PM_TIMER_HZ));
}

static void test_counter2(void)
{
    struct interval interval;

    outb(PORT_61, 1);
    outb(PIT_COMMAND, 0xB0);
    outb(PIT_COUNTER2, (u8)PIT_COUNT);
    interval.begin[0] = rdtsc();
    outb(PIT_COUNTER2, PIT_COUNT >> 8);
    interval.begin[1] = interval.end[0] = rdtsc();
    for (;;) {
        u64 before = rdtsc();

        if (inb(PORT_61) & PORT_61_OUT2)
            break;
        interval.end[0] = before;
    }
    interval.end[1] = rdtsc();
    outb(PORT_61, 0);
    report("the 8254's counter 2 keeps time", interval_is(&interval, PIT_COUNT, PIT_HZ));
}

static u8 stable_second(void)
{
    while (cmos_read(RTC_A) & RTC_A_UIP)
        pause();
    return cmos_read(RTC_SECOND);
}

/*
 * The two readings of the TSC around the moment when the second changes: before the last look that saw the old one, and
 * after the first that saw the new. Not later than before that look: between two looks others may have the processor.
 */
static void await_second(u64 *readings)
{
    u64 before = rdtsc();
    u8 second = stable_second();

    do {
        readings[0] = before;
        before = rdtsc();
    } while (stable_second() == second);
    readings[1] = rdtsc();
}

static void test_rtc(void)
{
    struct interval interval;

    await_second(interval.begin);
    await_second(interval.end);
    report("the CMOS clock keeps time", interval_is(&interval, 1000, 1000));
    report("it knows the year", cmos_read(RTC_YEAR) >= 0x24);
}

static u64 pvclock_now(u64 tsc)
{
    u64 ticks = tsc - pvclock.tsc;

    ticks = pvclock.shift < 0 ? ticks >> -pvclock.shift : ticks << pvclock.shift;
    return pvclock.system_time + (u64)((unsigned __int128)ticks * pvclock.mul >> 32);
}

static void test_pvclock(void)
{
    struct interval interval;
    u64 first, last;

    if (!(cpuid(KVM_CPUID_FEATURES, 0).eax & KVM_FEATURE_CLOCKSOURCE2) || cpuid(KVM_CPUID_BASE, 0).ebx != 0x4B4D564B) {
        report_skip("paravirtual clock", "not in CPUID");
        return;
    }
    wrmsr(MSR_KVM_SYSTEM_TIME, (u64)&pvclock | 1);
    wrmsr(MSR_KVM_WALL_CLOCK, (u64)&wall);
    report("the paravirtual clock is there", pvclock.version && !(pvclock.version & 1) && pvclock.flags & 1);
    interval.begin[0] = interval.begin[1] = rdtsc();
    first = pvclock_now(interval.begin[0]);
    clock_spin(SPIN_US);
    interval.end[0] = interval.end[1] = rdtsc();
    last = pvclock_now(interval.end[0]);
    report("it keeps time", interval_is(&interval, last - first, NS_PER_SECOND));

    u64 now = wall.sec * NS_PER_SECOND + wall.nsec + last, second = now / NS_PER_SECOND % 60;
    u8 rtc = cmos_read(RTC_SECOND), shown = (rtc >> 4) * 10 + (rtc & 15);

    report("its wall clock is that of the CMOS clock", (shown + 61 - second) % 60 <= 3);

    /* A guest that moves its TSC finds the clock where it was. */
    u64 tsc = rdtsc(), before = pvclock_now(tsc);

    wrmsr(0x10, tsc + (1ULL << 40));
    report("it survives a jump of the TSC", pvclock_now(rdtsc()) - before < NS_PER_SECOND);
    wrmsr(0x10, rdtsc() - (1ULL << 40));
    wrmsr(MSR_KVM_SYSTEM_TIME, 0);
}

static void test_steal_time(void)
{
    struct interval interval;
    u64 before;

    if (!(cpuid(KVM_CPUID_FEATURES, 0).eax & KVM_FEATURE_STEAL_TIME)) {
        report_skip("steal time", "not in CPUID");
        return;
    }
    steal.version = 1;
    interval.begin[0] = rdtsc();
    wrmsr(MSR_KVM_STEAL_TIME, (u64)&steal | 1);
    before = steal.ns;
    report("steal time is there",
           steal.version && !(steal.version & 1) && rdmsr(MSR_KVM_STEAL_TIME) == ((u64)&steal | 1));
    clock_spin(SPIN_US);
    interval.end[1] = rdtsc();
    report("no more is stolen than has passed",
           !(steal.version & 1) && steal.ns - before <= (clock_us(interval.end[1] - interval.begin[0]) + 1) * 1000);
    wrmsr(MSR_KVM_STEAL_TIME, 0);
}

void test_clocks(void)
{
    report_prefix("clocks");
    test_pm_timer();
    test_counter2();
    test_rtc();
    test_pvclock();
    test_steal_time();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What processors share, memory and time; and what they don't: timers, registers, translations. */
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/smp/smp.h"

#define TIMER 0x81
#define PERIODS 3
#define SHOT_US 1000
#define ROUNDS 3000
#define ONE_PAGE 0x1111111111111111
#define OTHER_PAGE 0x2222222222222222
#define NOWHERE 0x10000000000 /* an address that nobody uses */
#define DR7_FIXED 0x400
#define DR7_L0 0x1
#define DR7_WRITE0 0x10000 /* breakpoint 0 is of writes; else of execution */

static void timer_once(u64 arg)
{
    u32 before = this_cpu()->seen[TIMER];
    u64 start = rdtsc();

    lapic_timer(TIMER, 0, SHOT_US);
    this_cpu()->arg = AWAIT(this_cpu()->seen[TIMER] != before) && rdtsc() - start >= clock_ticks(arg);
    lapic_timer_stop();
}

static void timer_periodic(u64 arg)
{
    u32 before = this_cpu()->seen[TIMER];

    lapic_timer(TIMER, LVT_PERIODIC, SHOT_US);
    this_cpu()->arg = AWAIT(this_cpu()->seen[TIMER] >= before + arg);
    lapic_timer_stop();
}

/* Where no hypervisor tells the timer's frequency, it was measured: allow an error of a tenth. */
void test_timers(void)
{
    report_prefix("timer");
    watch(TIMER);
    seen_clear(TIMER);
    report("all ran", others_do(timer_once, SHOT_US - SHOT_US / 10));
    FOR_EACH_AP(cpu)
    report_equal("one shot, not before its time", cpu->arg, true);
    FOR_EACH_AP(cpu)
    report_equal("once", cpu->seen[TIMER], 1);
    report("all ran", others_do(timer_periodic, PERIODS));
    FOR_EACH_AP(cpu)
    report_equal("periodic", cpu->arg, true);
    report_equal("none on who has set none", cpus[0].seen[TIMER], 0);
}

static volatile u64 atomic_sum, locked_sum, latest, backward, disturbed;
static volatile u32 lock;

/* XMM7 and DR0 are this processor's own while others take turns on the same physical one, and so is DR7, which enables
 * a breakpoint of another type for each. */
static u64 own_dr7(void)
{
    return DR7_FIXED | DR7_L0 | (this_cpu()->id % 2 ? 0 : DR7_WRITE0);
}

static void mark_put(u64 mark)
{
    asm volatile("movq %0, %%xmm7" : : "r"(mark));
    write_dr0(NOWHERE | mark);
    write_dr7(own_dr7());
}

/* Is it still there? Takes it away. */
static bool mark_was(u64 mark)
{
    u64 vector;
    bool was;

    asm volatile("movq %%xmm7, %0" : "=r"(vector));
    was = vector == mark && read_dr0() == (NOWHERE | mark) && read_dr7() == own_dr7();
    write_dr7(DR7_FIXED);
    write_dr0(0);
    return was;
}

static void count(u64 arg)
{
    u64 mark = 0x1000 + this_cpu()->id;

    mark_put(mark);
    for (u64 i = 0; i < arg; i++) {
        asm volatile("lock incq %0" : "+m"(atomic_sum));
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            pause();
        u64 now = rdtsc();

        backward += now < latest;
        latest = now;
        locked_sum++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    if (!mark_was(mark))
        asm volatile("lock incq %0" : "+m"(disturbed));
}

static void test_counters(void)
{
    u64 total = (u64)ROUNDS * nr_cpus;

    atomic_sum = locked_sum = latest = backward = disturbed = 0;
    FOR_EACH_AP(cpu)
    cpu_give(cpu, count, ROUNDS);
    count(ROUNDS);
    settle();
    report_equal("locked increments add up", atomic_sum, total);
    report_equal("increments under a lock add up", locked_sum, total);
    report_equal("time never runs backward from one to another", backward, 0);
    report_equal("registers are each one's own", disturbed, 0);
}

/* Long enough that those who share a physical processor take turns in between. */
static void hold_mark(u64 arg)
{
    u64 mark = arg + this_cpu()->id;

    mark_put(mark);
    clock_spin(5000);
    if (!mark_was(mark))
        asm volatile("lock incq %0" : "+m"(disturbed));
}

static void test_registers(void)
{
    disturbed = 0;
    FOR_EACH_AP(cpu)
    cpu_give(cpu, hold_mark, 0x2000);
    hold_mark(0x2000);
    settle();
    report_equal("registers survive the turns of others", disturbed, 0);
}

static void read_page(u64 arg)
{
    this_cpu()->arg = *(volatile u64 *)arg;
}

static void flush_page(u64 arg)
{
    invlpg((void *)arg);
    read_page(arg);
}

static void check_pages(const char *name, u64 want)
{
    u64 different = 0;

    FOR_EACH_AP(cpu)
    different += cpu->arg != want;
    report_equal(name, different, 0);
}

/* A changed translation is seen by each processor that has flushed it. */
static void test_shootdown(void)
{
    static u64 pages[2][512] __attribute__((aligned(4096)));

    pages[0][0] = ONE_PAGE;
    pages[1][0] = OTHER_PAGE;
    page_map(PAGING_TEST, (u64)pages[0], LEVEL_4K, PTE_P | PTE_W);
    others_do(flush_page, PAGING_TEST);
    check_pages("all see the page", ONE_PAGE);
    page_map(PAGING_TEST, (u64)pages[1], LEVEL_4K, PTE_P | PTE_W);
    others_do(flush_page, PAGING_TEST);
    check_pages("and the next, having flushed the first", OTHER_PAGE);
    page_unmap(PAGING_TEST, LEVEL_4K);
}

void test_memory(void)
{
    asm volatile("mov %%cr4, %%rax; or %0, %%rax; mov %%rax, %%cr4" : : "i"(CR4_OSFXSR) : "rax");
    report_prefix("memory");
    test_counters();
    test_registers();
    test_shootdown();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The LAPIC timer, sti;hlt, and interrupts while a page fault is being handled. */
#include "tests/guests/irq/irq.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/paging.h"
#include "tests/guests/kit/report.h"
#include "host/bits.h"

#define PERIODS 10
#define FAULTS 20

static u8 frame[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static unsigned ticks_in_fault;

static void test_one_shot(void)
{
    irq_watch(TIMER_VECTOR);
    lapic_timer(TIMER_VECTOR, 0, 1000);
    report("the one-shot becomes pending", irq_await_pending(TIMER_VECTOR));
    clock_spin(1000);
    report_equal("nothing arrives with interrupts off", irq_seen[TIMER_VECTOR].count, 0);
    report_equal("the one-shot has run down", lapic_read(LAPIC_TIMER_CURRENT), 0);
    sti();
    report("the one-shot arrives when they are on", irq_await(TIMER_VECTOR, 1));
    clock_spin(3000);
    report_equal("the one-shot arrives once", irq_seen[TIMER_VECTOR].count, 1);
    cli();
}

static void test_periodic(void)
{
    u64 start = rdtsc();

    irq_watch(TIMER_VECTOR);
    lapic_timer(TIMER_VECTOR, LVT_PERIODIC, 1000);
    sti();
    report("the periodic timer goes on", irq_await(TIMER_VECTOR, PERIODS));
    report("the periodic timer is not too fast", clock_us(rdtsc() - start) >= (PERIODS - 1) * 1000 * 9 / 10);
    lapic_timer_stop();
    irq_seen[TIMER_VECTOR].count = 0;
    clock_spin(3000);
    report_equal("a masked timer is silent", irq_seen[TIMER_VECTOR].count, 0);
    cli();
}

static void test_current_count(void)
{
    u32 first, second;

    lapic_timer(TIMER_VECTOR, LVT_MASKED, 1000000);
    first = lapic_read(LAPIC_TIMER_CURRENT);
    clock_spin(100);
    second = lapic_read(LAPIC_TIMER_CURRENT);
    report("the current count counts down", second < first && first <= lapic_read(LAPIC_TIMER_INITIAL));
    lapic_timer_stop();
}

static void test_halt(void)
{
    irq_watch(TIMER_VECTOR);
    lapic_timer(TIMER_VECTOR, 0, 2000);
    sti_hlt();
    cli();
    report_equal("the timer wakes hlt", irq_seen[TIMER_VECTOR].count, 1);

    /* Periodic: a wake-up that is lost shows as a long sleep here and by its address in test_windows. */
    irq_watch(TIMER_VECTOR);
    lapic_timer(TIMER_VECTOR, LVT_PERIODIC, 500);
    for (int i = 0; i < 100; i++) {
        sti_hlt();
        cli();
    }
    lapic_timer_stop();
    report("a hundred wake-ups for a hundred hlts", irq_seen[TIMER_VECTOR].count >= 100);
}

/* A fault that is handled slowly, as by a pager: it waits for the next tick with interrupts on. */
static void fault_handler(struct trap_frame *f)
{
    u64 address = read_cr2() & PAGE_MASK;
    unsigned before = irq_seen[TIMER_VECTOR].count;

    (void)f;
    sti();
    ticks_in_fault += irq_await(TIMER_VECTOR, before + 1);
    cli();
    page_map(address, (u64)frame, LEVEL_4K, PTE_P | PTE_W);
}

static void test_page_faults(void)
{
    bool right = true;

    ticks_in_fault = 0;
    irq_watch(TIMER_VECTOR);
    trap_handle(X86_PF, fault_handler);
    lapic_timer(TIMER_VECTOR, LVT_PERIODIC, 500);
    sti();
    for (u64 i = 0; i < FAULTS; i++) {
        volatile u64 *p = (u64 *)(PAGING_TEST + i * PAGE_SIZE);

        *p = i;
        right = right && *(u64 *)frame == i;
    }
    cli();
    lapic_timer_stop();
    trap_handle(X86_PF, NULL);
    for (u64 i = 0; i < FAULTS; i++)
        page_unmap(PAGING_TEST + i * PAGE_SIZE, LEVEL_4K);
    report("page faults are handled among interrupts", right);
    report_equal("interrupts arrive among page faults", ticks_in_fault, FAULTS);
}

void test_timer(const char *mode)
{
    report_prefix(mode);
    test_one_shot();
    test_periodic();
    test_current_count();
    test_halt();
    test_page_faults();
}

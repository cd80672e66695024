/* SPDX-License-Identifier: BSD-2-Clause */
/* Priorities: TPR and CR8, order of delivery, nesting, EOI; and what only x2APIC mode has. */
#include "tests/guests/irq/irq.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/string.h"
#include "host/bits.h"

/* The digit is the priority class. */
#define LOW 0x61
#define SAME 0x62 /* class of LOW */
#define MIDDLE 0x71
#define HIGH 0x91

/* What happened, one character an event. */
static char story[16];
static unsigned length;

static void story_clear(void)
{
    memset(story, 0, sizeof(story));
    length = 0;
}

static void tell(char event)
{
    if (length < sizeof(story) - 1)
        story[length++] = event;
}

static void story_check(const char *name, const char *want)
{
    report(name, strcmp(story, want) == 0);
    if (strcmp(story, want) != 0)
        kprintf("  got '%s', want '%s'\n", story, want);
}

static void letter_handler(struct trap_frame *frame)
{
    tell(frame->vector == LOW ? 'l' : frame->vector == MIDDLE ? 'm' : frame->vector == HIGH ? 'h' : 's');
    lapic_eoi();
}

/* Raises one of its own class and one above, lets both in, and ends: only the one above may come meanwhile. */
static void nesting_handler(struct trap_frame *frame)
{
    (void)frame;
    tell('(');
    irq_raise(SAME);
    irq_raise(HIGH);
    sti();
    clock_spin(200);
    cli();
    tell(')');
    lapic_eoi();
}

/* In service above LOW: both bits, and the EOI takes the higher one. */
static void nested_handler(struct trap_frame *frame)
{
    (void)frame;
    tell(lapic_bit(LAPIC_ISR, HIGH) && lapic_bit(LAPIC_ISR, LOW) && !lapic_bit(LAPIC_IRR, HIGH) ? 'h' : '?');
    tell((lapic_read(LAPIC_PPR) & 0xF0) == (HIGH & 0xF0) ? 'p' : '?');
    lapic_eoi();
    tell(!lapic_bit(LAPIC_ISR, HIGH) && lapic_bit(LAPIC_ISR, LOW) ? 'e' : '?');
}

static void open_and_close(void)
{
    sti();
    clock_spin(200);
    cli();
}

static void test_order(void)
{
    trap_handle(LOW, letter_handler);
    trap_handle(MIDDLE, letter_handler);
    trap_handle(HIGH, letter_handler);
    story_clear();
    irq_raise(MIDDLE);
    irq_raise(LOW);
    irq_raise(HIGH);
    irq_raise(LOW);
    open_and_close();
    story_check("pending ones come by priority, and once", "hml");
}

static void test_tpr(void)
{
    story_clear();
    lapic_write(LAPIC_TPR, 0x70);
    report_equal("CR8 shows the TPR", read_cr8(), 7);
    irq_raise(LOW);
    irq_raise(MIDDLE);
    irq_raise(HIGH);
    open_and_close();
    story_check("TPR holds its class and below", "h");
    sti();
    lapic_write(LAPIC_TPR, 0x60);
    clock_spin(200);
    lapic_write(LAPIC_TPR, 0);
    clock_spin(200);
    cli();
    story_check("lowering TPR lets them in", "hml");
}

static void test_cr8(void)
{
    story_clear();
    write_cr8(8);
    report_equal("TPR shows CR8", lapic_read(LAPIC_TPR), 0x80);
    irq_raise(MIDDLE);
    irq_raise(HIGH);
    open_and_close();
    story_check("CR8 holds its class and below", "h");
    sti();
    write_cr8(0);
    clock_spin(200);
    cli();
    story_check("lowering CR8 lets them in", "hm");
}

static void test_nesting(void)
{
    trap_handle(LOW, nesting_handler);
    trap_handle(SAME, letter_handler);
    trap_handle(HIGH, nested_handler);
    story_clear();
    irq_raise(LOW);
    open_and_close();
    story_check("only a higher class nests", "(hpe)s");
}

void test_priority(const char *mode)
{
    report_prefix(mode);
    test_order();
    test_tpr();
    test_cr8();
    test_nesting();
}

#define X2APIC_SELF_IPI 0x83F
#define X2APIC_RESERVED 0x801

static void msr_read(u64 index)
{
    rdmsr((u32)index);
}

static void eoi_one(u64 unused)
{
    (void)unused;
    wrmsr(MSR_X2APIC + LAPIC_EOI / 16, 1);
}

void test_x2apic(void)
{
    u32 id = lapic_read(LAPIC_ID) >> 24;

    lapic_x2apic();
    lapic_enable();
    report_equal("the same id", lapic_read(LAPIC_ID), id);
    test_timer("x2apic");
    test_windows("x2apic");
    test_priority("x2apic");
    irq_watch(HIGH);
    sti();
    wrmsr(X2APIC_SELF_IPI, HIGH);
    report("the self-ipi register", irq_await(HIGH, 1));
    cli();
    report_error("a reserved register", fault_catch(msr_read, X2APIC_RESERVED), X86_GP, 0);
    report_error("an eoi that is not 0", fault_catch(eoi_one, 0), X86_GP, 0);
}

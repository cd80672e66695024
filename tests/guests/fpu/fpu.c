/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpu: vector state is the guest's own, whatever happens between two of its instructions. Patterns go in by XRSTOR (or
 * FXRSTOR), something happens, and what XSAVE then finds is compared component by component.
 */
#include "tests/guests/kit/boot.h"
#include "tests/guests/kit/clock.h"
#include "tests/guests/kit/console.h"
#include "tests/guests/kit/cpu.h"
#include "tests/guests/kit/lapic.h"
#include "tests/guests/kit/report.h"
#include "tests/guests/kit/trap.h"
#include "tests/guests/kit/xstate.h"
#include "host/bits.h"

#define XCR0_X87 BIT(0)
#define XCR0_SSE BIT(1)
#define XCR0_AVX BIT(2)

#define TIMER_VECTOR 0x50
#define EXITS 500
#define SLICE_US 5000
#define SLICES 6

const char guest_name[] = "fpu";

static u64 components; /* XCR0 while testing; 0: FXSAVE only */
static u64 supported;  /* all of XCR0 that CPUID allows */
static volatile unsigned ticks;

static void timer_handler(struct trap_frame *frame)
{
    (void)frame;
    ticks++;
    lapic_eoi();
}

static void do_nothing(void)
{
}

static void do_cpuid(void)
{
    for (int i = 0; i < EXITS; i++)
        cpuid(0, 0);
}

static void do_ports(void)
{
    for (int i = 0; i < EXITS; i++)
        outb(0x80, inb(0x80));
}

static void do_mmio(void)
{
    for (int i = 0; i < EXITS; i++)
        lapic_read(LAPIC_ID);
}

static void do_halts(void)
{
    for (int i = 0; i < 10; i++) {
        lapic_timer(TIMER_VECTOR, 0, 300);
        sti_hlt();
        cli();
    }
}

static void do_interrupts(void)
{
    u64 start = rdtsc();

    lapic_timer(TIMER_VECTOR, LVT_PERIODIC, 300);
    sti();
    while (rdtsc() - start < clock_ticks(SLICE_US))
        ;
    cli();
    lapic_timer_stop();
}

/* Long enough for other guests and the host to have used the processor several times. */
static void do_slices(void)
{
    u64 start = rdtsc();

    while (rdtsc() - start < clock_ticks(SLICES * SLICE_US))
        ;
}

static const struct {
    const char *name;
    void (*fn)(void);
} events[] = {
    { "a load and a store", do_nothing },
    { "cpuid exits", do_cpuid },
    { "port exits", do_ports },
    { "mmio exits", do_mmio },
    { "halts", do_halts },
    { "interrupts", do_interrupts },
    { "several time slices", do_slices },
};

/* Twice each with different patterns, so that an older state in the same registers is noticed. */
static void test_survival(const char *prefix)
{
    report_prefix(prefix);
    for (u32 i = 0; i < ARRAY_SIZE(events); i++) {
        bool ok = true;

        for (u32 round = 0; round < 2; round++) {
            xstate_pattern(components, 1000 * round + 16 * i);
            events[i].fn();
            ok = xstate_survived() && ok;
        }
        report(events[i].name, ok);
    }
}

static void xcr0_write(u64 value)
{
    xsetbv(0, value);
}

static void xcr1_write(u64 value)
{
    xsetbv(1, value);
}

static void test_xsetbv(void)
{
    static const u64 legal[] = { XCR0_X87, XCR0_X87 | XCR0_SSE, XCR0_X87 | XCR0_SSE | XCR0_AVX };
    static const u64 illegal[] = { 0, XCR0_SSE, XCR0_X87 | XCR0_AVX, XCR0_X87 | BIT(62),
                                   XCR0_X87 | XCR0_SSE | XCR0_AVX | BIT(5) };

    report_prefix("xsetbv");
    for (unsigned i = 0; i < ARRAY_SIZE(legal); i++) {
        if (legal[i] & ~supported)
            continue;
        xsetbv(0, legal[i]);
        report_equal("a legal value reads back", xgetbv(0), legal[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(illegal); i++)
        report_error("an illegal value", fault_catch(xcr0_write, illegal[i]), X86_GP, 0);
    report_error("a register that is none", fault_catch(xcr1_write, 1), X86_GP, 0);
    report_error("in ring 3", fault_catch_user(xcr0_write, XCR0_X87), X86_GP, 0);
    if (supported & XCR0_AVX) {
        xsetbv(0, XCR0_X87 | XCR0_SSE);
        report_fault("AVX without its bit", fault_catch(vector_avx, 0), X86_UD);
        xsetbv(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
        report_fault("AVX with its bit", fault_catch(vector_avx, 0), FAULT_NONE);
    }
    write_cr4(read_cr4() & ~(u64)CR4_OSXSAVE);
    report_fault("without CR4.OSXSAVE", fault_catch(xcr0_write, XCR0_X87), X86_UD);
    report_equal("CPUID follows CR4.OSXSAVE, off", cpuid(1, 0).ecx & BIT(27), 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    report_equal("CPUID follows CR4.OSXSAVE, on", cpuid(1, 0).ecx & BIT(27), BIT(27));
    xsetbv(0, supported);
}

static void test_task_switched(void)
{
    report_prefix("CR0.TS");
    write_cr0(read_cr0() | CR0_TS);
    report_fault("x87", fault_catch(vector_x87, 0), X86_NM);
    report_fault("SSE", fault_catch(vector_sse, 0), X86_NM);
    do_cpuid();
    report_equal("stays over exits", read_cr0() & CR0_TS, CR0_TS);
    asm volatile("clts");
    report_fault("x87 after clts", fault_catch(vector_x87, 0), FAULT_NONE);
    report_fault("SSE after clts", fault_catch(vector_sse, 0), FAULT_NONE);
}

void guest_main(void)
{
    lapic_enable();
    trap_handle(TIMER_VECTOR, timer_handler);
    supported = xstate_enable();
    vector_reset();
    test_survival("fxsave");
    if (supported) {
        components = supported;
        kprintf("xcr0 %lx, area %u bytes\n", supported, cpuid(0xD, 0).ebx);
        report("the area fits", cpuid(0xD, 0).ebx <= XSTATE_BYTES);
        test_survival("xsave");
        test_xsetbv();
    } else {
        report_skip("xsave", "not in CPUID");
    }
    test_task_switched();
    report_prefix(NULL);
    report("timer interrupts came", ticks > 0);
}

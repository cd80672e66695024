/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace ring: which events a dump shows, and in what order, before and after the ring has wrapped.
 *
 * this_cpu() reads %gs:0, which a program may point at a struct of its own.
 */
/* sources: host/trace.c */
#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/cpu.h"
#include "host/bits.h"
#include "host/log.h"

static struct cpu cpu;
static char lines[2 * TRACE_EVENTS][128];
static unsigned nr_lines;

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    va_list args;

    (void)level;
    (void)prefix;
    assert_in_range(nr_lines, 0, ARRAY_SIZE(lines) - 1);
    va_start(args, format);
    vsnprintf(lines[nr_lines++], sizeof(lines[0]), format, args);
    va_end(args);
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks;
}

static int setup(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof(cpu));
    cpu.self = &cpu;
    nr_lines = 0;
    return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
}

/* Record interrupts first..last. */
static void record(unsigned first, unsigned last)
{
    for (unsigned i = first; i <= last; i++)
        trace("irq", 0, i);
}

static void expect_dump(unsigned count, unsigned first, unsigned last)
{
    nr_lines = 0;
    trace_dump(&cpu.trace, count);
    assert_int_equal(nr_lines, last - first + 1);
    for (unsigned i = 0; i < nr_lines; i++) {
        char end[16];

        snprintf(end, sizeof(end), " irq %x", first + i);
        assert_non_null(strstr(lines[i], end));
    }
}

static void test_empty(void **state)
{
    (void)state;
    trace_dump(&cpu.trace, TRACE_EVENTS);
    assert_int_equal(nr_lines, 0);
}

static void test_partial(void **state)
{
    (void)state;
    record(1, 5);
    expect_dump(TRACE_EVENTS, 1, 5);
    expect_dump(2, 4, 5);
}

static void test_wrap(void **state)
{
    (void)state;
    record(1, TRACE_EVENTS);
    expect_dump(TRACE_EVENTS, 1, TRACE_EVENTS);
    record(TRACE_EVENTS + 1, TRACE_EVENTS + 10);
    expect_dump(TRACE_EVENTS, 11, TRACE_EVENTS + 10);
    expect_dump(3, TRACE_EVENTS + 8, TRACE_EVENTS + 10);
    expect_dump(10 * TRACE_EVENTS, 11, TRACE_EVENTS + 10); /* no more than there are */
}

static void test_text(void **state)
{
    (void)state;
    trace("cpuid", 3 << 8 | 1, 0x7C00);
    trace("irq", 0, 0xEC);
    trace_dump(&cpu.trace, 2);
    assert_non_null(strstr(lines[0], " us vm3/1 cpuid 7c00"));
    assert_non_null(strstr(lines[1], " us irq ec"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, setup),
        cmocka_unit_test_setup(test_partial, setup),
        cmocka_unit_test_setup(test_wrap, setup),
        cmocka_unit_test_setup(test_text, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

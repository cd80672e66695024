/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace ring: which events a dump shows, and in what order, before and after the ring has wrapped;
 * and what another CPU reads while the ring is written.
 *
 * this_cpu() reads %gs:0, which a program may point at a struct of its own.
 */
/* sources: host/trace.c */
#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
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

/* Note interrupts first..last. */
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
    expect_dump(TRACE_EVENTS, 2, TRACE_EVENTS); /* the place of the oldest is the next to be written */
    record(TRACE_EVENTS + 1, TRACE_EVENTS + 10);
    expect_dump(TRACE_EVENTS, 12, TRACE_EVENTS + 10);
    expect_dump(3, TRACE_EVENTS + 8, TRACE_EVENTS + 10);
    expect_dump(10 * TRACE_EVENTS, 12, TRACE_EVENTS + 10); /* no more than there are */
}

/* What a reader gets while the CPU writes on: each event that is kept, whole; none that is not there yet, none whose
 * place may be in writing. */
static void test_read(void **state)
{
    struct trace_event event;

    (void)state;
    assert_false(trace_read(&cpu.trace, 0, &event));
    record(0, TRACE_EVENTS + 9); /* event i has the detail i */
    for (u64 i = 11; i < TRACE_EVENTS + 10; i++) {
        assert_true(trace_read(&cpu.trace, i, &event));
        assert_int_equal(event.detail, i);
    }
    assert_false(trace_read(&cpu.trace, TRACE_EVENTS + 10, &event));
    assert_false(trace_read(&cpu.trace, 10, &event)); /* the next one comes to its place */
    assert_false(trace_read(&cpu.trace, 0, &event));
}

static void *write_on(void *stop)
{
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu), 0);
    for (u64 i = 0; !__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE); i++)
        trace("irq", i, ~i);
    return NULL;
}

/* Another CPU writes without a pause: no event is half an old one and half a new one. */
static void test_read_while_written(void **state)
{
    struct trace_event event;
    bool stop = false;
    unsigned good = 0;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_on, &stop), 0);
    while (__atomic_load_n(&cpu.trace.next, __ATOMIC_ACQUIRE) < TRACE_EVENTS) /* it may be late to begin */
        sched_yield();
    for (unsigned i = 0; i < 1000000; i++) {
        u64 number = __atomic_load_n(&cpu.trace.next, __ATOMIC_ACQUIRE);
        u64 age = i % 2 ? i % TRACE_EVENTS : TRACE_EVENTS - i % 8; /* mostly the oldest, which are about to go */

        number -= MIN(number, age);
        if (!trace_read(&cpu.trace, number, &event))
            continue;
        assert_int_equal(event.vcpu, number);
        assert_int_equal(event.detail, ~number);
        good++;
    }
    assert_true(good > 0);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(writer, NULL);
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
        cmocka_unit_test_setup(test_read, setup),
        cmocka_unit_test_setup(test_read_while_written, setup),
        cmocka_unit_test_setup(test_text, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

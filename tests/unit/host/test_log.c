/* SPDX-License-Identifier: BSD-2-Clause */
/* The log with a port that keeps what it gets, and takes as much as the test allows. */
/* sources: host/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>
#include <cmocka.h>

#include "host/clock.h"
#include "host/cpu.h"
#include "host/serial.h"
#include "host/smp.h"
#include "host/log.h"

static struct cpu cpu;
static char port[0x40000];
static size_t port_len, room; /* what it takes when it is offered */
static unsigned kicks;
static u64 now;

u64 clock_ns(void)
{
    return now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void cpu_kick(u32 index)
{
    assert_int_equal(index, 0);
    kicks++;
}

void serial_write(const char *text, size_t len)
{
    memcpy(port + port_len, text, len);
    port_len += len;
}

size_t serial_offer(const char *text, size_t len)
{
    size_t taken = len < room ? len : room;

    taken = taken < 16 ? taken : 16;
    room -= taken;
    serial_write(text, taken);
    return taken;
}

/* Turns of the host loop until nothing waits. */
static void drain(void)
{
    room = sizeof(port);
    while (log_poll() != ~0ULL)
        ;
}

static int start(void **state)
{
    (void)state;
    drain();
    port_len = kicks = room = 0;
    now = 1234567000;
    return 0;
}

static int group_setup(void **state)
{
    (void)state;
    cpu.self = &cpu;
    return (int)syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
}

static void assert_port(const char *text)
{
    port[port_len] = '\0';
    assert_string_equal(port, text);
    port_len = 0;
}

#define LINE(text) "[    1.234567] cpu0 info  godwit: " text "\n"
#define GUEST(text) "[    1.234567] cpu0 info  web: | " text "\n"

/* First of all: there is no host loop yet, so a line is written before pr_info returns. */
static void test_boot(void **state)
{
    struct kept_line line;

    (void)state;
    now = 1234567000;
    pr_info("one %d", 1);
    assert_port(LINE("one 1"));
    assert_true(log_read(0, &line));
    assert_string_equal(line.text, "godwit: one 1");
    assert_int_equal(line.ns, 1234567000);
    assert_int_equal(kicks, 0);
}

static void test_nobody_waits_for_the_port(void **state)
{
    (void)state;
    pr_info("one");
    pr_info("two");
    assert_port("");
    assert_int_equal(kicks, 1); /* the host loop is called once */
    room = 20;
    assert_int_not_equal(log_poll(), ~0ULL);
    assert_int_equal(port_len, 16); /* a move that waits for its turn waits for one piece only */
    assert_int_not_equal(log_poll(), ~0ULL);
    assert_int_equal(port_len, 20);
    drain();
    assert_port(LINE("one") LINE("two"));
}

/* A guest without end neither costs the host a line of its log nor a place on the port; what was shown is in order. */
static void test_guest_floods(void **state)
{
    struct kept_line line;
    u64 first = log_next(), shown = 0;
    size_t len = sizeof(LINE("before") LINE("after")) - 1;

    (void)state;
    pr_info("before");
    for (unsigned i = 0; i < 2000; i++)
        shown += log_guest("web", "a line that says nothing");
    assert_in_range(shown, 500, 1999);
    pr_info("after");
    assert_true(log_read(first, &line));
    assert_string_equal(line.text, "godwit: before");
    assert_true(log_read(first + 1, &line));
    assert_string_equal(line.text, "godwit: after");
    drain();
    assert_memory_equal(port, LINE("before"), sizeof(LINE("before")) - 1);
    assert_int_equal(port_len, len + shown * (sizeof(GUEST("a line that says nothing")) - 1));
    port_len = 0;
    assert_true(log_guest("web", "another one"));
    drain();
    assert_port(GUEST("another one"));
}

/* What the port has no room for is counted there; the ring has it. */
static void test_host_floods(void **state)
{
    struct kept_line line;
    u64 first = log_next();

    (void)state;
    for (unsigned i = 0; i < 5000; i++)
        pr_info("line");
    assert_true(log_read(0, &line));
    assert_int_equal(line.number, first + 5000 - LOG_KEPT);
    drain();
    port_len = 0;
    pr_info("more");
    drain();
    port[port_len] = '\0';
    assert_non_null(strstr(port, " lines were too many for this port; see log)\n"));
    assert_non_null(strstr(port, LINE("more")));
}

/* While a person uses the port, lines wait; one that was begun is finished first. */
static void test_hold(void **state)
{
    (void)state;
    pr_info("one");
    pr_info("two");
    room = 10;
    log_poll();
    log_hold(true);
    log_raw("key", 3);
    drain();
    assert_port(LINE("one") "key");
    log_hold(false);
    drain();
    assert_port(LINE("two"));
    log_prompt(true);
    assert_true(log_quiet());
    pr_info("three");
    assert_false(log_quiet());
    drain();
    assert_port("\r\x1b[K" LINE("three"));
    assert_false(log_prompt_shown());
}

/* Last of all: a panic's lines are out before it goes on, then come those that waited. */
static void test_panic(void **state)
{
    (void)state;
    pr_info("waits");
    log_break_lock();
    pr_info("panic");
    assert_port(LINE("panic"));
    log_flush();
    assert_port(LINE("waits"));
    pr_info("end");
    assert_port(LINE("end"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot),
        cmocka_unit_test_setup(test_nobody_waits_for_the_port, start),
        cmocka_unit_test_setup(test_guest_floods, start),
        cmocka_unit_test_setup(test_host_floods, start),
        cmocka_unit_test_setup(test_hold, start),
        cmocka_unit_test_setup(test_panic, start),
    };

    return cmocka_run_group_tests(tests, group_setup, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: host/serial.c tests/unit/processor.c */
/* The machine's COM1, sound, stuck and absent. Whoever writes must not wait for it for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/host_ioapic.h"
#include "host/serial.h"
#include "host/traps.h"
#include "tests/unit/processor.h"

#define ACCESSES_MAX 1000000 /* a second at the speed of a port */
#define COM1 0x3F8
#define DATA 0
#define LINE_STATUS 5
#define LSR_DATA 0x01
#define LSR_DONE 0x60
#define SCRATCH 7
#define DEBUG_PORT 0xE9
#define TEXT "a line\n"

static struct cpu cpu;
static struct {
    u8 status, scratch;
    bool absent;
    unsigned accesses;
    u8 typed;                   /* the byte that the receiver has next */
    char com1[100], debug[100]; /* what was sent */
    unsigned nr_com1, nr_debug;
    u64 ns;
} port;

u64 clock_ns(void)
{
    return port.ns;
}

unsigned host_ioapic_init(void)
{
    return 0;
}

bool host_ioapic_route(unsigned pin, u8 vector, u32 apic_id)
{
    (void)pin, (void)vector, (void)apic_id;
    return false;
}

void irq_register(u8 vector, void (*handler)(void))
{
    (void)vector, (void)handler;
}

static u8 in(u16 number)
{
    assert_true(++port.accesses < ACCESSES_MAX);
    if (number == DEBUG_PORT)
        return DEBUG_PORT;
    if (port.absent)
        return 0xFF;
    switch (number - COM1) {
    case DATA: return port.typed++;
    case LINE_STATUS: return port.status;
    case SCRATCH: return port.scratch;
    default: return 0;
    }
}

static void out(u16 number, u8 value)
{
    port.accesses++;
    if (number == DEBUG_PORT)
        port.debug[port.nr_debug++] = (char)value;
    else if (number == COM1 + DATA)
        port.com1[port.nr_com1++] = (char)value;
    else if (number == COM1 + SCRATCH)
        port.scratch = value;
}

/* The machine boots with this line status. */
static void start(u8 status, bool absent)
{
    memset(&port, 0, sizeof(port));
    port.status = status;
    port.absent = absent;
    processor_run_as(&cpu);
    serial_init();
    port.nr_com1 = 0; /* the divisor */
    port.accesses = 0;
}

static int setup(void **state)
{
    (void)state;
    processor.in = in;
    processor.out = out;
    start(LSR_DONE, false);
    serial_write("", 1); /* the transmitter moves, whatever the last test has left */
    return 0;
}

static void test_bytes_are_sent(void **state)
{
    (void)state;
    start(LSR_DONE, false);
    serial_write(TEXT, strlen(TEXT));
    assert_string_equal(port.com1, "a line\r\n");
    assert_string_equal(port.debug, TEXT);
    start(LSR_DONE, true);
    serial_write(TEXT, strlen(TEXT));
    assert_int_equal(port.nr_com1, 0);
    assert_string_equal(port.debug, TEXT);
}

/* The host loop reads in each of its rounds: the port, which is slow, is not asked in each. */
static void test_reader_spares_the_port(void **state)
{
    (void)state;
    start(LSR_DONE, false);
    port.ns = NS_PER_S;
    assert_int_equal(serial_read(), -1);
    port.accesses = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(serial_read(), -1);
    assert_int_equal(port.accesses, 0);
    port.status |= LSR_DATA;
    port.ns += NS_PER_MS;
    assert_int_equal(serial_read(), 0);
    port.status = LSR_DONE;
    while (serial_read() >= 0) /* for the next test */
        continue;
}

/* A transmitter that never gets empty costs the first line a moment, and later ones nothing, until it moves again. */
static void test_stuck_transmitter(void **state)
{
    (void)state;
    start(0, false);
    serial_write(TEXT, strlen(TEXT));
    assert_true(port.accesses > 1000);
    port.accesses = 0;
    serial_write(TEXT, strlen(TEXT));
    serial_flush();
    assert_true(port.accesses < 100);
    assert_int_equal(port.nr_com1, 0);
    assert_string_equal(port.debug, TEXT TEXT);
    port.status = LSR_DONE;
    serial_write(TEXT, strlen(TEXT));
    assert_string_equal(port.com1, "a line\r\n");
}

/* The same if the receiver has bytes without end. */
static void test_stuck_and_flooded(void **state)
{
    (void)state;
    start(LSR_DATA, false);
    serial_write(TEXT, strlen(TEXT));
    assert_string_equal(port.debug, TEXT);
    assert_int_equal(serial_read(), 0);
    assert_int_equal(serial_read(), 1);
    serial_write(TEXT, strlen(TEXT));
    serial_flush();
}

/* Who offers bytes never waits; after a second they go to the other port alone. */
static void test_offers_do_not_wait(void **state)
{
    (void)state;
    start(0, false);
    port.ns = 1;
    assert_int_equal(serial_offer(TEXT, strlen(TEXT)), 0);
    port.ns += 999999999;
    assert_int_equal(serial_offer(TEXT, strlen(TEXT)), 0);
    assert_int_equal(port.nr_debug, 0);
    port.ns++;
    assert_int_equal(serial_offer(TEXT, strlen(TEXT)), strlen(TEXT));
    assert_string_equal(port.debug, TEXT);
    port.status = LSR_DONE;
    assert_int_equal(serial_offer(TEXT, strlen(TEXT)), strlen(TEXT));
    assert_string_equal(port.com1, "a line\r\n");
    assert_true(port.accesses < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bytes_are_sent, setup),
        cmocka_unit_test_setup(test_reader_spares_the_port, setup),
        cmocka_unit_test_setup(test_stuck_transmitter, setup),
        cmocka_unit_test_setup(test_stuck_and_flooded, setup),
        cmocka_unit_test_setup(test_offers_do_not_wait, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

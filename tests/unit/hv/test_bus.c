/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: hv/bus.c */
/* Who is asked for an access, with what, and what is answered where nobody is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/bus.h"

#define ANSWER 0x1122334455667788ULL

/* A device that remembers what it was asked last. */
struct recorder {
    struct device device;
    unsigned calls, region;
    struct io last;
};

static struct bus bus;
static struct recorder left, right;

static void recorder_io(struct device *device, unsigned region, struct io *io)
{
    struct recorder *recorder = (struct recorder *)device;

    recorder->calls++;
    recorder->region = region;
    recorder->last = *io;
    if (!io->write)
        io->val = ANSWER;
}

static const struct device_ops ops = { .name = "recorder", .io = recorder_io };

static int setup(void **state)
{
    (void)state;
    memset(&bus, 0, sizeof(bus));
    left = right = (struct recorder){ .device.ops = &ops };
    return 0;
}

static u64 read_at(u64 address, u8 size)
{
    struct io io = { .size = size };

    bus_access(&bus, address, &io);
    return io.val;
}

static void write_at(u64 address, u8 size, u64 value)
{
    struct io io = { .size = size, .write = true, .val = value };

    bus_access(&bus, address, &io);
}

static void test_nobody(void **state)
{
    (void)state;
    assert_int_equal(read_at(0, 1), 0xFF);
    assert_int_equal(read_at(0x60, 2), 0xFFFF);
    assert_int_equal(read_at(0xFEE00000, 4), 0xFFFFFFFF);
    assert_int_equal(read_at(~0ULL - 7, 8), ~0ULL);
    write_at(0x60, 1, 0);
    assert_int_equal(bus.accesses, 5);
    assert_int_equal(bus.unclaimed, 5);
}

static void test_offset_and_region(void **state)
{
    (void)state;
    assert_int_equal(bus_add(&bus, 0x3F8, 8, &left.device, 3), 0);
    assert_int_equal(read_at(0x3FA, 4), ANSWER & 0xFFFFFFFF); /* cut to the access */
    assert_int_equal(left.last.off, 2);
    assert_int_equal(left.last.size, 4);
    assert_int_equal(left.region, 3);
    assert_false(left.last.write);
    assert_int_equal(left.last.val, 0xFFFFFFFF); /* what it would be if the device says nothing */
    write_at(0x3F8, 1, 0x5A);
    assert_int_equal(left.last.off, 0);
    assert_int_equal(left.last.val, 0x5A);
    assert_true(left.last.write);
    assert_int_equal(bus.unclaimed, 0);
}

static void test_edges(void **state)
{
    (void)state;
    assert_int_equal(bus_add(&bus, 0x100, 8, &left.device, 0), 0);
    assert_int_equal(read_at(0xFF, 1), 0xFF);
    assert_int_equal(read_at(0x108, 1), 0xFF);
    assert_int_equal(read_at(0xFF, 2), 0xFFFF);      /* begins before it */
    assert_int_equal(read_at(0x106, 4), 0xFFFFFFFF); /* ends behind it */
    assert_int_equal(left.calls, 0);
    assert_int_equal(read_at(0x107, 1), ANSWER & 0xFF);
    assert_int_equal(read_at(0x100, 8), ANSWER);
    assert_int_equal(left.calls, 2);
}

static void test_neighbours_added_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(bus_add(&bus, 0x110, 0x10, &right.device, 0), 0);
    assert_int_equal(bus_add(&bus, 0x100, 0x10, &left.device, 0), 0);
    read_at(0x10F, 1);
    assert_int_equal(left.last.off, 0xF);
    read_at(0x110, 1);
    assert_int_equal(right.last.off, 0);
    read_at(0x10E, 4); /* across the two: nobody's */
    assert_int_equal(left.calls, 1);
    assert_int_equal(right.calls, 1);
}

static void test_overlap_is_refused(void **state)
{
    (void)state;
    assert_int_equal(bus_add(&bus, 0x100, 0x10, &left.device, 0), 0);
    assert_int_equal(bus_add(&bus, 0x100, 0x10, &right.device, 0), -EBUSY);
    assert_int_equal(bus_add(&bus, 0x10F, 2, &right.device, 0), -EBUSY);
    assert_int_equal(bus_add(&bus, 0xF0, 0x11, &right.device, 0), -EBUSY);
    assert_int_equal(bus_add(&bus, 0xF0, 0x10, &right.device, 0), 0);
    assert_int_equal(bus_add(&bus, 0x110, 0x10, &right.device, 0), 0);
}

/* A chip's port may lie in another's range, as CF9 does in PCI's; and takes what is its own. */
static void test_inner_region_wins(void **state)
{
    (void)state;
    assert_int_equal(bus_add(&bus, 0x101, 1, &right.device, 7), 0);
    assert_int_equal(bus_add(&bus, 0x100, 0x10, &left.device, 3), 0);
    read_at(0x101, 1);
    assert_int_equal(right.region, 7);
    assert_int_equal(right.last.off, 0);
    read_at(0x100, 4); /* more than the inner one has: the outer one's */
    assert_int_equal(left.region, 3);
    assert_int_equal(left.last.size, 4);
}

/* Filled from both ends, each region is still found. */
static void test_full(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BUS_REGIONS; i++) {
        unsigned slot = i % 2 ? BUS_REGIONS - 1 - i / 2 : i / 2;

        assert_int_equal(bus_add(&bus, 0x1000 + 0x10 * slot, 8, &left.device, slot), 0);
    }
    assert_int_equal(bus_add(&bus, 0x8000, 8, &left.device, 0), -ENOSPC);
    for (unsigned slot = 0; slot < BUS_REGIONS; slot++) {
        read_at(0x1000 + 0x10 * slot + 5, 1);
        assert_int_equal(left.region, slot);
        assert_int_equal(left.last.off, 5);
        assert_int_equal(read_at(0x1000 + 0x10 * slot + 8, 1), 0xFF);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody, setup),
        cmocka_unit_test_setup(test_offset_and_region, setup),
        cmocka_unit_test_setup(test_edges, setup),
        cmocka_unit_test_setup(test_neighbours_added_in_any_order, setup),
        cmocka_unit_test_setup(test_overlap_is_refused, setup),
        cmocka_unit_test_setup(test_inner_region_wins, setup),
        cmocka_unit_test_setup(test_full, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

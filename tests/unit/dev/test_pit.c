/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ticks of the 8254 that a guest could not take: they are owed, they follow, there is a bound, and they move. The test
 * turns the clock and is the processor that takes the interrupts.
 */
/* sources: dev/pit.c dev/i8254.c dev/timer.c hv/bus.c dev/codec.c tests/unit/one_vm.c tests/unit/stubs.c */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/smp.h"
#include "dev/irq.h"
#include "host/bits.h"
#include "dev/codec.h"
#include "tests/unit/one_vm.h"

#define MS 1000000ULL          /* of VM time; the TSC counts it, too */
#define COUNT (I8254_HZ / 250) /* 4 ms, as Linux has it */

static u64 tsc;
static unsigned taken;     /* interrupts */
static unsigned looks;     /* whether one still waits */
static bool line, request; /* the line's level; an edge waits */
static bool takes;         /* the processor takes what waits, at once */

u64 unit_tsc(void)
{
    return tsc;
}

u64 clock_tsc_khz(void)
{
    return 1000000;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void vm_add_device(struct vm *to, struct device *device)
{
    (void)to;
    (void)device;
}

void cpu_kick(u32 index)
{
    (void)index;
}

void irq_line(struct vm *of, unsigned number, bool level)
{
    (void)of;
    assert_int_equal(number, PIT_LINE);
    request |= level && !line;
    line = level;
    taken += request && takes;
    request &= !takes;
}

bool irq_waits(struct vm *of, unsigned number)
{
    (void)of;
    assert_int_equal(number, PIT_LINE);
    looks++;
    return request;
}

static void out(u16 port, u8 value)
{
    struct io io = { .size = 1, .write = true, .val = value };

    spin_lock(&vm.device_lock);
    bus_access(&vm.pio, port, &io);
    spin_unlock(&vm.device_lock);
}

/* Time passes, and the host loop looks whenever a timer is due. */
static void pass(u64 ns)
{
    for (u64 end = tsc + ns; tsc < end;) {
        u64 next = timers_poll();

        tsc = MIN(MAX(next, tsc + 1), end);
    }
    timers_poll();
}

/* Nobody looks, and the guest does not run. */
static void stand(u64 ns)
{
    tsc += ns;
    timers_poll();
}

/* It takes what waits, and from now on what comes. */
static void take(void)
{
    takes = true;
    taken += request;
    request = false;
    pit_taken(&platform.pit);
}

static void periodic(u16 count)
{
    out(0x43, 0x34);
    out(0x40, (u8)count);
    out(0x40, count >> 8);
    taken = 0;
    take();
    taken = 0;
}

static int setup(void **state)
{
    (void)state;
    one_vm_make();
    tsc = vm.created_tsc = 5000;
    vm.tsc.host_khz = clock_tsc_khz();
    line = request = takes = false;
    timers_init(&platform.timers, &vm);
    return pit_init(&platform.pit, &vm);
}

static void in_time_a_tick_is_an_interrupt(void **state)
{
    (void)state;
    periodic(COUNT);
    pass(1000 * MS);
    assert_in_range(taken, 249, 250);
}

/* The host, or a pause, kept the guest from running. */
static void a_stall_is_made_good(void **state)
{
    (void)state;
    periodic(COUNT);
    stand(900 * MS);
    assert_int_equal(taken, 1);
    pass(10 * MS);
    assert_in_range(taken, 78, 86); /* not all at once: 32 times as fast as ever */
    pass(1090 * MS);
    assert_in_range(taken, 499, 500);
}

/* A turn of 1 ms, and then 31 others have theirs, in which eight ticks come: it keeps up. */
static void short_turns_are_enough(void **state)
{
    (void)state;
    periodic(COUNT);
    for (unsigned turn = 0; turn < 100; turn++) {
        takes = false;
        stand(31 * MS);
        take();
        pass(1 * MS);
    }
    assert_in_range(taken, 790, 800);
}

/* It runs, but does not take interrupts: each tick finds the one before. */
static void ticks_wait_until_one_is_taken(void **state)
{
    (void)state;
    periodic(COUNT);
    takes = false;
    looks = 0;
    pass(100 * MS);
    assert_int_equal(taken, 0);
    assert_in_range(looks, 20, 30); /* one a tick: to look costs the host, and a guest may never take it */
    take();
    pass(1 * MS);
    assert_in_range(taken, 8, 9); /* they follow at once */
    pass(399 * MS);
    assert_in_range(taken, 124, 125);
}

/* The guest masks the pin, say: what waited is gone, and nobody says so. */
static void ticks_wait_until_none_waits(void **state)
{
    (void)state;
    periodic(COUNT);
    takes = false;
    pass(100 * MS);
    request = false;
    takes = true;
    pass(400 * MS);
    assert_in_range(taken, 123, 124);
}

/* What it takes in between is another interrupt. */
static void another_interrupt_is_none(void **state)
{
    (void)state;
    periodic(COUNT);
    takes = false;
    pass(100 * MS);
    looks = 0;
    for (unsigned i = 0; i < 1000; i++) {
        pit_taken(&platform.pit);
        pass(MS / 10);
    }
    assert_in_range(looks, 1020, 1030);
    take();
    pass(400 * MS);
    assert_in_range(taken, 149, 150);
}

static void no_more_than_ten_seconds_are_owed(void **state)
{
    (void)state;
    periodic(COUNT);
    stand(3600 * 1000 * MS);
    pass(10000 * MS);
    assert_in_range(taken, 4998, 5002); /* 10 s of the hour, and 10 s that it has run since */
}

static void a_counter_that_begins_anew_owes_nothing(void **state)
{
    (void)state;
    periodic(COUNT);
    stand(900 * MS);
    periodic(COUNT);
    pass(100 * MS);
    assert_in_range(taken, 24, 25);
}

static void once_is_once(void **state)
{
    (void)state;
    periodic(COUNT);
    out(0x43, 0x30);
    out(0x40, (u8)COUNT);
    out(0x40, COUNT >> 8);
    take();
    taken = 0;
    stand(900 * MS);
    pass(900 * MS);
    assert_int_equal(taken, 1);
}

/* Saved while it owes, with a tick that has come and that nobody has counted yet. */
static void what_is_owed_moves(void **state)
{
    u8 bytes[256];
    struct codec w = codec_saver(bytes, sizeof(bytes));
    struct device *device = &platform.pit.device;
    struct codec r = codec_restorer(bytes, 0);

    (void)state;
    periodic(COUNT);
    stand(500 * MS);
    tsc += 400 * MS;
    timers_freeze(&platform.timers);
    pit_settle(&platform.pit);
    device->ops->state(device, &w);
    assert_int_equal(w.err, 0);
    spin_lock(&vm.device_lock);
    device->ops->reset(device);
    for (; r.len < w.at; r = codec_restorer(bytes, r.len + 1)) {
        device->ops->state(device, &r);
        assert_int_equal(r.err, -EINVAL);
    }
    device->ops->state(device, &r);
    assert_int_equal(r.err, 0);
    spin_unlock(&vm.device_lock);
    tsc += 77 * MS; /* on its way */
    timers_restart(&platform.timers, 100 * MS);
    pass(1000 * MS);
    assert_in_range(taken, 499, 500);
    memset(bytes + w.at - 4, 0xFF, 4);
    r = codec_restorer(bytes, w.at);
    device->ops->state(device, &r);
    assert_int_equal(r.err, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_time_a_tick_is_an_interrupt, setup),
        cmocka_unit_test_setup(a_stall_is_made_good, setup),
        cmocka_unit_test_setup(short_turns_are_enough, setup),
        cmocka_unit_test_setup(ticks_wait_until_one_is_taken, setup),
        cmocka_unit_test_setup(ticks_wait_until_none_waits, setup),
        cmocka_unit_test_setup(another_interrupt_is_none, setup),
        cmocka_unit_test_setup(no_more_than_ten_seconds_are_owed, setup),
        cmocka_unit_test_setup(a_counter_that_begins_anew_owes_nothing, setup),
        cmocka_unit_test_setup(once_is_once, setup),
        cmocka_unit_test_setup(what_is_owed_moves, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/pit.h"

#include <errno.h>

#include "hv/dev/irq.h"
#include "hv/dev/platform.h"
#include "hv/dev/platform_map.h"
#include "hv/lib/bits.h"
#include "hv/lib/stream.h"
#include "hv/vm.h"

#define PIT_PORT 0x40
#define PIT_PORTS 4
#define PORT_61 0x61
#define COMMAND_CHANNEL 0xC0
#define COMMAND_ACCESS 0x30
#define NS_PER_SECOND 1000000000ULL

/* A counter that is faster than this would leave its guest, and the host, no time for anything else. */
#define SHORTEST_PERIOD_NS 100000ULL

enum pit_region { REGION_COUNTERS, REGION_61 };

static u64 to_ticks(u64 ns)
{
    return scale(ns, I8254_HZ, NS_PER_SECOND);
}

/* At the result the tick has come. */
static u64 to_ns(u64 ticks)
{
    return scale_up(ticks, NS_PER_SECOND, I8254_HZ);
}

static void arm(struct pit *pit, u64 now)
{
    struct timers *timers = &platform_of(pit->vm)->timers;
    u64 rise = i8254_next_rise(&pit->chip, to_ticks(now));

    timer_set(timers, &pit->timer, rise == I8254_NEVER ? TIMER_NEVER : MAX(to_ns(rise), now + SHORTEST_PERIOD_NS));
}

/* The output has risen, once or more often: one edge. */
static void expire(struct timer *timer, u64 now)
{
    struct pit *pit = container_of(timer, struct pit, timer);

    irq_line(pit->vm, PIT_LINE, false);
    irq_line(pit->vm, PIT_LINE, true);
    arm(pit, now);
}

/* Does this write change what counter 0 does? Latching doesn't. */
static bool changes_counter0(unsigned reg, u8 value)
{
    return reg == 0 || (reg == I8254_COMMAND && !(value & COMMAND_CHANNEL) && value & COMMAND_ACCESS);
}

static void counters_io(struct pit *pit, struct io *io, u64 now)
{
    u64 ticks = to_ticks(now), value = 0;
    bool changed = false;

    for (unsigned i = 0; i < io->size; i++) {
        unsigned reg = io->off + i;

        if (!io->write) {
            value |= (u64)i8254_read(&pit->chip, reg, ticks) << (8 * i);
            continue;
        }
        i8254_write(&pit->chip, reg, io->val >> (8 * i), ticks);
        changed |= changes_counter0(reg, io->val >> (8 * i));
    }
    if (!io->write)
        io->val = value;
    if (!changed)
        return;
    irq_line(pit->vm, PIT_LINE, i8254_output(&pit->chip, 0, ticks));
    arm(pit, now);
}

static void pit_io(struct device *device, unsigned region, struct io *io)
{
    struct pit *pit = (struct pit *)device;
    u64 now = timers_now(&platform_of(pit->vm)->timers);

    if (region == REGION_COUNTERS)
        counters_io(pit, io, now);
    else if (io->write)
        i8254_port61_write(&pit->chip, io->val, to_ticks(now));
    else
        io->val = i8254_port61_read(&pit->chip, to_ticks(now));
}

static void pit_reset(struct device *device)
{
    struct pit *pit = (struct pit *)device;

    i8254_reset(&pit->chip);
    irq_line(pit->vm, PIT_LINE, false);
    timer_set(&platform_of(pit->vm)->timers, &pit->timer, TIMER_NEVER);
}

static int pit_save(struct device *device, struct writer *writer)
{
    i8254_save(&((struct pit *)device)->chip, writer);
    return writer->overflow ? -ENOSPC : 0;
}

static int pit_load(struct device *device, struct reader *reader)
{
    struct pit *pit = (struct pit *)device;
    int err = i8254_load(&pit->chip, reader);

    if (!err)
        arm(pit, timers_now(&platform_of(pit->vm)->timers));
    return err;
}

static const struct device_ops ops = {
    .name = "8254",
    .version = 1,
    .io = pit_io,
    .reset = pit_reset,
    .save = pit_save,
    .load = pit_load,
};

int pit_init(struct pit *pit, struct vm *vm)
{
    pit->device.ops = &ops;
    pit->vm = vm;
    timer_init(&pit->timer, expire);
    i8254_reset(&pit->chip);
    vm_add_device(vm, &pit->device);

    int err = bus_add(&vm->pio, PIT_PORT, PIT_PORTS, &pit->device, REGION_COUNTERS);

    return err ? err : bus_add(&vm->pio, PORT_61, 1, &pit->device, REGION_61);
}

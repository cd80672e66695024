/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/pit.h"

#include "dev/codec.h"
#include "dev/irq.h"
#include "dev/platform.h"
#include "dev/platform_map.h"
#include "host/bits.h"
#include "host/clock.h"
#include "hv/vm.h"

#define PIT_PORT 0x40
#define PIT_PORTS 4
#define PORT_61 0x61
#define COMMAND_CHANNEL 0xC0
#define COMMAND_ACCESS 0x30

/* A counter that is faster than this would leave its guest, and the host, no time for anything else. */
#define SHORTEST_PERIOD_NS 100000ULL

#define OWED_TICKS (10 * I8254_HZ) /* of the chip: at most 10 s of rises are owed, and more are lost */

/* Owed rises come so many times as fast as the counter's own: a guest that has one turn in 32 keeps up. */
#define CATCH_UP 32

#define VERSION 2 /* 2: with `owed` */

enum pit_region { REGION_COUNTERS, REGION_61 };

static u64 to_ticks(u64 ns)
{
    return scale(ns, I8254_HZ, NS_PER_S);
}

/* Rounded up: at the resulting time the tick has come. */
static u64 to_ns(u64 ticks)
{
    return scale_up(ticks, NS_PER_S, I8254_HZ);
}

static void block(struct pit *pit, bool blocked)
{
    __atomic_store_n(&pit->blocked, blocked, __ATOMIC_RELAXED);
}

static void arm(struct pit *pit, u64 now)
{
    struct timers *timers = &platform_of(pit->vm)->timers;
    u64 rise = i8254_next_rise(&pit->chip, to_ticks(now));
    u64 at = rise == I8254_NEVER ? TIMER_NEVER : to_ns(rise);

    /* A tick that waits may go without being taken, if the guest masks its pin, say. */
    if (pit->owed)
        at = MIN(at, now + to_ns(pit->chip.channel[0].count / (pit->blocked ? 1 : CATCH_UP)));
    timer_set(timers, &pit->timer, at == TIMER_NEVER ? TIMER_NEVER : MAX(at, now + SHORTEST_PERIOD_NS));
}

static u64 owed_max(const struct pit *pit)
{
    return OWED_TICKS / pit->chip.channel[0].count;
}

/* Add the rises since the last time to the owed ones. */
static void count_rises(struct pit *pit, u64 now)
{
    u64 ticks = to_ticks(now), owed = pit->owed + i8254_rises(&pit->chip, pit->counted, ticks);

    pit->counted = ticks;
    pit->owed = (u32)MIN(owed, owed_max(pit));
}

/* Send one edge at a time, and none that would be lost in the one before. */
static void expire(struct timer *timer, u64 now)
{
    struct pit *pit = container_of(timer, struct pit, timer);

    count_rises(pit, now);
    block(pit, pit->owed && irq_waits(pit->vm, PIT_LINE));
    if (pit->owed && !pit->blocked) {
        pit->owed--;
        irq_line(pit->vm, PIT_LINE, false);
        irq_line(pit->vm, PIT_LINE, true);
    }
    arm(pit, now);
}

/* Where this looks at `blocked` before the host loop sets it, the tick comes with the counter's next one. */
void pit_taken(struct pit *pit)
{
    if (!__atomic_load_n(&pit->blocked, __ATOMIC_RELAXED))
        return;
    spin_lock(&pit->vm->device_lock);
    if (pit->blocked && !irq_waits(pit->vm, PIT_LINE)) {
        block(pit, false);
        arm(pit, timers_now(&platform_of(pit->vm)->timers));
    }
    spin_unlock(&pit->vm->device_lock);
}

/* Counter 0 begins anew, and owes nothing. */
static void start(struct pit *pit, u64 now)
{
    pit->counted = to_ticks(now);
    pit->owed = 0;
    block(pit, false);
    irq_line(pit->vm, PIT_LINE, i8254_output(&pit->chip, 0, pit->counted));
    arm(pit, now);
}

void pit_settle(struct pit *pit)
{
    count_rises(pit, timers_now(&platform_of(pit->vm)->timers));
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
    if (changed)
        start(pit, now);
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
    pit->owed = 0;
    block(pit, false);
    irq_line(pit->vm, PIT_LINE, false);
    timer_set(&platform_of(pit->vm)->timers, &pit->timer, TIMER_NEVER);
}

static void pit_state(struct device *device, struct codec *c)
{
    struct pit *pit = (struct pit *)device;
    u64 now = timers_now(&platform_of(pit->vm)->timers);
    u32 owed = pit->owed;

    i8254_state(&pit->chip, c);
    codec_u32(c, &owed);
    if (!codec_judge(c, owed <= owed_max(pit), "it owes more ticks than it may"))
        return;
    pit->owed = owed;
    pit->counted = to_ticks(now);
    arm(pit, now);
}

static const struct device_ops ops = {
    .name = "8254",
    .version = VERSION,
    .io = pit_io,
    .reset = pit_reset,
    .state = pit_state,
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

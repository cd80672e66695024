/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/cmos.h"

#include "dev/codec.h"
#include "host/rtc.h"
#include "dev/irq.h"
#include "dev/platform.h"
#include "dev/platform_map.h"
#include "host/bits.h"
#include "hv/vm.h"

#define CMOS_PORT 0x70
#define CMOS_PORTS 2
#define INDEX_NMI_DISABLE 0x80 /* not part of the index */

/* After each change: set the line's level, and the timer for its next change. */
static void look(struct cmos *cmos, u64 now)
{
    mc146818_update(&cmos->chip, now);
    irq_line(cmos->vm, RTC_LINE, mc146818_irq(&cmos->chip));
    timer_set(&platform_of(cmos->vm)->timers, &cmos->timer, mc146818_deadline(&cmos->chip));
}

static void expire(struct timer *timer, u64 now)
{
    look(container_of(timer, struct cmos, timer), now);
}

void cmos_settle(struct cmos *cmos)
{
    look(cmos, timers_now(&platform_of(cmos->vm)->timers));
}

static void cmos_io(struct device *device, unsigned region, struct io *io)
{
    struct cmos *cmos = (struct cmos *)device;
    u64 now = timers_now(&platform_of(cmos->vm)->timers);

    (void)region;
    if (io->write && io->off == 0) {
        cmos->chip.index = io->val & ~INDEX_NMI_DISABLE;
        if (io->size > 1)
            mc146818_write(&cmos->chip, cmos->chip.index, io->val >> 8, now);
    } else if (io->write) {
        mc146818_write(&cmos->chip, cmos->chip.index, io->val, now);
    } else if (io->off == 1) {
        io->val = mc146818_read(&cmos->chip, cmos->chip.index, now);
    } else {
        return; /* the index can't be read */
    }
    look(cmos, now);
}

static void cmos_reset(struct device *device)
{
    struct cmos *cmos = (struct cmos *)device;

    mc146818_reset(&cmos->chip);
    look(cmos, timers_now(&platform_of(cmos->vm)->timers));
}

static void cmos_state(struct device *device, struct codec *c)
{
    struct cmos *cmos = (struct cmos *)device;

    mc146818_state(&cmos->chip, c);
    if (codec_restored(c))
        look(cmos, timers_now(&platform_of(cmos->vm)->timers));
}

static const struct device_ops ops = {
    .name = "cmos",
    .version = 1,
    .io = cmos_io,
    .reset = cmos_reset,
    .state = cmos_state,
};

int cmos_init(struct cmos *cmos, struct vm *vm)
{
    cmos->device.ops = &ops;
    cmos->vm = vm;
    timer_init(&cmos->timer, expire);
    mc146818_init(&cmos->chip, rtc_now_ns(), timers_now(&platform_of(vm)->timers));
    vm_add_device(vm, &cmos->device);
    return bus_add(&vm->pio, CMOS_PORT, CMOS_PORTS, &cmos->device, 0);
}

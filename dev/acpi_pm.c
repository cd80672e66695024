/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/acpi_pm.h"

#include "dev/acpi_sleep.h"
#include "dev/codec.h"
#include "dev/irq.h"
#include "dev/platform.h"
#include "dev/platform_map.h"
#include "host/bits.h"
#include "host/clock.h"
#include "tls/random.h"
#include "hv/vm.h"

#define VERSION 3 /* version 2 has whether the VM sleeps, version 3 has GPE0 */

#define EVENT_PORTS 4
#define CONTROL_PORTS 2
#define TIMER_PORTS 4
#define GPE_PORTS 2
#define GPE_BITS BIT(ACPI_GPE_GENERATION)
#define GENERATION_BYTES 16
#define EVENT_BITS (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_SLEEP_BUTTON | PM1_RTC)

/* RESET_PORT: a reset happens when bit 2 is set after it was clear; bit 1 makes it a hard reset. */
#define RESET_CPU BIT(2)

/* The 8042's command "pulse output bit 0" resets the processor. There is no keyboard behind the controller. */
#define KEYBOARD_COMMAND_PORT 0x64
#define KEYBOARD_RESET 0xFE

enum pm_region { REGION_EVENT, REGION_CONTROL, REGION_TIMER, REGION_GPE, REGION_RESET, REGION_KEYBOARD };

static u64 to_ticks(u64 ns)
{
    return scale(ns, ACPI_PM_TIMER_HZ, NS_PER_S);
}

/* Changes of the counter's uppermost bit since the VM's start. */
static u64 half_periods(u64 now)
{
    return to_ticks(now) >> (ACPI_PM_TIMER_BITS - 1);
}

static u64 half_period_ns(u64 number)
{
    return scale_up(number << (ACPI_PM_TIMER_BITS - 1), NS_PER_S, ACPI_PM_TIMER_HZ);
}

/* Note new events, set the line and the timer. After each change, and before the guest reads status. */
static void look(struct acpi_pm *pm, u64 now)
{
    u64 halves = half_periods(now);
    bool wants_timer = pm->enable & PM1_TIMER;

    if (halves != pm->seen)
        pm->status |= PM1_TIMER;
    pm->seen = halves;
    irq_line(pm->vm, ACPI_SCI, (pm->status & pm->enable) || (pm->gpe_status & pm->gpe_enable));
    timer_set(&platform_of(pm->vm)->timers, &pm->timer,
              wants_timer && !(pm->status & PM1_TIMER) ? half_period_ns(halves + 1) : TIMER_NEVER);
}

static void expire(struct timer *timer, u64 now)
{
    look(container_of(timer, struct acpi_pm, timer), now);
}

void acpi_pm_settle(struct acpi_pm *pm)
{
    look(pm, timers_now(&platform_of(pm->vm)->timers));
}

static void press(struct acpi_pm *pm, u16 button)
{
    assert_held(&pm->vm->device_lock);
    pm->status |= button;
    acpi_pm_settle(pm);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
    press(pm, PM1_POWER_BUTTON);
}

void acpi_pm_sleep_button(struct acpi_pm *pm)
{
    press(pm, PM1_SLEEP_BUTTON);
}

void acpi_pm_new_generation(struct acpi_pm *pm)
{
    u8 id[GENERATION_BYTES];

    assert_held(&pm->vm->device_lock);
    random_fill(id, sizeof(id));
    if (guest_write(&pm->vm->mem, GENERATION_BASE, id, sizeof(id)))
        return; /* a guest with less RAM has not been told of it */
    pm->gpe_status |= BIT(ACPI_GPE_GENERATION);
    acpi_pm_settle(pm);
}

/* As PM1's, with one byte each. */
static void gpe_io(struct acpi_pm *pm, struct io *io)
{
    u64 value = (u64)pm->gpe_enable << 8 | pm->gpe_status, mask = size_mask(io->size) << (8 * io->off);

    if (!io->write) {
        io->val = value >> (8 * io->off);
        return;
    }
    u64 written = io->val << (8 * io->off) & mask;

    pm->gpe_status &= ~written;
    pm->gpe_enable = ((pm->gpe_enable & ~(mask >> 8)) | written >> 8) & GPE_BITS;
}

/* A guest writes ones to status to clear its bits. It may access both registers byte by byte. */
static void event_io(struct acpi_pm *pm, struct io *io)
{
    u64 value = (u64)pm->enable << 16 | pm->status, mask = size_mask(io->size) << (8 * io->off);

    if (!io->write) {
        io->val = value >> (8 * io->off);
        return;
    }
    u64 written = io->val << (8 * io->off) & mask;

    pm->status &= ~written;
    pm->enable = ((pm->enable & ~(mask >> 16)) | written >> 16) & EVENT_BITS;
}

static void control_write(struct acpi_pm *pm, u16 value)
{
    pm->control = value & PM1_SLP_TYP;
    if (!(value & PM1_SLP_EN))
        return;
    if (field_get(PM1_SLP_TYP, value) == ACPI_SLP_TYP_S5)
        vm_stop(pm->vm, VM_PASSED, "powered off");
    else if (field_get(PM1_SLP_TYP, value) == ACPI_SLP_TYP_S3)
        acpi_sleep(pm->vm);
}

static void control_io(struct acpi_pm *pm, struct io *io)
{
    u64 value = pm->control | PM1_SCI_EN, mask = size_mask(io->size) << (8 * io->off);

    if (io->write)
        control_write(pm, (value & ~mask) | (io->val << (8 * io->off) & mask));
    else
        io->val = value >> (8 * io->off);
}

static void reset_write(struct acpi_pm *pm, u8 value, u8 command)
{
    if ((value & command) == command)
        vm_reset_request(pm->vm);
}

static void acpi_pm_io(struct device *device, unsigned region, struct io *io)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;
    u64 now = timers_now(&platform_of(pm->vm)->timers);

    switch (region) {
    case REGION_EVENT:
        look(pm, now);
        event_io(pm, io);
        look(pm, now);
        break;
    case REGION_CONTROL: control_io(pm, io); break;
    case REGION_TIMER:
        if (!io->write)
            io->val = (to_ticks(now) & BITS(ACPI_PM_TIMER_BITS - 1, 0)) >> (8 * io->off);
        break;
    case REGION_GPE:
        gpe_io(pm, io);
        look(pm, now);
        break;
    case REGION_RESET:
        if (io->write)
            reset_write(pm, io->val, RESET_CPU);
        else
            io->val = 0;
        break;
    default:
        if (io->write)
            reset_write(pm, io->val, KEYBOARD_RESET);
        break;
    }
}

static void acpi_pm_reset(struct device *device)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;

    pm->status = pm->enable = pm->control = 0;
    __atomic_store_n(&pm->vm->asleep, false, __ATOMIC_RELEASE);
    pm->gpe_status = pm->gpe_enable = 0;
    look(pm, timers_now(&platform_of(pm->vm)->timers));
}

static void acpi_pm_state(struct device *device, struct codec *c)
{
    struct acpi_pm *pm = (struct acpi_pm *)device;
    u16 status = pm->status, enable = pm->enable, control = pm->control;
    bool asleep = pm->vm->asleep;
    u8 gpe_status = pm->gpe_status, gpe_enable = pm->gpe_enable;
    u64 seen = pm->seen;

    codec_version(c, VERSION);
    codec_u16(c, &status);
    codec_u16(c, &enable);
    codec_u16(c, &control);
    codec_u64(c, &seen);
    codec_bool(c, &asleep);
    codec_u8(c, &gpe_status);
    codec_u8(c, &gpe_enable);
    if (!codec_judge(c,
                     !(status & ~(EVENT_BITS | PM1_WAKE) || enable & ~EVENT_BITS || control & ~PM1_SLP_TYP ||
                       (gpe_status | gpe_enable) & ~GPE_BITS),
                     "a register has reserved bits"))
        return;
    pm->gpe_status = gpe_status;
    pm->gpe_enable = gpe_enable;
    pm->status = status;
    pm->enable = enable;
    pm->control = control;
    pm->seen = seen;
    pm->vm->asleep = asleep;
    look(pm, timers_now(&platform_of(pm->vm)->timers));
}

static const struct device_ops ops = {
    .name = "acpi-pm",
    .version = VERSION,
    .io = acpi_pm_io,
    .reset = acpi_pm_reset,
    .state = acpi_pm_state,
};

int acpi_pm_init(struct acpi_pm *pm, struct vm *vm)
{
    static const struct {
        u16 base, size;
    } regions[] = {
        [REGION_EVENT] = { ACPI_PM1A_EVENT_PORT, EVENT_PORTS },
        [REGION_CONTROL] = { ACPI_PM1A_CONTROL_PORT, CONTROL_PORTS },
        [REGION_TIMER] = { ACPI_PM_TIMER_PORT, TIMER_PORTS },
        [REGION_GPE] = { ACPI_GPE0_PORT, GPE_PORTS },
        [REGION_RESET] = { RESET_PORT, 1 },
        [REGION_KEYBOARD] = { KEYBOARD_COMMAND_PORT, 1 },
    };
    int err = 0;

    pm->device.ops = &ops;
    pm->vm = vm;
    timer_init(&pm->timer, expire);
    vm_add_device(vm, &pm->device);
    for (unsigned i = 0; i < ARRAY_SIZE(regions) && !err; i++)
        err = bus_add(&vm->pio, regions[i].base, regions[i].size, &pm->device, i);
    return err;
}

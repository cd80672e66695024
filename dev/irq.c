/* SPDX-License-Identifier: BSD-2-Clause */
#include "dev/irq.h"

#include "dev/codec.h"
#include "dev/apic_bus.h"
#include "dev/irq_wiring.h"
#include "dev/platform.h"
#include "dev/platform_map.h"
#include "hv/vm.h"

#define PIC_MASTER_PORT 0x20
#define PIC_SLAVE_PORT 0xA0
#define ELCR_PORT 0x4D0

enum pic_region { REGION_MASTER, REGION_SLAVE, REGION_ELCR };

static struct irq_wiring *wiring_of(struct vm *vm)
{
    return &platform_of(vm)->irq;
}

/* Call this after each change of the 8259 pair. A vcpu that is woken calls pending(), which reads the pin's copy. */
static void intr_update(struct irq_wiring *wiring)
{
    bool intr = i8259_intr(&wiring->pic.chip), before = wiring->extint;

    __atomic_store_n(&wiring->extint, intr, __ATOMIC_RELEASE);
    if (intr && !before)
        vcpu_wake(wiring->vm->vcpu[0]);
}

/* The 8259 pair's input to which a line is wired; I8259_LINES: none. */
static unsigned pic_line(unsigned line)
{
    if (line >= IRQ_PCI && line < IRQ_PCI + IRQ_PCI_PINS)
        return irq_pci_isa(line - IRQ_PCI);
    return line < I8259_LINES && line != I8259_CASCADE ? line : I8259_LINES;
}

/* The I/O APIC's pin to which a line is wired. */
static unsigned pin_of(unsigned line)
{
    return line == PIT_LINE ? PIT_GSI : line;
}

void irq_line(struct vm *vm, unsigned line, bool level)
{
    struct irq_wiring *wiring = wiring_of(vm);

    assert_held(&vm->device_lock);
    if (pic_line(line) < I8259_LINES) {
        i8259_set_line(&wiring->pic.chip, pic_line(line), level);
        intr_update(wiring);
    }
    ioapic_set_line(&wiring->ioapic.chip, pin_of(line), level);
}

/* If the I/O APIC's pin is unmasked, the guest has chosen that way for the line. */
bool irq_waits(struct vm *vm, unsigned line)
{
    struct irq_wiring *wiring = wiring_of(vm);
    struct lapic_ipi message;

    assert_held(&vm->device_lock);
    if (ioapic_edge(&wiring->ioapic.chip, pin_of(line), &message))
        return apic_bus_waits(wiring->apics, &message);
    return pic_line(line) < I8259_LINES && i8259_waits(&wiring->pic.chip, pic_line(line));
}

void irq_message(struct vm *vm, u64 address, u32 data)
{
    struct lapic_ipi message;
    bool level;

    assert_held(&vm->device_lock);
    if (message_decode(address, data, &message, &level))
        apic_bus_send(wiring_of(vm)->apics, &message, level);
}

bool irq_extint(struct vm *vm)
{
    return __atomic_load_n(&wiring_of(vm)->extint, __ATOMIC_ACQUIRE);
}

int irq_extint_ack(struct vm *vm)
{
    struct irq_wiring *wiring = wiring_of(vm);
    int vector = -1;

    spin_lock(&vm->device_lock);
    if (i8259_intr(&wiring->pic.chip))
        vector = i8259_ack(&wiring->pic.chip);
    intr_update(wiring);
    spin_unlock(&vm->device_lock);
    return vector;
}

void irq_eoi(struct vm *vm, u8 vector)
{
    assert_held(&vm->device_lock);
    ioapic_eoi(&wiring_of(vm)->ioapic.chip, vector);
}

static bool send(void *ctx, const struct lapic_ipi *message, bool level)
{
    return apic_bus_send(((struct irq_wiring *)ctx)->apics, message, level);
}

static const struct ioapic_env env = { .send = send };

/* --- 8259 --- */

static u8 pic_register_read(struct i8259 *pic, unsigned region, u64 offset)
{
    return region == REGION_ELCR ? i8259_elcr_read(pic, offset) : i8259_read(pic, region == REGION_SLAVE, offset);
}

static void pic_register_write(struct i8259 *pic, unsigned region, u64 offset, u8 value)
{
    if (region == REGION_ELCR)
        i8259_elcr_write(pic, offset, value);
    else
        i8259_write(pic, region == REGION_SLAVE, offset, value);
}

/* 8-bit chips: a wider access reaches consecutive registers. */
static void pic_io(struct device *device, unsigned region, struct io *io)
{
    struct i8259 *pic = &((struct pic_device *)device)->chip;
    u64 value = 0;

    for (unsigned i = 0; i < io->size; i++) {
        if (io->write)
            pic_register_write(pic, region, io->off + i, io->val >> (8 * i));
        else
            value |= (u64)pic_register_read(pic, region, io->off + i) << (8 * i);
    }
    if (!io->write)
        io->val = value;
    intr_update(wiring_of(io->vcpu->vm));
}

static void pic_reset(struct device *device)
{
    struct pic_device *pic = (struct pic_device *)device;

    i8259_reset(&pic->chip);
    intr_update(container_of(pic, struct irq_wiring, pic));
}

static void pic_state(struct device *device, struct codec *c)
{
    struct pic_device *pic = (struct pic_device *)device;

    i8259_state(&pic->chip, c);
    if (c->restoring)
        intr_update(container_of(pic, struct irq_wiring, pic));
}

static const struct device_ops pic_ops = {
    .name = "8259",
    .version = 1,
    .io = pic_io,
    .reset = pic_reset,
    .state = pic_state,
};

/* --- I/O APIC --- */

static void ioapic_io(struct device *device, unsigned region, struct io *io)
{
    struct ioapic *ioapic = &((struct ioapic_device *)device)->chip;

    (void)region;
    if (io->write)
        ioapic_write(ioapic, io->off, io->size, io->val);
    else
        io->val = ioapic_read(ioapic, io->off, io->size);
}

static void ioapic_device_reset(struct device *device)
{
    ioapic_reset(&((struct ioapic_device *)device)->chip);
}

static void ioapic_device_state(struct device *device, struct codec *c)
{
    ioapic_state(&((struct ioapic_device *)device)->chip, c);
}

static const struct device_ops ioapic_ops = {
    .name = "ioapic",
    .version = 1,
    .io = ioapic_io,
    .reset = ioapic_device_reset,
    .state = ioapic_device_state,
};

int irq_wiring_init(struct irq_wiring *wiring, struct vm *vm, struct apic_bus *apics)
{
    wiring->vm = vm;
    wiring->apics = apics;
    wiring->pic.device.ops = &pic_ops;
    wiring->ioapic.device.ops = &ioapic_ops;
    i8259_reset(&wiring->pic.chip);
    ioapic_init(&wiring->ioapic.chip, IOAPIC_ID, &env, wiring);
    vm_add_device(vm, &wiring->pic.device);
    vm_add_device(vm, &wiring->ioapic.device);

    int err = bus_add(&vm->pio, PIC_MASTER_PORT, 2, &wiring->pic.device, REGION_MASTER);

    if (!err)
        err = bus_add(&vm->pio, PIC_SLAVE_PORT, 2, &wiring->pic.device, REGION_SLAVE);
    if (!err)
        err = bus_add(&vm->pio, ELCR_PORT, 2, &wiring->pic.device, REGION_ELCR);
    if (!err)
        err = bus_add(&vm->mmio, IOAPIC_BASE, IOAPIC_MMIO_SIZE, &wiring->ioapic.device, 0);
    return err;
}

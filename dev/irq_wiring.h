/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chips behind irq.h: the 8259 pair and the I/O APIC, and their wires to the local APICs. For the platform and
 * apic_bus; devices use irq.h.
 *
 * The VM's device_lock guards everything but `extint`, a copy of the 8259's output pin that the boot vcpu reads without
 * the lock.
 */
#pragma once

#include "hv/bus.h"
#include "dev/i8259.h"
#include "dev/ioapic.h"

struct apic_bus;
struct vm;

struct pic_device {
    struct device device;
    struct i8259 chip;
};

struct ioapic_device {
    struct device device;
    struct ioapic chip;
};

struct irq_wiring {
    struct vm *vm;
    struct apic_bus *apics;
    struct pic_device pic;
    struct ioapic_device ioapic;
    bool extint; /* the 8259 requests an interrupt of the boot vcpu; written with device_lock, read without */
};

/* Create the chips and add their registers to the bus. Returns 0 or bus_add's error. */
int irq_wiring_init(struct irq_wiring *wiring, struct vm *vm, struct apic_bus *apics);

/* Does the 8259 request an interrupt of the boot vcpu? Any CPU. */
bool irq_extint(struct vm *vm);

/* The vcpu takes the 8259's interrupt. Returns its vector, or -1 if the request has gone. Takes device_lock. */
int irq_extint_ack(struct vm *vm);

/* A local APIC has ended a level-triggered interrupt. With device_lock held. */
void irq_eoi(struct vm *vm, u8 vector);

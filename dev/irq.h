/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM's interrupt wiring, as its devices see it. Lines are numbered as in ACPI (global system interrupts): 0 to 15 are
 * the ISA lines, wired to the 8259 pair and to the I/O APIC (line 0, the 8254, on pin 2); 16 to 19 are the PCI pins A
 * to D: INTA of slot n is line 16 + n % 4. They are wired to the I/O APIC, and to the 8259 pair in the places of ISA
 * lines that nothing else uses, as the firmware of a PC routes them for kernels without an I/O APIC.
 *
 * Called with the VM's device_lock held, on any CPU.
 */
#pragma once

#include "dev/platform_map.h"
#include "host/types.h"

struct vm;

#define IRQ_PCI PCI_GSI
#define IRQ_PCI_PINS 4

/* The line of the 8259 pair at which PCI pin 0 to 3 (A to D) arrives; a slot's Interrupt Line register names it. */
static inline u8 irq_pci_isa(unsigned pin)
{
    static const u8 isa[IRQ_PCI_PINS] = { PCI_ISA_LINES };

    return isa[pin];
}

/* Set the level of a line. Edge-triggered lines: raise, then lower. */
void irq_line(struct vm *vm, unsigned line, bool level);

/* Does the last edge of a line still wait for a processor? Then a further edge would be lost in it. */
bool irq_waits(struct vm *vm, unsigned line);

/* A message-signalled interrupt: a device writes `data` to `address` (SDM 3A "Message Signalled Interrupts"). A write
 * to another address than FEExxxxxh is dropped. */
void irq_message(struct vm *vm, u64 address, u32 data);

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/guests/kit/pic.h"

#include "tests/guests/kit/cpu.h"

#define PIC_MASTER 0x20
#define PIC_SLAVE 0xA0
#define PIC_EOI 0x20
#define IOAPIC ((volatile u32 *)0xFEC00000)

static void pic_init_chip(u16 port, u8 vector, u8 cascade)
{
    outb(port, 0x11);
    outb(port + 1, vector);
    outb(port + 1, cascade);
    outb(port + 1, 1);
    outb(port + 1, 0xFF);
}

void pic_init(void)
{
    pic_init_chip(PIC_MASTER, PIC_VECTOR, 4);
    pic_init_chip(PIC_SLAVE, PIC_VECTOR + 8, 2);
}

void pic_unmask(unsigned line)
{
    u16 mask = (u16) ~(1U << line | (line >= 8 ? 4 : 0));

    outb(PIC_MASTER + 1, (u8)mask);
    outb(PIC_SLAVE + 1, mask >> 8);
}

void pic_mask_all(void)
{
    outb(PIC_MASTER + 1, 0xFF);
    outb(PIC_SLAVE + 1, 0xFF);
}

void pic_eoi(unsigned line)
{
    if (line >= 8)
        outb(PIC_SLAVE, PIC_EOI);
    outb(PIC_MASTER, PIC_EOI);
}

void pin_set(unsigned pin, u8 vector, u32 flags)
{
    IOAPIC[0] = 0x11 + 2 * pin;
    IOAPIC[4] = 0; /* to APIC id 0 */
    IOAPIC[0] = 0x10 + 2 * pin;
    IOAPIC[4] = flags | vector;
}

u32 pin_get(unsigned pin)
{
    IOAPIC[0] = 0x10 + 2 * pin;
    return IOAPIC[4];
}

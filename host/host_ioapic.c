/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/host_ioapic.h"

#include "host/bits.h"
#include "host/host_map.h"

#define IOAPIC_BASE 0xFEC00000
#define IOREGSEL 0x00 /* which register the window shows */
#define IOWIN 0x10
#define IOAPICVER 1
#define VER_MAX_ENTRY BITS(23, 16)
#define IOREDTBL(pin) (0x10 + 2 * (pin)) /* two registers a pin */
#define REDIR_LOW BIT(13)
#define REDIR_LEVEL BIT(15)
#define REDIR_MASKED BIT(16)
#define ISA_PINS 16 /* what PCI drives here, it drives by an inverting router */

static volatile u32 *registers;
static unsigned nr_pins;

static u32 ioapic_read(u32 reg)
{
    registers[IOREGSEL / 4] = reg;
    return registers[IOWIN / 4];
}

static void ioapic_write(u32 reg, u32 value)
{
    registers[IOREGSEL / 4] = reg;
    registers[IOWIN / 4] = value;
}

unsigned host_ioapic_init(void)
{
    if (registers)
        return nr_pins;
    registers = host_map_device(IOAPIC_BASE, PAGE_SIZE);
    if (!registers)
        return 0;

    u32 version = ioapic_read(IOAPICVER);

    nr_pins = version == ~0U ? 0 : (unsigned)field_get(VER_MAX_ENTRY, version) + 1;
    for (unsigned pin = 0; pin < nr_pins; pin++)
        ioapic_write(IOREDTBL(pin), REDIR_MASKED);
    return nr_pins;
}

bool host_ioapic_route(unsigned pin, u8 vector, u32 apic_id)
{
    if (pin >= nr_pins)
        return false;
    ioapic_write(IOREDTBL(pin) + 1, apic_id << 24);
    ioapic_write(IOREDTBL(pin), vector | REDIR_LEVEL | (pin < ISA_PINS ? 0 : REDIR_LOW));
    return true;
}

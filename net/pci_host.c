/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scan finds the buses behind bridges by the numbers that firmware gave to them; it assigns nothing anew. It turns
 * INTx of every function off: uplink.c says why.
 */
#include "net/pci_host.h"

#include "host/asm.h"
#include "host/bits.h"

#define CONFIG_ADDRESS 0xCF8
#define CONFIG_DATA 0xCFC

/* The configuration header (PCI Local Bus 3.0, 6.1), by 32-bit register. */
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define COMMAND_MEMORY BIT(1)
#define COMMAND_MASTER BIT(2)
#define COMMAND_INTX_OFF BIT(10)
#define STATUS_CAPABILITIES BIT(20)
#define PCI_CACHE_LINE 0x0C
#define HEADER_TYPE BITS(22, 16)
#define HEADER_MULTI BIT(23)
#define PCI_BAR(n) (0x10 + 4 * (n))
#define BAR_IO BIT(0)
#define BAR_64 BIT(2)
#define PCI_BUSES 0x18 /* of a bridge */
#define SECONDARY_BUS BITS(15, 8)
#define PCI_CAPABILITIES 0x34
#define PCI_INTERRUPT 0x3C

#define NR_BARS 6
#define MAX_DEPTH 4 /* bridges behind bridges */

static u32 address_of(const struct pci_host_function *f, u8 offset)
{
    return (u32)BIT(31) | (u32)f->bus << 16 | (u32)f->slot << 11 | (u32)f->function << 8 | (offset & 0xFC);
}

u32 pci_read(const struct pci_host_function *f, u8 offset)
{
    outl(CONFIG_ADDRESS, address_of(f, offset));
    return inl(CONFIG_DATA);
}

void pci_write(const struct pci_host_function *f, u8 offset, u32 value)
{
    outl(CONFIG_ADDRESS, address_of(f, offset));
    outl(CONFIG_DATA, value);
}

/* The upper half of the command register is status, whose bits are cleared by writing 1. */
static void command_change(const struct pci_host_function *f, u32 clear, u32 set)
{
    pci_write(f, PCI_COMMAND, ((pci_read(f, PCI_COMMAND) & 0xFFFF) & ~clear) | set);
}

static void scan_bus(u8 bus, unsigned depth, void (*visit)(const struct pci_host_function *f));

static void function_found(struct pci_host_function *f, u32 id, unsigned depth,
                           void (*visit)(const struct pci_host_function *f))
{
    u32 type = (u32)field_get(HEADER_TYPE, pci_read(f, PCI_CACHE_LINE));

    f->vendor = (u16)id;
    f->device = (u16)(id >> 16);
    f->line = (u8)pci_read(f, PCI_INTERRUPT);
    command_change(f, 0, COMMAND_INTX_OFF);
    if (type == 1 && depth < MAX_DEPTH)
        scan_bus((u8)field_get(SECONDARY_BUS, pci_read(f, PCI_BUSES)), depth + 1, visit);
    if (type == 0 && visit)
        visit(f);
}

static void scan_bus(u8 bus, unsigned depth, void (*visit)(const struct pci_host_function *f))
{
    for (u8 slot = 0; slot < 32; slot++) {
        bool multi = true;

        for (u8 function = 0; function < 8 && multi; function++) {
            struct pci_host_function f = { .bus = bus, .slot = slot, .function = function };
            u32 id = pci_read(&f, PCI_ID);

            if (function == 0)
                multi = id != ~0U && (pci_read(&f, PCI_CACHE_LINE) & HEADER_MULTI);
            if (id != ~0U)
                function_found(&f, id, depth, visit);
        }
    }
}

void pci_scan(void (*visit)(const struct pci_host_function *f))
{
    scan_bus(0, 0, visit);
}

void pci_enable(const struct pci_host_function *f, bool intx)
{
    command_change(f, intx ? COMMAND_INTX_OFF : 0, COMMAND_MEMORY | COMMAND_MASTER | (intx ? 0 : COMMAND_INTX_OFF));
}

/* Write ones to all bits: the bits that stay 0 tell the size. */
static u32 bar_probe(const struct pci_host_function *f, unsigned bar, u32 *value)
{
    *value = pci_read(f, PCI_BAR(bar));
    pci_write(f, PCI_BAR(bar), ~0U);

    u32 mask = pci_read(f, PCI_BAR(bar));

    pci_write(f, PCI_BAR(bar), *value);
    return mask;
}

hpa_t pci_bar(const struct pci_host_function *f, unsigned bar, u64 *size)
{
    u32 command = pci_read(f, PCI_COMMAND) & 0xFFFF, low, high = 0, mask_high = ~0U;

    if (bar >= NR_BARS)
        return 0;
    pci_write(f, PCI_COMMAND, command & ~(u32)COMMAND_MEMORY);

    u32 mask = bar_probe(f, bar, &low);

    if ((low & BAR_64) && !(low & BAR_IO) && bar + 1 < NR_BARS)
        mask_high = bar_probe(f, bar + 1, &high);
    pci_write(f, PCI_COMMAND, command);
    if ((low & BAR_IO) || mask == 0)
        return 0;
    *size = ~((u64)mask_high << 32 | (mask & ~0xFU)) + 1;
    return (u64)high << 32 | (low & ~0xFU);
}

u8 pci_capability(const struct pci_host_function *f, u8 id, u8 after)
{
    if (!(pci_read(f, PCI_COMMAND) & STATUS_CAPABILITIES))
        return 0;

    u8 at = after ? (u8)(pci_read(f, after) >> 8) : (u8)pci_read(f, PCI_CAPABILITIES);

    /* A list can't be longer than the configuration space. */
    for (unsigned n = 0; n < 64 && (at &= 0xFC) != 0; n++) {
        u32 header = pci_read(f, at);

        if ((u8)header == id)
            return at;
        at = (u8)(header >> 8);
    }
    return 0;
}

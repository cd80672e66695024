/* SPDX-License-Identifier: BSD-2-Clause */
/* MSI-X (PCI Local Bus 3.0, 6.8.2). */
#include "dev/pci_msix.h"

#include "dev/codec.h"
#include "dev/irq.h"
#include "dev/pci.h"
#include "host/bits.h"
#include "host/panic.h"

#define CAPABILITY_SIZE 12
#define TABLE 4 /* offsets in the capability */
#define PENDING 8
#define ENTRY_SIZE 16
#define PENDING_OFFSET 0x800 /* in the BAR */
#define MSIX_BAR_SIZE 0x1000

_Static_assert(PCI_MSIX_MAX *ENTRY_SIZE <= PENDING_OFFSET && PCI_MSIX_MAX <= 64,
               "the table fits, and one word of bits");

static u32 control(const struct pci_function *function)
{
    const struct pci_msix *msix = &function->msix;

    return msix->capability ? pci_config_get(function, msix->capability + MSIX_CONTROL, 2) : 0;
}

bool pci_msix_enabled(const struct pci_function *function)
{
    return control(function) & MSIX_CONTROL_ENABLE;
}

void pci_add_msix(struct pci_function *function, unsigned bar, unsigned vectors)
{
    unsigned at = pci_add_capability(function, PCI_CAP_MSIX, CAPABILITY_SIZE);

    assert(vectors > 0 && vectors <= PCI_MSIX_MAX);
    pci_add_bar(function, bar, MSIX_BAR_SIZE);
    function->msix = (struct pci_msix){ .capability = (u8)at, .bar = (u8)bar, .vectors = (u16)vectors };
    pci_config_set(function, at + MSIX_CONTROL, 2, vectors - 1);
    pci_config_set(function, at + TABLE, 4, bar);
    pci_config_set(function, at + PENDING, 4, PENDING_OFFSET | bar);
    function->writable[at + MSIX_CONTROL + 1] = (MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK) >> 8;
    pci_msix_reset(function);
}

void pci_msix_reset(struct pci_function *function)
{
    struct pci_msix *msix = &function->msix;

    msix->pending = 0;
    for (unsigned i = 0; i < PCI_MSIX_MAX; i++)
        msix->entry[i] = (struct msix_entry){ .control = MSIX_ENTRY_MASKED };
    if (msix->capability)
        pci_config_set(function, msix->capability + MSIX_CONTROL, 2, msix->vectors - 1U);
}

/* A message is a write to memory, so the function must also be a bus master. */
static bool may_send(const struct pci_function *function, unsigned vector)
{
    return !(control(function) & MSIX_CONTROL_MASK) && pci_is_master(function) &&
           !(function->msix.entry[vector].control & MSIX_ENTRY_MASKED);
}

void pci_msix_flush(struct pci_function *function)
{
    struct pci_msix *msix = &function->msix;

    if (!msix->pending || !pci_msix_enabled(function))
        return;
    for (unsigned i = 0; i < msix->vectors; i++) {
        if (!(msix->pending & BIT(i)) || !may_send(function, i))
            continue;
        msix->pending &= ~BIT(i);
        irq_message(function->bus->vm, msix->entry[i].address, msix->entry[i].data);
    }
}

void pci_msix_send(struct pci_function *function, unsigned vector)
{
    if (vector >= function->msix.vectors)
        return;
    function->msix.pending |= BIT(vector);
    pci_msix_flush(function);
}

/* Read a dword of the BAR. Dwords outside of the table and the pending bits read as zero. */
static u32 dword_read(const struct pci_msix *msix, u64 offset)
{
    const struct msix_entry *entry = &msix->entry[offset / ENTRY_SIZE % PCI_MSIX_MAX];

    if (offset >= PENDING_OFFSET)
        return offset < PENDING_OFFSET + 8 ? (u32)(msix->pending >> (8 * (offset - PENDING_OFFSET))) : 0;
    if (offset / ENTRY_SIZE >= msix->vectors)
        return 0;
    switch (offset % ENTRY_SIZE) {
    case 0: return (u32)entry->address;
    case 4: return (u32)(entry->address >> 32);
    case 8: return entry->data;
    default: return entry->control;
    }
}

static void dword_write(struct pci_msix *msix, u64 offset, u32 value)
{
    struct msix_entry *entry = &msix->entry[offset / ENTRY_SIZE % PCI_MSIX_MAX];

    if (offset / ENTRY_SIZE >= msix->vectors)
        return; /* such as the pending bits, which only we write */
    switch (offset % ENTRY_SIZE) {
    case 0: entry->address = field_set(BITS(31, 0), entry->address, value & ~3U); break;
    case 4: entry->address = field_set(BITS(63, 32), entry->address, value); break;
    case 8: entry->data = value; break;
    default: entry->control = value & MSIX_ENTRY_MASKED; break;
    }
}

/* Serves aligned dwords and qwords. Other accesses are undefined: here they read as ones, and writes are ignored. */
void pci_msix_io(struct pci_function *function, struct io *io)
{
    if (io->size < 4 || !is_aligned(io->off, io->size))
        return;
    if (!io->write) {
        io->val = dword_read(&function->msix, io->off);
        if (io->size == 8)
            io->val |= (u64)dword_read(&function->msix, io->off + 4) << 32;
        return;
    }
    dword_write(&function->msix, io->off, (u32)io->val);
    if (io->size == 8)
        dword_write(&function->msix, io->off + 4, (u32)(io->val >> 32));
    pci_msix_flush(function);
}

void pci_msix_state(struct pci_function *function, struct codec *c)
{
    struct pci_msix *msix = &function->msix;
    u16 vectors = msix->vectors;

    codec_u16(c, &vectors);
    codec_judge(c, vectors == msix->vectors, "another number of MSI-X vectors");
    codec_u64(c, &msix->pending);
    for (unsigned i = 0; i < msix->vectors; i++) {
        struct msix_entry *entry = &msix->entry[i];

        codec_u64(c, &entry->address);
        codec_u32(c, &entry->data);
        codec_u32(c, &entry->control);
        if (c->restoring) {
            entry->address &= ~3ULL;
            entry->control &= MSIX_ENTRY_MASKED;
        }
    }
    if (c->restoring)
        msix->pending &= BIT(msix->vectors) - 1;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's own PCI bus by mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2): enough to find and start a network card.
 * Boot. */
#pragma once

#include "host/types.h"

struct pci_host_function {
    u8 bus, slot, function;
    u16 vendor, device;
    u8 line; /* the interrupt line that the firmware noted, 255: none */
};

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX 0x11

/* Visit every function behind the first host bridge. Their INTx is off when this returns. visit() may be NULL. */
void pci_scan(void (*visit)(const struct pci_host_function *f));

u32 pci_read(const struct pci_host_function *f, u8 offset); /* aligned, 32 bits */
void pci_write(const struct pci_host_function *f, u8 offset, u32 value);

/* Let the function decode memory and be a bus master; INTx on or off. */
void pci_enable(const struct pci_host_function *f, bool intx);

/* Physical base and size of a memory BAR; 0 for none or an I/O BAR. Decoding is off for a moment. */
hpa_t pci_bar(const struct pci_host_function *f, unsigned bar, u64 *size);

/* Offset of the next capability `id` after offset `after` (0: the first), 0 if there is none. */
u8 pci_capability(const struct pci_host_function *f, u8 id, u8 after);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The MSI-X part of a PCI function; for pci.c only. Layout of its BAR: the table from 0, pending bits from 800h. */
#pragma once

#include "host/types.h"

struct codec;
struct io;
struct pci_function;

/* Reset: all vectors are masked, and none is pending. And an access to the BAR. */
void pci_msix_reset(struct pci_function *function);
void pci_msix_io(struct pci_function *function, struct io *io);

/* Something that masks messages may have changed: send the pending messages that may be sent now. */
void pci_msix_flush(struct pci_function *function);

/* Save or restore the table and the pending bits (dev/codec.h). */
void pci_msix_state(struct pci_function *function, struct codec *c);

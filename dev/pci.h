/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's PCI bus: configuration mechanism #1, a host bridge in slot 0, and up to 31 further devices of one function
 * each (PCI Local Bus 3.0). Functions have 32-bit memory BARs, capabilities, INTA and MSI-X.
 *
 * A function's configuration space is two arrays: its contents, and the bits that a guest may write. BARs get their
 * place when the function is added, as firmware would do it; the guest may move them. A BAR is on the VM's MMIO bus
 * only while the memory-enable bit is set and no other region is there. All calls are made with the VM's device_lock
 * held, or before the VM runs.
 */
#pragma once

#include "hv/bus.h"

struct codec;
struct pci_function;
struct vm;

#define PCI_SLOTS 32
#define PCI_BARS 6
#define PCI_MSIX_MAX 8 /* vectors a function */

/* Where BARs are put. */
#define PCI_WINDOW_BASE 0xE0000000U
#define PCI_WINDOW_END 0xFEC00000U

/* Offsets in configuration space. */
enum pci_register {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, /* programming interface, subclass, class */
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2C,
    PCI_SUBSYSTEM_ID = 0x2E,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3C,
    PCI_INTERRUPT_PIN = 0x3D,
    PCI_FIRST_CAPABILITY = 0x40,
};

#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_INTERRUPT 0x0008
#define PCI_STATUS_CAPABILITIES 0x0010

#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX 0x11
#define MSIX_CONTROL 2 /* offset in the capability */
#define MSIX_CONTROL_MASK 0x4000
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_ENTRY_MASKED 1

/* The calls to the device behind a function. */
struct pci_ops {
    const char *name;
    u16 version; /* of `state` */
    void (*bar_io)(struct pci_function *function, unsigned bar, struct io *io);
    /* Optional: called before a read of configuration space at an offset, and after a write there. */
    void (*config_access)(struct pci_function *function, unsigned offset, unsigned size, bool write);
    void (*reset)(struct pci_function *function);
    /* Optional: save or restore what the device has beyond its function. */
    void (*state)(struct pci_function *function, struct codec *c);
};

struct pci_bar {
    u32 size; /* a power of two; 0: there is no such BAR */
    u32 base; /* where it is on the bus */
    bool mapped;
};

struct msix_entry {
    u64 address;
    u32 data, control;
};

struct pci_msix {
    u8 capability; /* offset; 0: none */
    u8 bar;        /* table and pending bits */
    u16 vectors;
    struct msix_entry entry[PCI_MSIX_MAX];
    u64 pending; /* a bit a vector */
};

/* Embedded first in a device's own struct. */
struct pci_function {
    struct device device; /* on the MMIO bus: region n is BAR n */
    const struct pci_ops *ops;
    struct pci_bus *bus;
    unsigned slot;
    u8 config[256], writable[256];
    u8 last_capability, next_capability; /* offsets of the last one that was added, and of the free space */
    struct pci_bar bar[PCI_BARS];
    struct pci_msix msix;
    bool intx; /* the device wants its interrupt pin asserted */
};

struct pci_bus {
    struct device device;
    struct vm *vm;
    u32 address;     /* the register at CF8h */
    u32 next_bar;    /* free space for BARs begins here */
    u32 asserted[4]; /* slots that assert each line, a bit a slot */
    struct pci_function *slot[PCI_SLOTS];
    struct pci_function bridge;
};

/* Create the bus with its host bridge and add the configuration ports to the VM's. Returns 0 or bus_add's error. */
int pci_bus_init(struct pci_bus *bus, struct vm *vm);

/* Begin to describe a function, with its identity and class (24 bits). Then its BARs and capabilities are added, and at
 * the end pci_bus_add plugs it in. */
void pci_function_init(struct pci_function *function, const struct pci_ops *ops, u16 vendor, u16 device,
                       u32 class_code);

/* Give a function memory BAR n of `size` bytes, a power of two from 4 KiB on. */
void pci_add_bar(struct pci_function *function, unsigned n, u32 size);

/* Append a capability of `size` bytes, the two of its head included. Returns its offset. The caller fills the bytes
 * behind the head. */
unsigned pci_add_capability(struct pci_function *function, u8 id, unsigned size);

/* Give a function MSI-X with `vectors` vectors. BAR `bar` holds the table and the pending bits, and nothing else. */
void pci_add_msix(struct pci_function *function, unsigned bar, unsigned vectors);

/* Plug a function into a slot. Its BARs get their addresses. */
void pci_bus_add(struct pci_bus *bus, unsigned slot, struct pci_function *function);

/* Set the level of the function's interrupt pin. */
void pci_intx(struct pci_function *function, bool level);

/* Is MSI-X in use, so that there is no INTx? */
bool pci_msix_enabled(const struct pci_function *function);

/* Send the message of a vector, or keep it pending while it may not be sent. A vector that the function does not have
 * is ignored. */
void pci_msix_send(struct pci_function *function, unsigned vector);

/* May the function access memory? */
bool pci_is_master(const struct pci_function *function);

/* Little-endian fields of configuration space. */
u32 pci_config_get(const struct pci_function *function, unsigned offset, unsigned size);
void pci_config_set(struct pci_function *function, unsigned offset, unsigned size, u32 value);

/* SPDX-License-Identifier: BSD-2-Clause */
/* The bus and configuration space; MSI-X is in pci_msix.c. */
#include "dev/pci.h"

#include <string.h>

#include "dev/codec.h"
#include "dev/irq.h"
#include "dev/pci_msix.h"
#include "host/bits.h"
#include "host/panic.h"
#include "hv/vm.h"

/* The byte at CF9h among them is the chip set's reset register, a region of its own. */
#define CONFIG_PORTS 0xCF8
#define CONFIG_PORTS_SIZE 8
#define CONFIG_ADDRESS 0 /* offsets from CONFIG_PORTS */
#define CONFIG_DATA 4
#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_EXTENDED BITS(27, 24) /* AMD: of a register beyond 255; our functions have none */
#define ADDRESS_FIELDS (ADDRESS_ENABLE | BITS(27, 2))

#define VERSION 1

u32 pci_config_get(const struct pci_function *function, unsigned offset, unsigned size)
{
    u32 value = 0;

    memcpy(&value, &function->config[offset], size);
    return value;
}

void pci_config_set(struct pci_function *function, unsigned offset, unsigned size, u32 value)
{
    memcpy(&function->config[offset], &value, size);
}

static u32 command(const struct pci_function *function)
{
    return pci_config_get(function, PCI_COMMAND, 2);
}

bool pci_is_master(const struct pci_function *function)
{
    return command(function) & PCI_COMMAND_MASTER;
}

/* --- Interrupt pins ---------------------------------------------------------------------------------------- */

/* Several slots share a line: it is high while any of them wants it. */
static void intx_update(struct pci_function *function)
{
    struct pci_bus *bus = function->bus;
    u32 *asserted = &bus->asserted[function->slot % IRQ_PCI_PINS], before = *asserted;
    bool level = function->intx && !pci_msix_enabled(function) && !(command(function) & PCI_COMMAND_INTX_DISABLE);

    /* The status bit tells whether the device wants an interrupt, even if it may not send one. */
    function->config[PCI_STATUS] &= (u8)~PCI_STATUS_INTERRUPT;
    function->config[PCI_STATUS] |= function->intx ? PCI_STATUS_INTERRUPT : 0;
    *asserted = (u32)((before & ~BIT(function->slot)) | (level ? BIT(function->slot) : 0));
    if (!before != !*asserted)
        irq_line(bus->vm, IRQ_PCI + function->slot % IRQ_PCI_PINS, *asserted != 0);
}

void pci_intx(struct pci_function *function, bool level)
{
    function->intx = level;
    intx_update(function);
}

/* --- Base addresses ---------------------------------------------------------------------------------------- */

/* Put the BARs on the MMIO bus at the addresses that the registers hold now. */
static void bars_update(struct pci_function *function)
{
    struct bus *mmio = &function->bus->vm->mmio;
    bool enabled = command(function) & PCI_COMMAND_MEMORY;

    for (unsigned i = 0; i < PCI_BARS; i++) {
        struct pci_bar *bar = &function->bar[i];
        u32 base = pci_config_get(function, PCI_BAR0 + 4 * i, 4) & ~0xFU;

        if (bar->size == 0 || (bar->mapped && enabled && bar->base == base))
            continue;
        if (bar->mapped)
            bus_remove(mmio, &function->device, i);
        bar->base = base;
        /* Where another region already is, such as the local APIC's, the BAR is not seen; the guest harms only itself.
         */
        bar->mapped = enabled && bus_add(mmio, base, bar->size, &function->device, i) == 0;
    }
}

static void bar_io(struct device *device, unsigned region, struct io *io)
{
    struct pci_function *function = (struct pci_function *)device;

    if (function->msix.capability && region == function->msix.bar)
        pci_msix_io(function, io);
    else
        function->ops->bar_io(function, region, io);
}

/* --- Functions --------------------------------------------------------------------------------------------- */

/* Note, as firmware does, the 8259 line of a slot's INTA, for kernels that learn it neither from ACPI nor from a table.
 */
static void interrupt_line_assign(struct pci_function *function)
{
    if (pci_config_get(function, PCI_INTERRUPT_PIN, 1))
        pci_config_set(function, PCI_INTERRUPT_LINE, 1, irq_pci_isa(function->slot % IRQ_PCI_PINS));
}

/* Reset a function. BARs keep their addresses, as if the firmware had assigned them again. */
static void function_reset(struct device *device)
{
    struct pci_function *function = (struct pci_function *)device;

    pci_config_set(function, PCI_COMMAND, 2, 0);
    interrupt_line_assign(function);
    function->intx = false;
    pci_msix_reset(function);
    if (function->ops->reset)
        function->ops->reset(function);
    bars_update(function);
    intx_update(function);
}

/* Only bits that a guest can write may differ from ours: the others describe the device, and must be the same. */
static bool config_valid(const struct pci_function *function, const u8 *config)
{
    for (unsigned i = 0; i < sizeof(function->config); i++)
        if (i != PCI_STATUS && (config[i] ^ function->config[i]) & (u8)~function->writable[i])
            return false;
    return true;
}

static void function_state(struct pci_function *function, struct codec *c)
{
    u8 config[sizeof(function->config)];

    memcpy(config, function->config, sizeof(config));
    codec_version(c, VERSION);
    codec_bytes(c, config, sizeof(config));
    codec_bool(c, &function->intx);
    if (codec_judge(c, config_valid(function, config), "configuration space of another function"))
        memcpy(function->config, config, sizeof(config));
    pci_msix_state(function, c);
    codec_version(c, function->ops->version);
    if (function->ops->state)
        function->ops->state(function, c);
    if (c->restoring) {
        bars_update(function);
        intx_update(function);
    }
}

/* For the MMIO bus: a function is no device of the VM's, and its state is a part of the PCI bus's. */
static const struct device_ops function_ops = {
    .name = "pci function",
    .version = VERSION,
    .io = bar_io,
    .reset = function_reset,
};

void pci_function_init(struct pci_function *function, const struct pci_ops *ops, u16 vendor, u16 device, u32 class_code)
{
    *function = (struct pci_function){ .device.ops = &function_ops, .ops = ops };
    function->next_capability = PCI_FIRST_CAPABILITY;
    pci_config_set(function, PCI_VENDOR_ID, 2, vendor);
    pci_config_set(function, PCI_DEVICE_ID, 2, device);
    pci_config_set(function, PCI_CLASS, 3, class_code);
    memset(&function->writable[PCI_INTERRUPT_LINE], 0xFF, 1);
    function->writable[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    function->writable[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
}

void pci_add_bar(struct pci_function *function, unsigned n, u32 size)
{
    u32 writable = ~(size - 1);

    assert(n < PCI_BARS && size >= PAGE_SIZE && is_aligned(size, PAGE_SIZE) && !(size & (size - 1)));
    function->bar[n].size = size;
    memcpy(&function->writable[PCI_BAR0 + 4 * n], &writable, 4);
}

unsigned pci_add_capability(struct pci_function *function, u8 id, unsigned size)
{
    unsigned at = function->next_capability;

    assert(at + size <= sizeof(function->config));
    function->config[at] = id;
    if (function->last_capability)
        function->config[function->last_capability + 1] = (u8)at;
    else
        function->config[PCI_CAPABILITIES] = (u8)at;
    function->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    function->last_capability = (u8)at;
    function->next_capability = (u8)align_up(at + size, 4);
    return at;
}

void pci_bus_add(struct pci_bus *bus, unsigned slot, struct pci_function *function)
{
    assert(slot < PCI_SLOTS && !bus->slot[slot]);
    function->bus = bus;
    function->slot = slot;
    bus->slot[slot] = function;
    for (unsigned i = 0; i < PCI_BARS; i++) {
        u32 size = function->bar[i].size;

        if (size == 0)
            continue;
        u64 base = align_up(bus->next_bar, size);

        assert(base + size <= PCI_WINDOW_END);
        pci_config_set(function, PCI_BAR0 + 4 * i, 4, (u32)base);
        bus->next_bar = (u32)base + size;
    }
    if (slot != 0)
        pci_config_set(function, PCI_INTERRUPT_PIN, 1, 1); /* INTA */
    interrupt_line_assign(function);
}

/* --- Configuration mechanism #1 ---------------------------------------------------------------------------- */

/* The function that is addressed: bus 0, function 0 of a slot that is taken. NULL: there is none, and reads give ones.
 */
static struct pci_function *addressed(const struct pci_bus *bus)
{
    u32 address = bus->address;

    if (!(address & ADDRESS_ENABLE) || (address & ADDRESS_EXTENDED) || field_get(BITS(23, 16), address) ||
        field_get(BITS(10, 8), address))
        return NULL;
    return bus->slot[field_get(BITS(15, 11), address)];
}

static void config_write(struct pci_function *function, unsigned offset, unsigned size, u64 value)
{
    for (unsigned i = 0; i < size; i++) {
        u8 mask = function->writable[offset + i];

        function->config[offset + i] = (u8)((function->config[offset + i] & ~mask) | (value >> (8 * i) & mask));
    }
    bars_update(function);
    intx_update(function); /* MSI-X silences the pin, too */
    pci_msix_flush(function);
    if (function->ops->config_access)
        function->ops->config_access(function, offset, size, true);
}

static void data_io(struct pci_bus *bus, struct io *io)
{
    struct pci_function *function = addressed(bus);
    unsigned offset = (bus->address & 0xFC) + (unsigned)(io->off - CONFIG_DATA);

    if (!function)
        return;
    if (io->write) {
        config_write(function, offset, io->size, io->val);
        return;
    }
    if (function->ops->config_access)
        function->ops->config_access(function, offset, io->size, false);
    io->val = pci_config_get(function, offset, io->size);
}

/* Only a dword reaches the address register. */
static void bus_io(struct device *device, unsigned region, struct io *io)
{
    struct pci_bus *bus = (struct pci_bus *)device;

    (void)region;
    if (io->off >= CONFIG_DATA)
        data_io(bus, io);
    else if (io->off != CONFIG_ADDRESS || io->size != 4)
        return;
    else if (io->write)
        bus->address = (u32)(io->val & ADDRESS_FIELDS);
    else
        io->val = bus->address;
}

static void bus_reset(struct device *device)
{
    struct pci_bus *bus = (struct pci_bus *)device;

    bus->address = 0;
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
        if (bus->slot[slot])
            function_reset(&bus->slot[slot]->device);
}

/* The bus saves its functions, each under the number of its slot. */
static void bus_state(struct device *device, struct codec *c)
{
    struct pci_bus *bus = (struct pci_bus *)device;

    codec_version(c, VERSION);
    codec_u32(c, &bus->address);
    if (c->restoring)
        bus->address &= ADDRESS_FIELDS;
    for (unsigned slot = 0; slot < PCI_SLOTS && !c->err; slot++) {
        bool there = bus->slot[slot] != NULL;

        codec_bool(c, &there);
        codec_judge(c, there == (bus->slot[slot] != NULL), "another set of slots is in use");
        if (bus->slot[slot])
            function_state(bus->slot[slot], c);
    }
}

static const struct device_ops bus_ops = {
    .name = "pci",
    .version = VERSION,
    .io = bus_io,
    .reset = bus_reset,
    .state = bus_state,
};

/* An i440FX by name: every guest knows it, and it needs no driver. */
#define BRIDGE_VENDOR 0x8086
#define BRIDGE_DEVICE 0x1237
#define BRIDGE_CLASS 0x060000

static const struct pci_ops bridge_ops = { .name = "host bridge", .version = 1 };

int pci_bus_init(struct pci_bus *bus, struct vm *vm)
{
    *bus = (struct pci_bus){ .device.ops = &bus_ops, .vm = vm, .next_bar = PCI_WINDOW_BASE };
    pci_function_init(&bus->bridge, &bridge_ops, BRIDGE_VENDOR, BRIDGE_DEVICE, BRIDGE_CLASS);
    pci_bus_add(bus, 0, &bus->bridge);
    vm_add_device(vm, &bus->device);
    return bus_add(&vm->pio, CONFIG_PORTS, CONFIG_PORTS_SIZE, &bus->device, 0);
}

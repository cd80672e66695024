/* SPDX-License-Identifier: BSD-2-Clause */
/* There is one card, the first that a driver takes. This file finds it, and its interrupt arrives here. */
#define LOG_PREFIX "net"

#include "net/uplink.h"

#include "config/config.h"
#include "host/cpu.h"
#include "host/host_ioapic.h"
#include "host/traps.h"
#include "host/bits.h"
#include "host/log.h"
#include "net/pci_host.h"

#define VENDOR_INTEL 0x8086
#define VENDOR_VIRTIO 0x1AF4

/* The 82540EM and its nearest relatives, which differ in nothing that the driver touches. */
static const struct card {
    u16 vendor, device;
    u32 kind; /* enum config_uplink */
    struct uplink *(*probe)(const struct pci_host_function *f);
} cards[] = {
    { VENDOR_INTEL, 0x100E, CONFIG_UPLINK_E1000, e1000_probe },           /* 82540EM: QEMU, Bochs */
    { VENDOR_INTEL, 0x100F, CONFIG_UPLINK_E1000, e1000_probe },           /* 82545EM: VMware, QEMU */
    { VENDOR_VIRTIO, 0x1041, CONFIG_UPLINK_VIRTIO, virtio_uplink_probe }, /* modern virtio-net */
    { VENDOR_VIRTIO, 0x1000, CONFIG_UPLINK_VIRTIO, virtio_uplink_probe }, /* transitional */
};

/*
 * The pins at which PCI interrupts may arrive. Bochs has no firmware table that tells, so we listen to all pins that
 * chipsets use: the PCI pins of the I/O APIC and the ISA lines to which PIIX steers them. All other cards' INTx is off.
 */
static const u8 pins[] = { 5, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23 };

static struct uplink *uplink;
static u32 wanted_kind;

static void uplink_interrupt(void)
{
    if (!uplink || !uplink->silence(uplink))
        return;
    uplink->interrupts++;
    __atomic_store_n(&uplink->poll_wanted, true, __ATOMIC_RELEASE);
    /* We are on the host loop's CPU: this makes it run without an interrupt to itself. */
    __atomic_store_n(&this_cpu()->kicked, true, __ATOMIC_RELEASE);
}

static void visit(const struct pci_host_function *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(cards) && !uplink; i++) {
        const struct card *card = &cards[i];

        if (card->vendor == f->vendor && card->device == f->device &&
            (wanted_kind == CONFIG_UPLINK_AUTO || wanted_kind == card->kind))
            uplink = card->probe(f);
    }
}

struct uplink *uplink_start(u32 wanted)
{
    unsigned nr_pins = host_ioapic_init();

    if (wanted == CONFIG_UPLINK_NONE)
        return NULL;
    wanted_kind = wanted;
    irq_register(IRQ_UPLINK, uplink_interrupt);
    pci_scan(visit);
    if (!uplink) {
        pr_warn("no network card that we know");
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
        if (pins[i] < nr_pins)
            host_ioapic_route(pins[i], IRQ_UPLINK, this_cpu()->apic_id);
    uplink->port.peers = true;
    switch_add(&uplink->port);
    uplink->poll_wanted = true; /* the first poll turns interrupts on */
    return uplink;
}

const u8 *uplink_mac(void)
{
    return uplink ? uplink->mac : NULL;
}

void uplink_delivered(void)
{
    if (++uplink->unflushed >= UPLINK_BATCH)
        uplink_flush();
}

void uplink_flush(void)
{
    if (!uplink || !uplink->unflushed)
        return;
    uplink->flush(uplink);
    uplink->unflushed = 0;
}

bool uplink_poll(void)
{
    if (!uplink || !__atomic_exchange_n(&uplink->poll_wanted, false, __ATOMIC_ACQ_REL))
        return false;
    uplink->polls++;
    if (!uplink->poll(uplink))
        return false;
    uplink->poll_wanted = true; /* the card is silent: nobody else writes it */
    return true;
}

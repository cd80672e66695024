/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APICs of a VM on their bus: each vcpu's chip (lapic.h) behind the register page and the MSRs, and the
 * messages between them.
 *
 * A chip belongs to its vcpu's CPU. Messages from other CPUs wait in its mailbox, where they are written atomically,
 * until the vcpu next looks.
 */
#pragma once

#include "hv/bus.h"
#include "dev/lapic.h"
#include "dev/pv_eoi.h"
#include "host/bits.h"

struct vcpu;
struct vm;

#define APIC_INIT BIT(9)
#define APIC_STARTUP BIT(8) /* the page of the start-up IPI is in bits 7:0 */

/* Messages from other CPUs. */
struct apic_mailbox {
    bool any;      /* something below is set; written last, read first */
    u64 vector[4]; /* edge-triggered fixed interrupts, one bit a vector */
    u64 level[4];  /* level-triggered ones */
    bool nmi;
    u32 start; /* APIC_INIT, then APIC_STARTUP with its page: in one word, so that nobody sees one without the other */
};

struct apic {
    struct lapic lapic;
    struct pv_eoi pv_eoi;
    struct vcpu *vcpu;
    struct apic_mailbox mailbox;
    int ended; /* level-triggered vector that a register write has just ended, for the I/O APIC; -1: none */
};

struct apic_bus {
    struct device device;
    struct vm *vm;
    struct apic *apic; /* one a vcpu */
};

/* Create the chips of all vcpus of vm as their interrupt source, and add their page to the bus. Returns 0 or -errno. */
int apic_bus_init(struct apic_bus *bus, struct vm *vm);
void apic_bus_fini(struct apic_bus *bus);

/* Is what the vcpu's local APIC needs of the guest's memory missing? Returns as guest_mem_ask. While it is, the vcpu's
 * interrupts can't be known. */
int apic_bus_ask(struct vcpu *vcpu);

/* The host TSC has jumped by `ticks` that do not count for the VM: running counts end that much later. No vcpu runs. */
void apic_bus_shift(struct apic_bus *bus, s64 ticks);

/* Put a message from a device into the mailboxes of the chips that it is for. True if there was such a chip. Any CPU.
 */
bool apic_bus_send(struct apic_bus *bus, const struct lapic_ipi *message, bool level);

/* Does the vector of an edge-triggered message already wait at a chip that the message is for? Then a further message
 * would be lost in it. Any CPU. */
bool apic_bus_waits(const struct apic_bus *bus, const struct lapic_ipi *message);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O APIC as a chip (Intel 82093AA data sheet, with the EOI register of version 20h): 24 pins, each with a
 * redirection entry that makes a message to local APICs of its pin.
 *
 * Pure: messages go out by struct ioapic_env. The owner serializes calls. A pin's level means "asserted", whatever the
 * entry's polarity says: devices here know no voltage. An edge on a masked pin is lost, as on the chip.
 */
#pragma once

#include "host/types.h"

struct codec;
struct lapic_ipi;

#define IOAPIC_PINS 24
#define IOAPIC_MMIO_SIZE 0x1000

/* Offsets in the page; registers behind IOAPIC_WINDOW are chosen by IOAPIC_SELECT. */
#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_EOI 0x40
#define IOAPIC_REG_ID 0x00
#define IOAPIC_REG_VERSION 0x01
#define IOAPIC_REG_ARBITRATION 0x02
#define IOAPIC_REG_PIN 0x10 /* two a pin: low half, high half */

/* Redirection entry. */
#define IOAPIC_VECTOR 0xFFULL
#define IOAPIC_DELIVERY 0x700ULL
#define IOAPIC_LOGICAL 0x800ULL
#define IOAPIC_REMOTE_IRR 0x4000ULL /* a level interrupt is on its way or in service */
#define IOAPIC_LEVEL 0x8000ULL
#define IOAPIC_MASKED 0x10000ULL
#define IOAPIC_DESTINATION 0xFF00000000000000ULL

struct ioapic_env {
    /* Send the message; `level`: an EOI is expected back. True if the message reached a local APIC. */
    bool (*send)(void *ctx, const struct lapic_ipi *message, bool level);
};

struct ioapic {
    u8 id, select;
    u64 entry[IOAPIC_PINS];
    u32 lines; /* level of each pin */
    const struct ioapic_env *env;
    void *ctx;
};

/* Power on and reset mask all pins; reset keeps the lines' levels. */
void ioapic_init(struct ioapic *ioapic, u8 id, const struct ioapic_env *env, void *ctx);
void ioapic_reset(struct ioapic *ioapic);

/* The register page: aligned 32-bit accesses; others read 0. */
u32 ioapic_read(struct ioapic *ioapic, u32 offset, unsigned size);
void ioapic_write(struct ioapic *ioapic, u32 offset, unsigned size, u32 value);

/* Set the level of a pin's line: an edge or a level goes out as the pin's entry says. */
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);

/* Returns in *message the message that an edge of the pin would send. False: it would send none, or one that can't wait
 * in a local APIC. */
bool ioapic_edge(const struct ioapic *ioapic, unsigned pin, struct lapic_ipi *message);

/* A local APIC has ended a level-triggered interrupt: a pin of that vector that is still asserted interrupts again. */
void ioapic_eoi(struct ioapic *ioapic, u8 vector);

/* All state as one versioned section. restore: 0, -ENOTSUP, or -EINVAL for a state that cannot be. */
void ioapic_state(struct ioapic *ioapic, struct codec *c);

/*
 * Decode the address and data of a message-signalled interrupt (SDM 3A "Message Signalled Interrupts") into *message
 * and *level. False if the address is not FEExxxxxh.
 */
bool message_decode(u64 address, u32 data, struct lapic_ipi *message, bool *level);

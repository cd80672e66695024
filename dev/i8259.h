/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's pair of interrupt controllers as chips (Intel 8259A data sheet; edge/level register of the 82371 "PIIX4"):
 * master with lines 0 to 7, slave with 8 to 15 on the master's input 2.
 *
 * Pure and without a clock. The owner serializes calls and looks at i8259_intr after each of them. Only the modes of a
 * PC are modelled: cascaded, 8086 mode, not buffered.
 */
#pragma once

#include "host/types.h"

struct codec;

#define I8259_LINES 16
#define I8259_CASCADE 2

/* One chip. */
struct i8259_chip {
    u8 irr, imr, isr; /* requested, masked, in service */
    u8 lines;         /* level of each input */
    u8 elcr;          /* inputs that are level-triggered */
    u8 vector;        /* of input 0; low three bits 0 */
    u8 lowest;        /* input of lowest priority: 7 after reset, moved by rotation */
    u8 init;          /* the initialization word that comes next: 2, 3 or 4; 0: none, the chip works */
    bool wants_icw4;
    bool auto_eoi, rotate_on_auto_eoi;
    bool special_mask, special_nested;
    bool read_isr; /* a read of the command port gives isr, else irr */
    bool poll;     /* the next read is an acknowledge */
};

struct i8259 {
    struct i8259_chip chip[2]; /* master, slave */
};

/* Power on: all inputs are masked until the pair has been initialized. In ELCR ACPI's line and those of PCI are
 * level-triggered, as firmware leaves them. */
void i8259_reset(struct i8259 *pic);

/* Ports 20h, 21h (chip 0) and A0h, A1h (chip 1): `port` is 0 or 1. */
u8 i8259_read(struct i8259 *pic, unsigned chip, unsigned port);
void i8259_write(struct i8259 *pic, unsigned chip, unsigned port, u8 value);

/* Ports 4D0h and 4D1h. */
u8 i8259_elcr_read(const struct i8259 *pic, unsigned chip);
void i8259_elcr_write(struct i8259 *pic, unsigned chip, u8 value);

/* Set the level of a line, 0 to 15 except the cascade's. */
void i8259_set_line(struct i8259 *pic, unsigned line, bool level);

/* The INTR pin of the master. */
bool i8259_intr(const struct i8259 *pic);

/* Does an edge of a line still wait for the processor? Then a further edge would be lost in it. */
bool i8259_waits(const struct i8259 *pic, unsigned line);

/* The processor acknowledges: returns the vector; that of input 7 (spurious) if no request is there any more. */
u8 i8259_ack(struct i8259 *pic);

/* All state as one versioned section. A state that cannot be is refused, and the chip stays as it was. */
void i8259_state(struct i8259 *pic, struct codec *c);

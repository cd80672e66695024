/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259 pair: requests, priorities, and the command words that set them up. */
#include "dev/i8259.h"

#include "dev/codec.h"
#include "dev/platform_map.h"

#define VERSION 1

#define ICW1 0x10 /* in a write of the command port: start of initialization */
#define ICW1_ICW4 0x01
#define ICW4_AUTO_EOI 0x02
#define ICW4_SPECIAL_NESTED 0x10
#define OCW3 0x08
#define OCW3_READ 0x02
#define OCW3_READ_ISR 0x01
#define OCW3_POLL 0x04
#define OCW3_SET_SPECIAL_MASK 0x40
#define OCW3_SPECIAL_MASK 0x20
#define POLL_PENDING 0x80

/* Commands of OCW2: its upper three bits. */
enum { ROTATE_AUTO_CLEAR, EOI, NOTHING, EOI_SPECIFIC, ROTATE_AUTO_SET, EOI_ROTATE, SET_PRIORITY, EOI_SPECIFIC_ROTATE };

#define SPURIOUS 7
static const u8 elcr_valid[2] = { 0xF8, 0xDE }; /* lines 0, 1, 2, 8 and 13 are always edge-triggered */

/* The most urgent input among `bits`, 8 if there is none. The input after `lowest` has the highest priority. */
static unsigned most_urgent(const struct i8259_chip *chip, u8 bits)
{
    for (unsigned i = 1; i <= 8; i++)
        if (bits >> ((chip->lowest + i) & 7) & 1)
            return (chip->lowest + i) & 7;
    return 8;
}

/* How urgent an input is: 0 is the most urgent; 8 stands for no input. */
static unsigned rank(const struct i8259_chip *chip, unsigned input)
{
    return input == 8 ? 8 : (input - chip->lowest - 1) & 7;
}

/* The input whose request goes out to the processor, or 8. */
static unsigned requested(const struct i8259_chip *chip)
{
    unsigned input = most_urgent(chip, chip->irr & ~chip->imr);
    u8 blocking = chip->isr;

    if (chip->special_mask)
        blocking &= ~chip->imr;
    /* The master lets a more urgent input of the slave interrupt a less urgent one (special fully nested mode). */
    if (chip->special_nested)
        blocking &= ~(1 << I8259_CASCADE);
    return rank(chip, input) < rank(chip, most_urgent(chip, blocking)) ? input : 8;
}

static void chip_set_line(struct i8259_chip *chip, unsigned input, bool level)
{
    u8 bit = 1 << input;
    bool rises = level && !(chip->lines & bit);

    if (chip->elcr & bit)
        chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
    else if (rises && !chip->init)
        chip->irr |= bit;
    chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

/* The slave's INTR is the master's input 2. When the slave requests nothing, the input falls, and with it a request
 * that the master has not served. */
static void cascade(struct i8259 *pic)
{
    bool level = requested(&pic->chip[1]) != 8;

    if (!level)
        pic->chip[0].irr &= ~(1 << I8259_CASCADE);
    chip_set_line(&pic->chip[0], I8259_CASCADE, level);
}

static void chip_ack(struct i8259_chip *chip, unsigned input)
{
    u8 bit = 1 << input;

    if (!(chip->elcr & bit))
        chip->irr &= ~bit;
    if (!chip->auto_eoi)
        chip->isr |= bit;
    else if (chip->rotate_on_auto_eoi)
        chip->lowest = input;
}

void i8259_set_line(struct i8259 *pic, unsigned line, bool level)
{
    chip_set_line(&pic->chip[line / 8], line % 8, level);
    cascade(pic);
}

bool i8259_intr(const struct i8259 *pic)
{
    return !pic->chip[0].init && requested(&pic->chip[0]) != 8;
}

bool i8259_waits(const struct i8259 *pic, unsigned line)
{
    const struct i8259_chip *chip = &pic->chip[line / 8];

    return chip->irr & ~chip->imr & 1 << line % 8;
}

/* Acknowledge the request of this chip. Returns its vector. */
static u8 chip_take(struct i8259_chip *chip, unsigned *input)
{
    *input = requested(chip);
    if (*input == 8)
        return chip->vector + SPURIOUS;
    chip_ack(chip, *input);
    return chip->vector + *input;
}

u8 i8259_ack(struct i8259 *pic)
{
    unsigned input;
    u8 vector = chip_take(&pic->chip[0], &input);

    if (input == I8259_CASCADE) {
        vector = chip_take(&pic->chip[1], &input);
        /* A further request of the slave is a new edge for the master. */
        pic->chip[0].lines &= ~(1 << I8259_CASCADE);
        cascade(pic);
    }
    return vector;
}

static void end_of_interrupt(struct i8259_chip *chip, unsigned input, bool rotate)
{
    if (input == 8)
        return;
    chip->isr &= ~(1 << input);
    if (rotate)
        chip->lowest = input;
}

static void write_ocw2(struct i8259_chip *chip, u8 value)
{
    u8 in_service = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;

    switch (value >> 5) {
    case EOI: end_of_interrupt(chip, most_urgent(chip, in_service), false); break;
    case EOI_ROTATE: end_of_interrupt(chip, most_urgent(chip, in_service), true); break;
    case EOI_SPECIFIC: end_of_interrupt(chip, value & 7, false); break;
    case EOI_SPECIFIC_ROTATE: end_of_interrupt(chip, value & 7, true); break;
    case SET_PRIORITY: chip->lowest = value & 7; break;
    case ROTATE_AUTO_SET: chip->rotate_on_auto_eoi = true; break;
    case ROTATE_AUTO_CLEAR: chip->rotate_on_auto_eoi = false; break;
    default: break;
    }
}

static void write_ocw3(struct i8259_chip *chip, u8 value)
{
    if (value & OCW3_SET_SPECIAL_MASK)
        chip->special_mask = value & OCW3_SPECIAL_MASK;
    if (value & OCW3_POLL)
        chip->poll = true;
    else if (value & OCW3_READ)
        chip->read_isr = value & OCW3_READ_ISR;
}

/* ICW1 clears edges, the mask and the in-service bits; lines and ELCR are outside of the chip, and stay. */
static void write_icw1(struct i8259_chip *chip, u8 value)
{
    *chip = (struct i8259_chip){
        .lines = chip->lines,
        .elcr = chip->elcr,
        .irr = chip->lines & chip->elcr,
        .vector = chip->vector,
        .lowest = 7,
        .init = 2,
        .wants_icw4 = value & ICW1_ICW4,
    };
}

static void write_icw(struct i8259_chip *chip, u8 value)
{
    switch (chip->init) {
    case 2:
        chip->vector = value & 0xF8;
        chip->init = 3;
        break;
    case 3: /* the wiring is what it is */ chip->init = chip->wants_icw4 ? 4 : 0; break;
    default:
        chip->auto_eoi = value & ICW4_AUTO_EOI;
        chip->special_nested = value & ICW4_SPECIAL_NESTED;
        chip->init = 0;
        break;
    }
}

void i8259_write(struct i8259 *pic, unsigned chip, unsigned port, u8 value)
{
    struct i8259_chip *c = &pic->chip[chip];

    if (port == 0 && value & ICW1)
        write_icw1(c, value);
    else if (port == 0 && value & OCW3)
        write_ocw3(c, value);
    else if (port == 0)
        write_ocw2(c, value);
    else if (c->init)
        write_icw(c, value);
    else
        c->imr = value;
    cascade(pic);
}

u8 i8259_read(struct i8259 *pic, unsigned chip, unsigned port)
{
    struct i8259_chip *c = &pic->chip[chip];
    unsigned input;

    if (c->poll) {
        c->poll = false;
        chip_take(c, &input);
        cascade(pic);
        return input == 8 ? 0 : POLL_PENDING | input;
    }
    if (port == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

u8 i8259_elcr_read(const struct i8259 *pic, unsigned chip)
{
    return pic->chip[chip].elcr;
}

void i8259_elcr_write(struct i8259 *pic, unsigned chip, u8 value)
{
    struct i8259_chip *c = &pic->chip[chip];

    c->elcr = value & elcr_valid[chip];
    c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
    cascade(pic);
}

void i8259_reset(struct i8259 *pic)
{
    static const u8 level_triggered[] = { ACPI_SCI, PCI_ISA_LINES };

    for (unsigned i = 0; i < 2; i++)
        pic->chip[i] = (struct i8259_chip){ .imr = 0xFF, .lowest = 7, .lines = pic->chip[i].lines };
    for (unsigned i = 0; i < sizeof(level_triggered); i++)
        pic->chip[level_triggered[i] / 8].elcr |= 1 << level_triggered[i] % 8;
    for (unsigned i = 0; i < 2; i++)
        pic->chip[i].irr = pic->chip[i].lines & pic->chip[i].elcr;
}

static void chip_state(struct i8259_chip *chip, struct codec *c)
{
    codec_u8(c, &chip->irr);
    codec_u8(c, &chip->imr);
    codec_u8(c, &chip->isr);
    codec_u8(c, &chip->lines);
    codec_u8(c, &chip->elcr);
    codec_u8(c, &chip->vector);
    codec_u8(c, &chip->lowest);
    codec_u8(c, &chip->init);
    codec_bool(c, &chip->wants_icw4);
    codec_bool(c, &chip->auto_eoi);
    codec_bool(c, &chip->rotate_on_auto_eoi);
    codec_bool(c, &chip->special_mask);
    codec_bool(c, &chip->special_nested);
    codec_bool(c, &chip->read_isr);
    codec_bool(c, &chip->poll);
}

static bool chip_is_possible(const struct i8259_chip *chip, unsigned i)
{
    return !(chip->elcr & ~elcr_valid[i]) && !(chip->vector & 7) && chip->lowest < 8 &&
           (chip->init == 0 || (chip->init >= 2 && chip->init <= 4));
}

void i8259_state(struct i8259 *pic, struct codec *c)
{
    struct i8259 state = *pic;

    codec_version(c, VERSION);
    for (unsigned i = 0; i < 2; i++)
        chip_state(&state.chip[i], c);
    if (codec_judge(c, chip_is_possible(&state.chip[0], 0) && chip_is_possible(&state.chip[1], 1),
                    "no pair of 8259 can be in it"))
        *pic = state;
}

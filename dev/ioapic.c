/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: registers, and the way from a pin to a message. */
#include "dev/ioapic.h"

#include "dev/codec.h"
#include "dev/lapic.h"
#include "host/bits.h"

#define VERSION 1

#define VERSION_REGISTER (0x20 | (IOAPIC_PINS - 1) << 16)
#define READ_ONLY (BIT(12) | IOAPIC_REMOTE_IRR) /* delivery status: a message never waits here */
#define VALID (BITS(16, 0) | IOAPIC_DESTINATION)

#define DESTINATION_ALL 0xFF

#define MSI_BASE 0xFEE00000U
#define MSI_WINDOW BITS(63, 20)
#define MSI_DESTINATION BITS(19, 12)
#define MSI_LOGICAL BIT(2)
#define MSI_DELIVERY BITS(10, 8)
#define MSI_LEVEL BIT(15)

static struct lapic_ipi message_make(u8 vector, u8 delivery, bool logical, u8 destination)
{
    return (struct lapic_ipi){
        .delivery = delivery,
        .vector = vector,
        .shorthand = LAPIC_TO_DESTINATION,
        .logical = logical,
        .destination = destination == DESTINATION_ALL ? LAPIC_BROADCAST : destination,
    };
}

/* Only fixed and lowest-priority interrupts can be level-triggered. */
static bool has_level(u8 delivery)
{
    return delivery == LAPIC_FIXED || delivery == LAPIC_LOWEST;
}

static struct lapic_ipi entry_message(u64 entry)
{
    return message_make(field_get(IOAPIC_VECTOR, entry), field_get(IOAPIC_DELIVERY, entry), entry & IOAPIC_LOGICAL,
                        field_get(IOAPIC_DESTINATION, entry));
}

bool ioapic_edge(const struct ioapic *ioapic, unsigned pin, struct lapic_ipi *message)
{
    u64 entry = ioapic->entry[pin];

    *message = entry_message(entry);
    return !(entry & (IOAPIC_MASKED | IOAPIC_LEVEL)) && has_level(message->delivery);
}

static void pin_send(struct ioapic *ioapic, unsigned pin)
{
    u64 *entry = &ioapic->entry[pin];
    struct lapic_ipi message = entry_message(*entry);
    bool level = *entry & IOAPIC_LEVEL && has_level(message.delivery);

    /* Set it before the message is sent: its EOI may come back at once. */
    if (level)
        *entry |= IOAPIC_REMOTE_IRR;
    if (!ioapic->env->send(ioapic->ctx, &message, level))
        *entry &= ~IOAPIC_REMOTE_IRR;
}

/* A level-triggered pin interrupts while it is asserted, once for each EOI. */
static void pin_look(struct ioapic *ioapic, unsigned pin)
{
    u64 entry = ioapic->entry[pin];

    if (entry & IOAPIC_LEVEL && !(entry & (IOAPIC_MASKED | IOAPIC_REMOTE_IRR)) && ioapic->lines >> pin & 1)
        pin_send(ioapic, pin);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level)
{
    u32 bit = 1U << pin;
    bool rises = level && !(ioapic->lines & bit);

    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    if (ioapic->entry[pin] & IOAPIC_LEVEL)
        pin_look(ioapic, pin);
    else if (rises && !(ioapic->entry[pin] & IOAPIC_MASKED))
        pin_send(ioapic, pin);
}

void ioapic_eoi(struct ioapic *ioapic, u8 vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if ((u8)ioapic->entry[pin] != vector || !(ioapic->entry[pin] & IOAPIC_REMOTE_IRR))
            continue;
        ioapic->entry[pin] &= ~IOAPIC_REMOTE_IRR;
        pin_look(ioapic, pin);
    }
}

/* Edge-triggered entries have no remote IRR: software without an EOI register clears it by a switch to edge and back.
 */
static void write_entry(struct ioapic *ioapic, unsigned pin, u64 value)
{
    u64 *entry = &ioapic->entry[pin];

    *entry = (*entry & READ_ONLY) | (value & VALID & ~READ_ONLY);
    if (!(*entry & IOAPIC_LEVEL))
        *entry &= ~IOAPIC_REMOTE_IRR;
    pin_look(ioapic, pin);
}

static u32 window_read(const struct ioapic *ioapic)
{
    unsigned pin = (ioapic->select - IOAPIC_REG_PIN) / 2;

    switch (ioapic->select) {
    case IOAPIC_REG_ID:
    case IOAPIC_REG_ARBITRATION: return (u32)ioapic->id << 24;
    case IOAPIC_REG_VERSION: return VERSION_REGISTER;
    default: break;
    }
    if (ioapic->select < IOAPIC_REG_PIN || pin >= IOAPIC_PINS)
        return 0;
    return (u32)(ioapic->entry[pin] >> (ioapic->select & 1 ? 32 : 0));
}

static void window_write(struct ioapic *ioapic, u32 value)
{
    unsigned pin = (ioapic->select - IOAPIC_REG_PIN) / 2;

    if (ioapic->select == IOAPIC_REG_ID)
        ioapic->id = value >> 24 & 0xF;
    if (ioapic->select < IOAPIC_REG_PIN || pin >= IOAPIC_PINS)
        return;
    if (ioapic->select & 1)
        write_entry(ioapic, pin, (u32)ioapic->entry[pin] | (u64)value << 32);
    else
        write_entry(ioapic, pin, (ioapic->entry[pin] & BITS(63, 32)) | value);
}

u32 ioapic_read(struct ioapic *ioapic, u32 offset, unsigned size)
{
    if (size != 4)
        return 0;
    switch (offset) {
    case IOAPIC_SELECT: return ioapic->select;
    case IOAPIC_WINDOW: return window_read(ioapic);
    default: return 0;
    }
}

void ioapic_write(struct ioapic *ioapic, u32 offset, unsigned size, u32 value)
{
    if (size != 4)
        return;
    switch (offset) {
    case IOAPIC_SELECT: ioapic->select = (u8)value; break;
    case IOAPIC_WINDOW: window_write(ioapic, value); break;
    case IOAPIC_EOI: ioapic_eoi(ioapic, (u8)value); break;
    default: break;
    }
}

void ioapic_init(struct ioapic *ioapic, u8 id, const struct ioapic_env *env, void *ctx)
{
    *ioapic = (struct ioapic){ .id = id, .env = env, .ctx = ctx };
    ioapic_reset(ioapic);
}

void ioapic_reset(struct ioapic *ioapic)
{
    ioapic->select = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->entry[pin] = IOAPIC_MASKED;
}

void ioapic_state(struct ioapic *ioapic, struct codec *c)
{
    struct ioapic state = *ioapic;
    u64 entries = 0;

    codec_version(c, VERSION);
    codec_u8(c, &state.id);
    codec_u8(c, &state.select);
    codec_u32(c, &state.lines);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        codec_u64(c, &state.entry[pin]);
        entries |= state.entry[pin];
    }
    codec_judge(c, !(entries & ~VALID), "an entry has reserved bits");
    codec_judge(c, !(state.lines >> IOAPIC_PINS), "it has more pins");
    if (codec_judge(c, state.id <= 0xF, "the ID is above 15"))
        *ioapic = state;
}

bool message_decode(u64 address, u32 data, struct lapic_ipi *message, bool *level)
{
    u8 delivery = field_get(MSI_DELIVERY, data);

    if ((address & MSI_WINDOW) != MSI_BASE)
        return false;
    *message = message_make((u8)data, delivery, address & MSI_LOGICAL, field_get(MSI_DESTINATION, address));
    *level = data & MSI_LEVEL && has_level(delivery);
    return true;
}

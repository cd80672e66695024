/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254: counters as functions of time, and the ways to write and read them byte by byte. */
#include "dev/i8254.h"

#include "dev/codec.h"
#include "host/bits.h"

#define VERSION 1

#define COMMAND_BCD 0x01
#define COMMAND_MODE BITS(3, 1)
#define COMMAND_ACCESS BITS(5, 4)
#define COMMAND_CHANNEL BITS(7, 6)
#define READ_BACK 3 /* in the place of the channel's number */
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STATUS 0x10
#define STATUS_OUTPUT 0x80
#define STATUS_NULL_COUNT 0x40 /* no count has been loaded */

#define REFRESH_TICKS 18 /* 15 us */

/* Modes 1 and 5 start at a rising gate; modes 2 and 3 restart there. */
static bool is_triggered(const struct i8254_channel *c)
{
    return c->mode == 1 || c->mode == 5;
}

static bool is_periodic(const struct i8254_channel *c)
{
    return c->mode == 2 || c->mode == 3;
}

/* How many ticks the counter has counted. */
static u64 elapsed(const struct i8254_channel *c, u64 now)
{
    if (!c->gate && !is_triggered(c))
        return c->frozen;
    return now > c->start ? now - c->start : 0;
}

static bool channel_output(const struct i8254_channel *c, u64 now)
{
    u64 ticks = elapsed(c, now);

    if (!c->loaded)
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return ticks >= c->count;
    case 2: return !c->gate || ticks % c->count != c->count - 1;
    case 3: return !c->gate || ticks % c->count < (c->count + 1) / 2;
    default: return ticks != c->count;
    }
}

static u16 to_bcd(u32 value)
{
    return (u16)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12);
}

static u32 from_bcd(u16 value)
{
    return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 + (value >> 12) * 1000;
}

/* The counter's value, as it is read. At zero a one-shot mode goes on counting down from the top. */
static u16 channel_value(const struct i8254_channel *c, u64 now)
{
    u32 modulus = c->bcd ? 10000 : 65536, value;
    u64 ticks = elapsed(c, now);

    if (!c->loaded)
        value = c->count;
    else if (c->mode == 3)
        value = c->count - (u32)(2 * ticks % c->count);
    else if (c->mode == 2)
        value = c->count - (u32)(ticks % c->count);
    else
        value = c->count + modulus - (u32)(ticks % modulus);
    return c->bcd ? to_bcd(value % modulus) : (u16)value;
}

static void channel_load(struct i8254_channel *c, u16 value, u64 now)
{
    u32 count = c->bcd ? from_bcd(value) : value;

    c->count = count ? count : c->bcd ? 10000 : 65536;
    if (is_triggered(c)) {
        c->armed = true;
        return;
    }
    c->loaded = true;
    c->start = now;
    c->frozen = 0;
}

static void channel_write(struct i8254_channel *c, u8 value, u64 now)
{
    switch (c->access) {
    case 1: channel_load(c, value, now); break;
    case 2: channel_load(c, (u16)(value << 8), now); break;
    default:
        if (c->write_high) {
            channel_load(c, (u16)(value << 8 | c->write_low), now);
        } else {
            c->write_low = value;
            /* In mode 0 the first byte stops the counter. */
            if (c->mode == 0)
                c->loaded = false;
        }
        c->write_high = !c->write_high;
        break;
    }
}

static void latch_count(struct i8254_channel *c, u64 now)
{
    if (c->latched)
        return;
    c->latch = channel_value(c, now);
    if (c->access == 2)
        c->latch >>= 8;
    c->latched = c->access == 3 ? 2 : 1;
    c->read_high = false;
}

static void latch_status(struct i8254_channel *c, u64 now)
{
    if (c->status_latched)
        return;
    c->status = (channel_output(c, now) ? STATUS_OUTPUT : 0) | (c->loaded ? 0 : STATUS_NULL_COUNT) | c->access << 4 |
                c->mode << 1 | c->bcd;
    c->status_latched = true;
}

static u8 channel_read(struct i8254_channel *c, u64 now)
{
    u16 value;

    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latched) {
        u8 byte = (u8)c->latch;

        c->latch >>= 8;
        c->latched--;
        return byte;
    }
    value = channel_value(c, now);
    if (c->access == 1)
        return (u8)value;
    if (c->access == 2)
        return value >> 8;
    c->read_high = !c->read_high;
    return c->read_high ? (u8)value : value >> 8;
}

static void set_mode(struct i8254_channel *c, u8 command)
{
    u8 mode = field_get(COMMAND_MODE, command);

    *c = (struct i8254_channel){
        .mode = mode > 5 ? mode - 4 : mode, /* 6 and 7 are other names of 2 and 3 */
        .access = field_get(COMMAND_ACCESS, command),
        .bcd = command & COMMAND_BCD,
        .gate = c->gate,
        .count = c->count,
    };
}

static void write_command(struct i8254 *pit, u8 command, u64 now)
{
    unsigned channel = field_get(COMMAND_CHANNEL, command);

    if (channel != READ_BACK) {
        if (field_get(COMMAND_ACCESS, command) == 0)
            latch_count(&pit->channel[channel], now);
        else
            set_mode(&pit->channel[channel], command);
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (!(command & 2 << i))
            continue;
        if (!(command & READ_BACK_NO_COUNT))
            latch_count(&pit->channel[i], now);
        if (!(command & READ_BACK_NO_STATUS))
            latch_status(&pit->channel[i], now);
    }
}

u8 i8254_read(struct i8254 *pit, unsigned reg, u64 now)
{
    return reg == I8254_COMMAND ? 0xFF : channel_read(&pit->channel[reg], now);
}

void i8254_write(struct i8254 *pit, unsigned reg, u8 value, u64 now)
{
    if (reg == I8254_COMMAND)
        write_command(pit, value, now);
    else
        channel_write(&pit->channel[reg], value, now);
}

static void gate_set(struct i8254_channel *c, bool gate, u64 now)
{
    bool rises = gate && !c->gate;

    if (!gate && c->gate)
        c->frozen = elapsed(c, now);
    c->gate = gate;
    if (!rises)
        return;
    if (is_triggered(c) && (c->armed || c->loaded)) {
        c->loaded = true;
        c->start = now;
    } else if (is_periodic(c)) {
        c->start = now;
    } else if (!is_triggered(c)) {
        c->start = now - MIN(c->frozen, now);
    }
}

u8 i8254_port61_read(const struct i8254 *pit, u64 now)
{
    return (pit->channel[2].gate ? PORT_61_GATE2 : 0) | (pit->speaker ? PORT_61_SPEAKER : 0) |
           (now / REFRESH_TICKS & 1 ? PORT_61_REFRESH : 0) | (channel_output(&pit->channel[2], now) ? PORT_61_OUT2 : 0);
}

void i8254_port61_write(struct i8254 *pit, u8 value, u64 now)
{
    pit->speaker = value & PORT_61_SPEAKER;
    gate_set(&pit->channel[2], value & PORT_61_GATE2, now);
}

bool i8254_output(const struct i8254 *pit, unsigned channel, u64 now)
{
    return channel_output(&pit->channel[channel], now);
}

/* The tick at which a mode that isn't periodic lets the output rise. A strobe is low for one tick. */
static u64 rises_once(const struct i8254_channel *c)
{
    return c->start + c->count + (c->mode >= 4);
}

/* How often the output has risen since the count was loaded. */
static u64 risen(const struct i8254_channel *c, u64 now)
{
    if (!c->loaded)
        return 0;
    return is_periodic(c) ? (now - MIN(c->start, now)) / c->count : now >= rises_once(c);
}

u64 i8254_rises(const struct i8254 *pit, u64 from, u64 to)
{
    return risen(&pit->channel[0], to) - risen(&pit->channel[0], from);
}

u64 i8254_next_rise(const struct i8254 *pit, u64 now)
{
    const struct i8254_channel *c = &pit->channel[0];

    if (!c->loaded)
        return I8254_NEVER;
    if (is_periodic(c))
        return c->start + (risen(c, now) + 1) * c->count;
    return risen(c, now) ? I8254_NEVER : rises_once(c);
}

void i8254_reset(struct i8254 *pit)
{
    *pit = (struct i8254){ 0 };
    for (unsigned i = 0; i < 3; i++)
        pit->channel[i] = (struct i8254_channel){ .mode = 3, .access = 3, .count = 65536, .gate = i != 2 };
}

static void channel_state(struct i8254_channel *channel, struct codec *c)
{
    codec_u8(c, &channel->mode);
    codec_u8(c, &channel->access);
    codec_bool(c, &channel->bcd);
    codec_bool(c, &channel->gate);
    codec_bool(c, &channel->loaded);
    codec_bool(c, &channel->armed);
    codec_u32(c, &channel->count);
    codec_u64(c, &channel->start);
    codec_u64(c, &channel->frozen);
    codec_u8(c, &channel->write_low);
    codec_bool(c, &channel->write_high);
    codec_bool(c, &channel->read_high);
    codec_u16(c, &channel->latch);
    codec_u8(c, &channel->latched);
    codec_u8(c, &channel->status);
    codec_bool(c, &channel->status_latched);
}

/* Are the counts (which divide) and the times (to which others are added) values that a guest can reach? */
static bool channel_is_possible(const struct i8254_channel *c)
{
    return c->mode <= 5 && c->access >= 1 && c->access <= 3 && c->count >= 1 && c->count <= 65536 && c->latched <= 2 &&
           c->start < BIT(62) && c->frozen < BIT(62);
}

void i8254_state(struct i8254 *pit, struct codec *c)
{
    struct i8254 state = *pit;
    bool possible = true;

    codec_version(c, VERSION);
    codec_bool(c, &state.speaker);
    for (unsigned i = 0; i < 3; i++)
        channel_state(&state.channel[i], c);
    for (unsigned i = 0; i < 3; i++)
        possible &= channel_is_possible(&state.channel[i]);
    if (codec_judge(c, possible, "no 8254 can be in it"))
        *pit = state;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programmable interval timer as a chip (Intel 8254 data sheet): three counters and port 61h, which gates the
 * third.
 *
 * Pure: every call is told the time, `now`, in ticks of the chip's clock (I8254_HZ) since the VM's start; nothing has
 * to be touched while a counter runs. We chose that a count that is written while another one runs takes effect at
 * once, in every mode.
 */
#pragma once

#include "host/types.h"

struct codec;

#define I8254_HZ 1193182ULL
#define I8254_NEVER (~0ULL)

/* Registers: ports 40h to 43h. */
#define I8254_COMMAND 3

/* Port 61h. */
#define PORT_61_GATE2 0x01
#define PORT_61_SPEAKER 0x02
#define PORT_61_REFRESH 0x10 /* toggles */
#define PORT_61_OUT2 0x20

struct i8254_channel {
    u8 mode;   /* 0 to 5 */
    u8 access; /* 1: low byte, 2: high byte, 3: low then high */
    bool bcd;
    bool gate;
    bool loaded;                /* since the mode was set a count was written and, in modes 1 and 5, triggered */
    bool armed;                 /* modes 1 and 5: a count waits for its trigger */
    u32 count;                  /* initial count, 1 to 65536 */
    u64 start;                  /* tick when it was loaded */
    u64 frozen;                 /* ticks that it had counted when its gate fell */
    u8 write_low;               /* first byte of two */
    bool write_high, read_high; /* the next byte is the second one */
    u16 latch;
    u8 latched; /* bytes of latch that are still to be read */
    u8 status;
    bool status_latched;
};

struct i8254 {
    struct i8254_channel channel[3];
    bool speaker; /* bit 1 of port 61h; nobody hears it */
};

/* Reset: the gates of counters 0 and 1 are on, as on a PC, and no counter has a count. */
void i8254_reset(struct i8254 *pit);

/* Ports 40h to 43h: `reg` is 0 to 3. */
u8 i8254_read(struct i8254 *pit, unsigned reg, u64 now);
void i8254_write(struct i8254 *pit, unsigned reg, u8 value, u64 now);

/* Port 61h: gate and output of counter 2. */
u8 i8254_port61_read(const struct i8254 *pit, u64 now);
void i8254_port61_write(struct i8254 *pit, u8 value, u64 now);

/* Level of a counter's output. */
bool i8254_output(const struct i8254 *pit, unsigned channel, u64 now);

/* How often counter 0's output rises after tick `from`, up to and including tick `to`. */
u64 i8254_rises(const struct i8254 *pit, u64 from, u64 to);

/* The first tick after `now` at which counter 0's output rises, I8254_NEVER if it won't. */
u64 i8254_next_rise(const struct i8254 *pit, u64 now);

/* All state as one versioned section, times as ticks since the VM's start. A state that cannot be is refused, and the
 * chip stays as it was. */
void i8254_state(struct i8254 *pit, struct codec *c);

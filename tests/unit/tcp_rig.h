/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP on a link of its own, whose other end is the test's: it makes its segments by hand. */
#pragma once

#include "host/types.h"

struct netif;
struct tcp_pcb;
struct tcp_stream;

#define STREAM_PORT 4900
#define WINDOW 0x8000 /* of the other end */

struct tcp_rig {
    u64 now;
    u32 chance;
    struct netif *link;        /* we are 10.9.0.2, the other end is 10.9.0.host */
    u8 host;                   /* 9, if the test says nothing else */
    struct tcp_stream *stream; /* that was accepted last at STREAM_PORT */

    /* The last segment that was sent, in host order. */
    struct {
        unsigned count;
        u16 from, to;
        u32 seq, ack;
        u16 window;   /* as in the header */
        size_t bytes; /* of all segments */
        u8 flags;
    } sent;
};

extern struct tcp_rig tcp_rig;

/* Once. Returns 0, or not. */
int tcp_rig_init(void);

/* For cmocka, after a test: no connection is left. */
int tcp_rig_clear(void **state);

/* A segment of the other end: `count` bytes from seq on. */
void say(u16 from, u16 to, u32 seq, u32 ack, u8 flags, unsigned count);

/* The three-way handshake; the client's first byte is seq + 1. Returns the number of the server's. */
u32 handshake(u16 from, u16 to, u32 seq);

/* How many pcbs are in one of lwIP's lists. */
unsigned tcp_rig_length(const struct tcp_pcb *list);

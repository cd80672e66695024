/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch with three ports that record, an uplink and guests a and b, under a clock that the test turns. */
#pragma once

#include "net/ethernet.h"

#define SECOND 1000000000ULL
#define KEPT 80

struct recorder {
    struct port port;
    unsigned frames;
    bool full;
    u8 last[2000];
    u32 last_len;
    struct frame_offload last_offload;
    u8 kept[KEPT][100]; /* the beginnings of the first frames */
};

extern struct recorder uplink, a, b;
extern u64 switch_now; /* what clock_ns says */

extern const u8 mac_a[MAC_LEN], mac_b[MAC_LEN]; /* of the guests */
extern const u8 out1[MAC_LEN], out2[MAC_LEN];   /* of machines outside */
extern const u8 broadcast[MAC_LEN], group[MAC_LEN];

/* cmocka fixtures. */
int switch_start(void **state);
int switch_end(void **state);

/* Clear a port and have it join; without a MAC if that is NULL. */
void switch_join(struct recorder *r, const char *name, const u8 *mac);

/* Forget what was recorded, and send a frame of no meaning. */
void switch_send(struct recorder *from, const u8 *to, const u8 *source);

#define assert_reached(u, x, y)             \
    do {                                    \
        assert_int_equal(uplink.frames, u); \
        assert_int_equal(a.frames, x);      \
        assert_int_equal(b.frames, y);      \
    } while (0)

/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch with three ports that record, an uplink and guests a and b, under a clock that the test turns. */
#pragma once

#include "net/frame.h"

#define SECOND 1000000000ULL
#define KEPT 80

struct recorder {
    struct port port;
    unsigned frames;
    bool full;
    uint8_t last[2000];
    uint32_t last_len;
    struct frame_offload last_offload;
    uint8_t kept[KEPT][100]; /* the beginnings of the first frames */
};

extern struct recorder uplink, a, b;
extern uint64_t switch_now; /* what clock_ns says */

extern const uint8_t mac_a[MAC_LEN], mac_b[MAC_LEN]; /* of the guests */
extern const uint8_t out1[MAC_LEN], out2[MAC_LEN];   /* of machines outside */
extern const uint8_t broadcast[MAC_LEN], group[MAC_LEN];

/* cmocka fixtures. */
int switch_start(void **state);
int switch_end(void **state);

/* Clear a port and have it join; without a MAC if that is NULL. */
void switch_join(struct recorder *r, const char *name, const uint8_t *mac);

/* Forget what was recorded, and send a frame of no meaning. */
void switch_send(struct recorder *from, const uint8_t *to, const uint8_t *source);

#define assert_reached(u, x, y)             \
    do {                                    \
        assert_int_equal(uplink.frames, u); \
        assert_int_equal(a.frames, x);      \
        assert_int_equal(b.frames, y);      \
    } while (0)

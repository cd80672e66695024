/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers of a destination that are made by hand: they say what a test wants, and hear what is answered. */
#pragma once

#include "migrate/dest.h"
#include "tests/unit/world.h"

/* A peer made by hand: says what a test wants, and hears what the destination answers. */
struct peer {
    struct world w;
    struct pipe pipe;
    struct transport transport;
    struct outbox out;
    struct inbox in;
    u32 heard[64]; /* types of records */
    unsigned records;
    struct wire_refused refused;
    bool gone; /* the destination hung up */
};

struct reserve_body {
    struct wire_reserve head;
    struct wire_range range[2];
};

/* One of several connections to a destination. */
struct line {
    struct pipe pipe;
    struct transport transport;
    struct outbox out;
    struct inbox in;
    u32 heard; /* type of the last record */
    struct wire_refused refused;
    bool gone; /* the destination hung up */
};

/* Let both work for a while. */
void pump(struct peer *p);

/* Connect anew. */
void dial(struct peer *p);

/* End the connection. */
void hang_up(struct peer *p);

/* A connected peer, with a world of its own. */
struct peer *peer_new(void);

/* The destination holds nothing of it then. */
void peer_free(struct peer *p);

/* Of a move of the world's guest. */
struct wire_header good_header(u64 epoch);

void say_header(struct peer *p, struct wire_header header);

void say(struct peer *p, u32 type, const void *body, size_t len);

struct reserve_body good_reserve(void);

/* A peer whose guest is reserved. */
struct peer *reserved(void);

/* It was refused with that code, nothing is left of it, and it is freed. */
void refused_with(struct peer *p, enum wire_code code);

/* Connect from a host. */
void line_open_from(struct line *line, struct dest *dest, const char *host);

/* Connect, from the host "peer". */
void line_open(struct line *line, struct dest *dest);

/* End the connection, without waiting for anything. */
void line_close(struct line *line);

/* End the connection, and let the destination see that. */
void line_leave(struct line *line, struct dest *dest);

/* The header, of a VM whose id differs from the world's by `id`. */
void line_header(struct line *line, enum wire_kind kind, u8 id, u64 epoch);

void line_say(struct line *line, u32 type, const void *body, size_t len);

/* Take the answers. */
void line_hear(struct line *line);

/* Say header and RESERVE of another VM (its id differs by `id`), and take the answers. */
void line_reserve(struct line *line, struct world *w, u8 id, u64 epoch, u32 flags);

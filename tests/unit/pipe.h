/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection in memory for tests of migrations: small buffers, partial transfers, and accidents on demand. */
#pragma once

#include "stream/transport.h"

#define PIPE_NEVER (~0ULL)
#define PIPE_ARRIVALS 1024 /* room for so many */

/* The bytes up to number `end` of a direction have arrived at `due`. */
struct pipe_arrival {
    u64 end, due;
};

struct pipe_direction {
    u8 *buf; /* bytes under way: `used` from `head` on */
    size_t cap, head, used;
    u64 total;                    /* bytes taken, ever */
    struct pipe_arrival *arrival; /* of those bytes, in order: `arrivals` from `first` on, in a ring */
    size_t first, arrivals;
    u64 flip; /* the byte whose low bit is damaged; PIPE_NEVER */
    u64 cut;  /* bytes after which the link breaks; PIPE_NEVER */
    u8 *tape; /* all that was taken, if given */
    size_t tape_cap;
};

struct pipe {
    struct pipe_direction way[2]; /* [0]: from the source */
    bool broken;                  /* nothing goes through any more, neither way */
    bool closed[2];               /* by its end 0 or 1 */
    bool silent;                  /* who has got something does not say so */
    size_t piece;                 /* bytes at most in one call */
    u64 now, delay;               /* a time that a test may let pass, and how long each way takes */
};

void pipe_init(struct pipe *pipe, size_t cap, size_t piece);
void pipe_fini(struct pipe *pipe);

/* All that is under way arrives at `due`. */
void pipe_arrives(struct pipe_direction *way, u64 due);

/* The transport of end 0 (source) or 1 (destination). */
struct transport pipe_end(struct pipe *pipe, int end);

/* Of which pipe is this an end? */
struct pipe *pipe_of(const struct transport *transport);

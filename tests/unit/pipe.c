/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"

struct end {
    struct pipe *pipe;
    int number;
};

void pipe_init(struct pipe *pipe, size_t cap, size_t piece)
{
    memset(pipe, 0, sizeof(*pipe));
    pipe->piece = piece;
    for (int i = 0; i < 2; i++)
        pipe->way[i] = (struct pipe_direction){
            .buf = malloc(cap),
            .cap = cap,
            .arrival = malloc(PIPE_ARRIVALS * sizeof(struct pipe_arrival)),
            .flip = PIPE_NEVER,
            .cut = PIPE_NEVER,
        };
}

void pipe_fini(struct pipe *pipe)
{
    for (int i = 0; i < 2; i++) {
        free(pipe->way[i].buf);
        free(pipe->way[i].arrival);
    }
}

/* Forget the arrivals of bytes that are no longer here. */
static void settle(struct pipe_direction *way)
{
    for (; way->arrivals && way->arrival[way->first].end <= way->total - way->used; way->arrivals--)
        way->first = (way->first + 1) % PIPE_ARRIVALS;
}

/* What arrives at one time is one arrival. */
static void note_arrival(struct pipe_direction *way, u64 due)
{
    struct pipe_arrival *last;

    settle(way);
    last = &way->arrival[(way->first + way->arrivals - 1) % PIPE_ARRIVALS];
    if (!way->arrivals || last->due != due) {
        assert_true(way->arrivals < PIPE_ARRIVALS);
        last = &way->arrival[(way->first + way->arrivals++) % PIPE_ARRIVALS];
    }
    *last = (struct pipe_arrival){ .end = way->total, .due = due };
}

void pipe_arrives(struct pipe_direction *way, u64 due)
{
    way->arrivals = 0;
    note_arrival(way, due);
}

/* Take up to n bytes, for which there is room. Returns how many, up to where the link breaks. */
static size_t push(struct pipe *pipe, struct pipe_direction *way, const u8 *bytes, size_t n)
{
    u8 *to;

    n = MIN(n, way->cut - way->total);
    if (!n)
        return 0;
    if (way->head + way->used + n > way->cap) {
        memmove(way->buf, way->buf + way->head, way->used);
        way->head = 0;
    }
    to = way->buf + way->head + way->used;
    memcpy(to, bytes, n);
    if (way->flip - way->total < n)
        to[way->flip - way->total] ^= 1;
    if (way->total < way->tape_cap)
        memcpy(way->tape + way->total, to, MIN(n, way->tape_cap - way->total));
    way->used += n;
    way->total += n;
    note_arrival(way, pipe->now + pipe->delay);
    pipe->broken |= way->total == way->cut;
    return n;
}

static long pipe_send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    struct end *end = transport->ctx;
    struct pipe *pipe = end->pipe;
    struct pipe_direction *way = &pipe->way[end->number];
    size_t sent = 0;

    if (pipe->broken || pipe->closed[!end->number])
        return -EPIPE;
    for (unsigned i = 0; i < count; i++) {
        size_t room = pipe->broken ? 0 : MIN(way->cap - way->used, pipe->piece - sent);
        size_t n = push(pipe, way, chunks[i].bytes, MIN(chunks[i].len, room));

        sent += n;
        if (n < chunks[i].len)
            return sent ? (long)sent : -EAGAIN;
    }
    return (long)sent;
}

/* How many of the bytes under way are here by now. */
static size_t arrived(const struct pipe *pipe, struct pipe_direction *way)
{
    size_t n = 0;

    settle(way);
    for (size_t i = 0; i < way->arrivals; i++) {
        const struct pipe_arrival *arrival = &way->arrival[(way->first + i) % PIPE_ARRIVALS];

        if (arrival->due > pipe->now)
            break;
        n = arrival->end - (way->total - way->used);
    }
    return n;
}

/* What was on its way when the link broke still arrives: the worst case for a handoff. */
static long pipe_receive(struct transport *transport, void *bytes, size_t len)
{
    struct end *end = transport->ctx;
    struct pipe *pipe = end->pipe;
    struct pipe_direction *way = &pipe->way[!end->number];
    size_t n = MIN(MIN(len, arrived(pipe, way)), pipe->piece);

    if (!n)
        return !way->used && (pipe->broken || pipe->closed[!end->number]) ? -EPIPE : -EAGAIN;
    memcpy(bytes, way->buf + way->head, n);
    way->head += n;
    way->used -= n;
    return (long)n;
}

/* Where nothing is heard of the other end, or it is gone, something is always on its way. */
static u64 pipe_unacknowledged(const struct transport *transport)
{
    const struct end *end = transport->ctx;

    return end->pipe->way[end->number].used + (end->pipe->silent || end->pipe->broken);
}

static void pipe_close(struct transport *transport)
{
    struct end *end = transport->ctx;

    end->pipe->closed[end->number] = true;
    free(end);
}

struct transport pipe_end(struct pipe *pipe, int end)
{
    static const struct transport_ops ops = {
        .send = pipe_send, .receive = pipe_receive, .unacknowledged = pipe_unacknowledged, .close = pipe_close
    };
    struct end *ctx = malloc(sizeof(*ctx));

    *ctx = (struct end){ .pipe = pipe, .number = end };
    return (struct transport){ .ops = &ops, .ctx = ctx };
}

struct pipe *pipe_of(const struct transport *transport)
{
    return ((const struct end *)transport->ctx)->pipe;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
            .buf = malloc(cap), .due = malloc(cap * sizeof(u64)), .cap = cap, .flip = PIPE_NEVER, .cut = PIPE_NEVER
        };
}

void pipe_fini(struct pipe *pipe)
{
    for (int i = 0; i < 2; i++) {
        free(pipe->way[i].buf);
        free(pipe->way[i].due);
    }
}

static void push(struct pipe *pipe, struct pipe_direction *way, u8 byte)
{
    if (way->total == way->flip)
        byte ^= 1;
    if (way->total < way->tape_cap)
        way->tape[way->total] = byte;
    way->due[(way->head + way->used) % way->cap] = pipe->now + pipe->delay;
    way->buf[(way->head + way->used++) % way->cap] = byte;
    if (++way->total == way->cut)
        pipe->broken = true;
}

static long pipe_send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    struct end *end = transport->ctx;
    struct pipe *pipe = end->pipe;
    struct pipe_direction *way = &pipe->way[end->number];
    long sent = 0;

    if (pipe->broken || pipe->closed[!end->number])
        return -EPIPE;
    for (unsigned i = 0; i < count; i++)
        for (size_t n = 0; n < chunks[i].len; n++) {
            if (way->used == way->cap || (size_t)sent == pipe->piece || pipe->broken)
                return sent ? sent : -EAGAIN;
            push(pipe, way, ((const u8 *)chunks[i].bytes)[n]);
            sent++;
        }
    return sent;
}

/* What was on its way when the link broke still arrives: the worst case for a handoff. */
static long pipe_receive(struct transport *transport, void *bytes, size_t len)
{
    struct end *end = transport->ctx;
    struct pipe *pipe = end->pipe;
    struct pipe_direction *way = &pipe->way[!end->number];
    size_t most = MIN(MIN(len, way->used), pipe->piece), n = 0;

    while (n < most && way->due[(way->head + n) % way->cap] <= pipe->now)
        n++;
    if (!n && most)
        return -EAGAIN;
    if (!n)
        return pipe->broken || pipe->closed[!end->number] ? -EPIPE : -EAGAIN;
    for (size_t i = 0; i < n; i++)
        ((u8 *)bytes)[i] = way->buf[(way->head + i) % way->cap];
    way->head = (way->head + n) % way->cap;
    way->used -= n;
    return (long)n;
}

static bool pipe_drained(const struct transport *transport)
{
    const struct end *end = transport->ctx;

    return !end->pipe->silent && !end->pipe->broken && !end->pipe->way[end->number].used;
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
        .send = pipe_send, .receive = pipe_receive, .drained = pipe_drained, .close = pipe_close
    };
    struct end *ctx = malloc(sizeof(*ctx));

    *ctx = (struct end){ .pipe = pipe, .number = end };
    return (struct transport){ .ops = &ops, .ctx = ctx };
}

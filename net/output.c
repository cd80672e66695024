/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of frames of different lengths. A frame lies in one piece: if it does not fit behind the last one, it goes to
 * the beginning of the buffer, and the rest of the buffer is left out (`wrap`).
 */
#include "net/output.h"

#include <errno.h>
#include <stdlib.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/frame.h"
#include "host/panic.h"
#include "net/ethernet.h"

#define ORDER 10  /* of the buffer, in page frames */
#define BUDGET 64 /* frames of one port that go in a round */
#define NO_WRAP ~0U

_Static_assert(OUTPUT_BYTES == PAGE_SIZE << ORDER, "the buffer is one block");

/* Before the bytes of each frame. */
struct sent {
    u32 len;
    struct frame_offload offload;
    u64 after; /* the last checkpoint that was marked before the frame was sent */
    u64 since; /* clock_ns */
};

struct output {
    u8 *buffer;           /* NULL: nothing is held, or is to be, and nothing is reserved for that */
    u32 head, tail;       /* offsets of the first frame, and behind the last one */
    u32 wrap;             /* where the frames before the buffer's end end, if others follow at its beginning */
    u64 marked, released; /* the last checkpoint that was marked; that has arrived */
    bool holds, ending;
    struct port_output_stats stats;
};

static u32 room_of(u32 len)
{
    return (u32)align_up(sizeof(struct sent) + len, _Alignof(struct sent));
}

/* Where a frame of this length would begin; OUTPUT_BYTES: there is no room. */
static u32 place(const struct output *output, u32 len)
{
    u32 need = room_of(len);

    if (output->wrap != NO_WRAP)
        return need <= output->head - output->tail ? output->tail : OUTPUT_BYTES;
    if (need <= OUTPUT_BYTES - output->tail)
        return output->tail;
    return need <= output->head ? 0 : OUTPUT_BYTES;
}

bool port_output_holds(const struct port *port)
{
    return port->output && port->output->holds;
}

static bool is_reserved(const struct port *port)
{
    return port->output && port->output->buffer;
}

/* Hold nothing any more. */
static void stop(struct output *output)
{
    struct port_output_stats stats = output->stats;

    frame_free(frame_address(output->buffer), ORDER);
    stats.frames = stats.bytes = 0;
    *output = (struct output){ .wrap = NO_WRAP, .stats = stats };
}

int port_output_reserve(struct port *port)
{
    hpa_t buffer;

    assert(!is_reserved(port) || port->output->ending);
    if (is_reserved(port))
        return -EAGAIN;
    if (!port->output)
        port->output = calloc(1, sizeof(*port->output));
    buffer = port->output ? frame_alloc(ORDER) : FRAME_NONE;
    if (buffer == FRAME_NONE)
        return -ENOMEM;
    port->output->buffer = frame_window(buffer);
    port->output->wrap = NO_WRAP;
    return 0;
}

void port_output_hold(struct port *port)
{
    assert(is_reserved(port) && !port->output->holds);
    port->output->holds = true;
}

void port_output_mark(struct port *port, u64 checkpoint)
{
    assert(checkpoint > port->output->marked);
    port->output->marked = checkpoint;
}

void port_output_release(struct port *port, u64 checkpoint)
{
    assert(checkpoint <= port->output->marked && checkpoint >= port->output->released);
    port->output->released = checkpoint;
}

void port_output_end(struct port *port)
{
    if (port_output_holds(port))
        port->output->ending = true;
}

void port_output_drop(struct port *port)
{
    if (!is_reserved(port))
        return;
    port->output->stats.dropped += port->output->stats.frames;
    stop(port->output);
}

void port_output_fini(struct port *port)
{
    port_output_drop(port);
    free(port->output);
    port->output = NULL;
}

bool port_output_stats(const struct port *port, struct port_output_stats *stats)
{
    *stats = port->output ? port->output->stats : (struct port_output_stats){ 0 };
    return port_output_holds(port);
}

/* --- Frames ------------------------------------------------------------------------------------------------------- */

bool port_output_room(const struct port *port)
{
    return !port_output_holds(port) || place(port->output, FRAME_MAX) != OUTPUT_BYTES;
}

static void hold(struct port *port, const struct frame *frame)
{
    struct output *output = port->output;
    struct port_output_stats *stats = &output->stats;
    u32 at = place(output, frame->len);
    struct sent *sent = (struct sent *)(output->buffer + at);

    assert(at != OUTPUT_BYTES);
    if (at < output->tail)
        output->wrap = output->tail;
    output->tail = at + room_of(frame->len);
    *sent = (struct sent){
        .len = frame->len,
        .offload = frame->offload,
        .after = output->marked,
        .since = clock_ns(),
    };
    frame_read(frame, 0, sent + 1, frame->len);
    stats->frames++;
    stats->bytes += frame->len;
    stats->most_bytes = MAX(stats->most_bytes, stats->bytes);
    stats->full += !port_output_room(port);
}

void port_output(struct port *port, const struct frame *frame)
{
    if (port_output_holds(port))
        hold(port, frame);
    else
        switch_input(port, frame);
}

/* The first frame, if there is one that may go. */
static struct sent *first(const struct output *output)
{
    struct sent *sent = (struct sent *)(output->buffer + output->head);

    return output->stats.frames && (output->ending || sent->after < output->released) ? sent : NULL;
}

/* Take the first frame out. Its bytes stay as they are until the next frame is held. */
static void take(struct output *output, const struct sent *sent)
{
    struct port_output_stats *stats = &output->stats;
    u64 wait = clock_ns() - sent->since;

    stats->frames--;
    stats->bytes -= sent->len;
    stats->passed++;
    stats->passed_wait += wait;
    stats->longest_wait = MAX(stats->longest_wait, wait);
    output->head += room_of(sent->len);
    if (!stats->frames) {
        output->head = output->tail = 0;
        output->wrap = NO_WRAP;
    } else if (output->head == output->wrap) {
        output->head = 0;
        output->wrap = NO_WRAP;
    }
}

bool port_output_poll(struct port *port)
{
    struct output *output = port->output;
    struct sent *sent;

    if (!port_output_holds(port) || port->closed)
        return false;
    for (unsigned i = 0; (sent = first(output)); i++) {
        struct frame frame = frame_of(sent + 1, sent->len);

        if (i == BUDGET || switch_congested(0))
            return true;
        frame.offload = sent->offload;
        headers_parse(&frame);
        take(output, sent);
        switch_input(port, &frame);
    }
    if (output->ending)
        stop(output);
    return false;
}

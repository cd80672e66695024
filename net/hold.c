/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of copies, as a frame's pieces are valid during the call only. */
#include "net/hold.h"

#include <stdlib.h>

#include "net/frame.h"

struct held {
    struct held *next;
    struct frame_offload offload;
    uint32_t len;
    uint8_t bytes[];
};

void port_hold(struct port *port)
{
    port->holding = true;
}

bool port_hold_frame(struct port *port, const struct frame *frame)
{
    struct held *held = port->nr_held < HOLD_FRAMES ? malloc(sizeof(*held) + frame->len) : NULL, **end = &port->held;

    if (!held)
        return false;
    held->next = NULL;
    held->offload = frame->offload;
    held->len = frame->len;
    frame_read(frame, 0, held->bytes, frame->len);
    while (*end)
        end = &(*end)->next;
    *end = held;
    port->nr_held++;
    port->counters.held++;
    port->counters.copied_bytes += frame->len;
    return true;
}

/* The first frame that is kept, taken out; NULL: none is left. */
static struct held *take(struct port *port)
{
    struct held *held = port->held;

    if (held) {
        port->held = held->next;
        port->nr_held--;
    }
    return held;
}

void port_release(struct port *port)
{
    struct held *held;

    port->holding = false;
    while ((held = take(port))) {
        struct frame frame = frame_of(held->bytes, held->len);

        frame.offload = held->offload;
        port_deliver(port, &frame);
        free(held);
    }
}

void port_hold_drop(struct port *port)
{
    struct held *held;

    port->holding = false;
    while ((held = take(port))) {
        port->counters.tx_dropped++;
        free(held);
    }
}

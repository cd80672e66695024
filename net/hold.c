/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of copies, as a frame's pieces are valid during the call only. */
#include "net/hold.h"

#include <stdlib.h>

#include "net/ethernet.h"
#include "net/heard.h"

struct held {
    struct held *next;
    u32 len;
    u8 bytes[];
};

void port_hold(struct port *port)
{
    port->holding = true;
}

bool port_hold_frame(struct port *port, const struct frame *frame)
{
    bool room = port->nr_held < HOLD_FRAMES && frame->len <= HOLD_BYTES - port->held_bytes;
    struct held *held = room ? malloc(sizeof(*held) + frame->len) : NULL, **end = &port->held;

    if (!held)
        return false;
    held->next = NULL;
    held->len = frame->len;
    frame_read(frame, 0, held->bytes, frame->len);
    while (*end)
        end = &(*end)->next;
    *end = held;
    port->nr_held++;
    port->held_bytes += frame->len;
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
        port->held_bytes -= held->len;
    }
    return held;
}

/* All are taken out first: the port may begin to keep frames again meanwhile, from the one that it does not take on. */
void port_release(struct port *port)
{
    struct held *next = port->held;

    port->held = NULL;
    port->nr_held = port->held_bytes = 0;
    port->holding = false;
    for (struct held *held; (held = next); free(held)) {
        struct frame frame = frame_of(held->bytes, held->len);

        next = held->next;
        headers_parse(&frame);
        port_deliver(port, &frame);
    }
    heard_end_later(port);
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

u32 port_hold_take(struct port *port, void *bytes, u32 room)
{
    struct held *held;
    u32 len = 0;

    while (!len && (held = take(port))) {
        if (held->len <= room) {
            len = held->len;
            memcpy(bytes, held->bytes, len);
        } else {
            port->counters.tx_dropped++;
        }
        free(held);
    }
    return len;
}

void port_hold_pass(struct port *from, struct port *to)
{
    to->held = from->held;
    to->nr_held = from->nr_held;
    to->held_bytes = from->held_bytes;
    to->holding = true;
    from->held = NULL;
    from->nr_held = from->held_bytes = 0;
    from->holding = false;
}

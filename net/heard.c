/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring of digests. A digest counts for one late frame: of two equal frames that came late, none is lost. */
#include "net/heard.h"

#include <stdlib.h>

#include "host/clock.h"
#include "config/digest.h"
#include "net/ethernet.h"
#include "net/hold.h"

#define DIGESTED 2048 /* bytes of a frame that count: all, unless the frame is longer than a link can carry */

struct heard {
    u64 until;     /* clock_ns */
    unsigned next; /* to be written */
    u64 digest[HEARD_FRAMES];
};

/* Never 0, which is an empty place of the ring. */
static u64 frame_digest(const struct frame *frame)
{
    static u8 bytes[DIGESTED]; /* host loop only */
    u32 len = frame->len < DIGESTED ? frame->len : DIGESTED;

    frame_read(frame, 0, bytes, len);
    return digest_bytes(frame->len, bytes, len) | 1;
}

void heard_begin(struct port *port)
{
    heard_end(port);
    port->heard = calloc(1, sizeof(*port->heard));
    if (port->heard)
        port->heard->until = UINT64_MAX;
}

void heard_end_later(struct port *port)
{
    if (port->heard)
        port->heard->until = clock_ns() + HEARD_NS;
}

void heard_end(struct port *port)
{
    free(port->heard);
    port->heard = NULL;
}

/* Is it still time for late frames? */
static bool in_time(struct port *port)
{
    if (port->heard && clock_ns() > port->heard->until)
        heard_end(port);
    return port->heard;
}

void heard_note(struct port *port, const struct frame *frame)
{
    if (in_time(port))
        port->heard->digest[port->heard->next++ % HEARD_FRAMES] = frame_digest(frame);
}

/* Has the port been given this frame? A yes forgets its digest: each one answers for one late frame. */
static bool heard_take(struct heard *heard, const struct frame *frame)
{
    u64 digest = frame_digest(frame);

    for (unsigned i = 0; i < HEARD_FRAMES; i++)
        if (heard->digest[i] == digest) {
            heard->digest[i] = 0;
            return true;
        }
    return false;
}

bool port_deliver_late(struct port *port, const void *bytes, u32 len)
{
    struct frame frame = frame_of(bytes, len);

    headers_parse(&frame);
    if (!in_time(port) || port->closed || !frame.headers.valid || frame.headers.type == ETH_TYPE_PEERS)
        return false;
    if (heard_take(port->heard, &frame)) {
        port->counters.late_twice++;
        return false;
    }
    port->counters.late++;
    return port_give(port, &frame);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* After RUNNING: frames that reached this machine for the guest follow it. */
#include "migrate/source_parts.h"

bool source_forward(struct source *s)
{
    struct outbox *box = &s->outbox;
    size_t len;

    if (!s->forwarding)
        return false;
    outbox_begin(box);
    len = s->stats.forwarded < WIRE_FRAMES ? s->ops->frame(s->vm, box->body.buf, WIRE_FRAME_MAX) : 0;
    box->body.at = len;
    if (len) {
        outbox_end(box, WIRE_FRAME);
        s->stats.forwarded++;
        return true;
    }
    outbox_cancel(box);
    s->forwarding = source_now(s) - s->phase_began < WIRE_FORWARD_MS * NS_PER_MS;
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* After RUNNING: frames that reached this machine for the guest follow it. */
#include "migrate/source_parts.h"

bool source_frame(struct source *s)
{
    struct outbox *box = &s->outbox;
    size_t len;

    outbox_begin(box);
    len = s->stats.forwarded < WIRE_FRAMES ? s->ops->frame(s->vm, box->body.buf, WIRE_FRAME_MAX) : 0;
    box->body.at = len;
    if (len) {
        outbox_end(box, WIRE_FRAME);
        s->stats.forwarded++;
        return true;
    }
    outbox_cancel(box);
    return false;
}

bool source_frames_come(const struct source *s)
{
    return source_now(s) - s->stopped - s->stats.downtime < WIRE_FORWARD_MS * NS_PER_MS;
}

bool source_forward(struct source *s)
{
    if (source_frame(s))
        return true;
    if (source_frames_come(s))
        return false;
    source_follow(s);
    return true;
}

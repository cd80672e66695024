/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that reached the source for a guest that runs here by now. */
#include "migrate/dest_parts.h"

void receive_frame(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    const struct inbox *box = &session->inbox;
    const struct migrate_dest_ops *ops = session->dest->ops;

    if (!in || (!dest_state_runs(in->handoff.state) && in->handoff.state != DEST_GONE)) {
        dest_refuse(session, WIRE_E_STREAM, "FRAME out of turn");
        return;
    }
    if (box->len < WIRE_FRAME_MIN || box->len > WIRE_FRAME_MAX) {
        dest_refuse(session, WIRE_E_STREAM, "FRAME of a length that no frame has");
        return;
    }
    /* The guest may have moved on, or ended, meanwhile. */
    if (dest_state_runs(in->handoff.state) && in->stats.frames++ < WIRE_FRAMES)
        in->stats.delivered += ops->frame(in->vm, box->body, box->len);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for a guest that has left still come to its old machine until the switches of the link have heard of its new
 * place. They are kept (net/hold.h) behind a port of their own, which has the guest's address, and the source sends
 * them on as FRAME records. Host loop.
 */
#pragma once

#include "net/port.h"

struct forward {
    struct port port; /* zero while it is off */
    bool on;
};

/* The guest behind `from`, a closed port, has left: take over what is kept for it, and keep what still comes. */
void forward_begin(struct forward *forward, struct port *from);

/* Take out the next frame. Returns its length; 0 if there is no frame now, or if forwarding is off. */
u32 forward_take(struct forward *forward, void *bytes, u32 room);

/* Leave the switch; frames that are still kept are lost. Forwarding may be off already. Not from within
 * switch_input. */
void forward_end(struct forward *forward);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a guest was, frames for it still come until the switches of the link have heard of its new place. They are kept
 * (net/hold.h) behind a port of their own, with the guest's address, for the source to send on as FRAME records. Host
 * loop.
 */
#pragma once

#include "net/port.h"

struct forward {
    struct port port; /* zero while it is off */
    bool on;
};

/* The guest behind `from`, a closed port, has left: take over what is kept for it, and keep what still comes. */
void forward_begin(struct forward *forward, struct port *from);

/* Take out the next frame. Returns its length; 0: there is none now, or it is off. */
uint32_t forward_take(struct forward *forward, void *bytes, uint32_t room);

/* Leave the switch; what is kept is lost. May be off already. Not from within switch_input. */
void forward_end(struct forward *forward);

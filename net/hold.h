/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for a port whose guest stands for the moment of a move, or whose receive buffers are in missing pages. They
 * are kept in order, up to HOLD_FRAMES and HOLD_BYTES, and delivered when the guest goes on. The host that the guest
 * has left keeps the frames that still come there, and sends them on (net/forward.h). While a port keeps frames,
 * the switch finishes their offloads first. Host loop only.
 */
#pragma once

#include "net/port.h"

#define HOLD_FRAMES 256 /* as many as a guest's receive ring has buffers */
#define HOLD_BYTES (512u << 10)

/* Begin to keep frames. A closed port keeps the frames that are for its owner, and those for a group that its guest has
 * not sent itself. */
void port_hold(struct port *port);

/* Deliver the kept frames, and keep no more; but if the port begins to keep frames meanwhile, it keeps the rest. Not
 * from within switch_input. */
void port_release(struct port *port);

/* Drop the kept frames, counted as tx_dropped, and keep no more. */
void port_hold_drop(struct port *port);

/* For the switch: keep this frame. False: there is no room. */
bool port_hold_frame(struct port *port, const struct frame *frame);

/*
 * Take out the first kept frame. Returns its length, 0: none is left. A frame that is longer than `room` is dropped and
 * counted as tx_dropped, and the next one is taken.
 */
u32 port_hold_take(struct port *port, void *bytes, u32 room);

/* Give the frames that `from` has kept to `to`, which has none yet. From now on `to` keeps frames and `from` does not.
 */
void port_hold_pass(struct port *from, struct port *to);

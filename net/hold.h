/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for a port whose guest stands still for the moment of a move: kept in order, up to HOLD_FRAMES and HOLD_BYTES,
 * and delivered when the guest goes on. The host that the guest has left keeps what still comes there, and sends it on
 * (migrate/forward.h). While a port keeps frames, the switch finishes their offloads first. Host loop only.
 */
#pragma once

#include "net/port.h"

#define HOLD_FRAMES 256 /* as many as a guest's receive ring has buffers */
#define HOLD_BYTES (512u << 10)

/* Begin to keep frames. A port that is closed keeps those that are for its owner or for a group. */
void port_hold(struct port *port);

/* Deliver what was kept, and keep no more. Not from within switch_input. */
void port_release(struct port *port);

/* Forget what was kept, counted as tx_dropped, and keep no more. */
void port_hold_drop(struct port *port);

/* For the switch: keep this one. False: there is no room. */
bool port_hold_frame(struct port *port, const struct frame *frame);

/*
 * Take out the first frame that is kept. Returns its length, 0: none is left. What is longer than `room` is dropped and
 * counted as tx_dropped.
 */
uint32_t port_hold_take(struct port *port, void *bytes, uint32_t room);

/* `to`, which keeps nothing yet, keeps what `from` has kept and goes on with it; `from` keeps no more. */
void port_hold_pass(struct port *from, struct port *to);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames for a port whose guest stands still for the moment of a move: kept in order, up to HOLD_FRAMES, and delivered
 * when it goes on. Host loop only.
 */
#pragma once

#include "net/port.h"

#define HOLD_FRAMES 64

/* Begin to keep frames. */
void port_hold(struct port *port);

/* Deliver what was kept, and keep no more. Not from within switch_input. */
void port_release(struct port *port);

/* Forget what was kept, counted as tx_dropped, and keep no more. */
void port_hold_drop(struct port *port);

/* For the switch: keep this one. False: there is no room. */
bool port_hold_frame(struct port *port, const struct frame *frame);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames that a port has been given since its guest is about to live here, as digests of the last HEARD_FRAMES. The
 * guest's old host sends on the frames that reached it meanwhile (net/forward.h). A frame for a group, or one that
 * a switch has flooded, reaches both hosts: the guest shall have it once. Host loop only.
 */
#pragma once

#include "host/clock.h"
#include "net/port.h"

#define HEARD_FRAMES 1024
#define HEARD_NS NS_PER_S /* how long frames may come late, from the moment in which the guest goes on */

/* Begin to note the frames that the port is given. Without memory for that, no late frame is accepted. */
void heard_begin(struct port *port);

/* The guest goes on now: keep noting for HEARD_NS. */
void heard_end_later(struct port *port);

/* Forget all. */
void heard_end(struct port *port);

/* For the switch: the port was given this frame. */
void heard_note(struct port *port, const struct frame *frame);

/*
 * Give a port a frame that reached the host where its guest was. False: it is too late for that, the frame is one
 * between hypervisors, or the port has had it (counted as late_twice), has no room, or is closed.
 */
bool port_deliver_late(struct port *port, const void *bytes, u32 len);

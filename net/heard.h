/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a port was given since its guest is about to live here, as digests of the last HEARD_FRAMES frames. The host
 * that the guest comes from sends on what reached it meanwhile (migrate/forward.h), and a frame for a group, or one
 * that a switch has flooded, reaches both hosts: the guest shall have it once. Host loop only.
 */
#pragma once

#include "net/port.h"

#define HEARD_FRAMES 1024
#define HEARD_NS 1000000000ULL /* how long frames may come late, from when the guest is let go */

/* Begin to note what the port is given. Without memory for that, no frame is taken late. */
void heard_begin(struct port *port);

/* The guest has been let go: go on for HEARD_NS. */
void heard_end_later(struct port *port);

/* Forget all. */
void heard_end(struct port *port);

/* For the switch: the port was given this frame. */
void heard_note(struct port *port, const struct frame *frame);

/*
 * Give a port a frame that reached the host where its guest was. False: it is too late for that, the port has had it
 * (counted as late_twice), has no room, or is closed.
 */
bool port_deliver_late(struct port *port, const void *bytes, uint32_t len);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output commit (docs/network.md): frames that a protected guest sends are held until another machine has the
 * checkpoint that contains their cause. So nothing that the guest has said to the outside, local guests included, is
 * ever untrue of the copy that goes on.
 *
 * Frames are held as the guest's driver has given them, with the work that they want of their card, and reach the
 * switch in the order in which they were sent. They are copied into a buffer of OUTPUT_BYTES. While there is no room
 * for the longest frame the guest's ring waits; nothing is ever dropped for want of room. Frames for the guest, and
 * what the hypervisor says in its name (net/announce.h), are not held: protect/guarding.c ends that when another
 * machine may speak for the guest. Host loop.
 */
#pragma once

#include "net/port.h"

#define OUTPUT_BYTES (4u << 20)

/* Of a port, from its first frame that was held on: what is counted is kept when nothing is held any more. */
struct port_output_stats {
    u64 frames, bytes;       /* held now */
    u64 most_bytes;          /* held at one time, at most */
    u64 passed, passed_wait; /* frames that were held and went to the switch; ns for which they were held, in all */
    u64 longest_wait;        /* ns for which one of them was held, at most */
    u64 full;                /* how often there was no room left, so that the ring had to wait */
    u64 dropped;             /* frames, by port_output_drop */
};

/* --- For the engine that makes checkpoints --- */

/* Get the memory that is needed to hold frames; none are held yet. Returns 0; -ENOMEM; or -EAGAIN: what was held before
 * port_output_end has not gone yet: call again in a later round. */
int port_output_reserve(struct port *port);

/* Hold what the port's owner sends from now on. The memory is reserved. Checkpoints are numbered from 1 again. */
void port_output_hold(struct port *port);

/* Frames that were sent until now, and belong to no checkpoint yet, belong to this one. The guest stands, and its state
 * is as in the checkpoint. Numbers ascend. */
void port_output_mark(struct port *port, u64 checkpoint);

/* Another machine has this checkpoint: let the frames go that belong to it and to those before. A port that is closed
 * keeps them until it is opened. */
void port_output_release(struct port *port, u64 checkpoint);

/* Let all frames go, and hold no more. */
void port_output_end(struct port *port);

/* Drop all frames that are held, and hold no more: another copy of the guest runs. What is only reserved is given back,
 * too. */
void port_output_drop(struct port *port);

/* The port is gone: as port_output_drop, and nothing is counted any more. */
void port_output_fini(struct port *port);

/* Are frames held, or to be? */
bool port_output_holds(const struct port *port);

/* Returns port_output_holds(port). */
bool port_output_stats(const struct port *port, struct port_output_stats *stats);

/* --- For the port's owner --- */

/* Send a frame: into the switch, or hold it. There is room (port_output_room). Not from within switch_input. */
void port_output(struct port *port, const struct frame *frame);

/* May any frame be sent now? If not, keep it: there is room again when frames were released and have gone. */
bool port_output_room(const struct port *port);

/* Let some of the frames go that may go. Returns true if there are more. Each round, not from within switch_input. */
bool port_output_poll(struct port *port);

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own TCP/IP stack: lwIP, polled by the host loop.
 *
 * All of lwIP belongs to the CPU that runs the host loop: these functions, every callback and every use of lwIP's API
 * happen there and nowhere else.
 */
#pragma once

#include "host/types.h"

struct config_net;

/* Bring the stack and its loopback interface up. Once, after clock_init() and the heap. */
void net_init(void);

/* Do what the [net] section says: settings of the switch, uplink, own interface, test services. After net_init. Boot.
 */
void net_start(const struct config_net *config);

/*
 * The uplink's turn, then lwIP's: frames, looped-back packets and timers that are due. Host work (hv/sched.h): returns
 * when it wants its next turn; never blocks.
 */
u64 net_poll(void);

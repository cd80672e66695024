/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The learning switch behind net/port.h: its settings, and its numbers for reports. Host loop only.
 *
 * A frame goes to the port behind which its destination was last seen, or whose owner has that address. If there is no
 * such port, or if the frame is for a group, it goes to all ports but its own. Addresses are forgotten after
 * SWITCH_AGE_NS of silence. An address that belongs to an open port is never learnt behind another one.
 */
#pragma once

#include "net/port.h"

#define SWITCH_AGE_NS 300000000000ULL /* IEEE 802.1Q, "Ageing Time" */
#define SWITCH_ADDRESSES 1024

struct switch_settings {
    u32 storm_limit; /* broadcast and multicast frames a second from a port, a tenth at once; 0: no limit */
    bool anti_spoof; /* a port with a mac that joins from now on gets check_source */
};

struct switch_counters {
    /* Frames by the decision of the switch: each frame from an open port is counted in one of these. */
    u64 forwarded, flooded;
    u64 unforwarded; /* for an address behind their own port; of ETH_TYPE_PEERS, but for a guest */
    u64 storm_dropped, spoof_dropped, malformed;

    u64 finished;      /* frames that an offload was finished for */
    u64 mac_conflicts; /* frames from elsewhere with the MAC of an open port's owner, which have been counted above */
};

void switch_configure(const struct switch_settings *settings);

const struct switch_settings *switch_settings(void);

/* The list of ports, by `next`. */
struct port *switch_ports(void);
const struct switch_counters *switch_counters(void);

/* The port behind which an address is known now, or NULL. */
struct port *switch_lookup(const u8 *mac);

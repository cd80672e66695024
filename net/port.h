/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports of the switch: guests' network devices, the uplink NICs and the hypervisor's own lwIP interface join it.
 *
 * All of net/ runs in the host loop on CPU 0 and nowhere else, so nothing here is locked. A guest device that is kicked
 * by its vcpu wakes the host loop (cpu_kick(0)) and is served there. deliver() is never called for the port that a
 * frame comes from, and never calls switch_input, which asserts that: a port that answers a frame queues its answer,
 * and sends it in its own next turn. So nothing comes back to a sender from within switch_input.
 */
#pragma once

#include "net/headers.h"

#define FRAME_PARTS 20
#define FRAME_MAX (65536 + 64) /* a TSO frame with its headers */

struct frame_part {
    const void *data;
    u32 len;
};

/* Offloads that travel with a frame, with the meaning of virtio 1.2, 5.1.6 (struct virtio_net_hdr). */
struct frame_offload {
    u8 flags;    /* 1: csum_start and csum_offset tell where a checksum is to be made; 2: checksums are right */
    u8 gso_type; /* 0 none; 1 TCPv4 and 4 TCPv6, both together with flag 1 */
    u16 header_len, gso_size;
    u16 csum_start, csum_offset;
};

/* An Ethernet frame without FCS, in pieces; valid during the call only. */
struct frame {
    struct frame_part part[FRAME_PARTS + 1]; /* senders use at most FRAME_PARTS; the last is spare, for new headers */
    unsigned nr_parts;
    u32 len; /* of all parts */
    struct frame_offload offload;
    struct headers headers; /* of headers_parse, which whoever brings the frame in has called */
};

struct port_counters {
    u64 rx_frames, rx_bytes; /* from the port into the switch */
    u64 tx_frames, tx_bytes; /* from the switch to the port */
    u64 rx_dropped;          /* refused by the switch: spoofed source, storm, malformed */
    u64 tx_dropped;          /* the port had no room, or was closed */
    u64 held;                /* kept while the guest stood (net/hold.h); counted again when delivered */
    u64 late;                /* frames that came by way of the guest's last host (net/heard.h) */
    u64 late_twice;          /* such frames that the port had already been given: dropped */
    u64 copied_bytes;        /* of frames for the port, copied by the processor: once, or twice if held */
};

enum port_address_kind { PORT_MAC, PORT_IP4, PORT_IP6 };

/* An address that lives behind a port: a MAC that the port sends from, or an IP address that its guest uses. */
struct port_address {
    u8 kind;               /* enum port_address_kind */
    bool router;           /* IPv6: the guest said that it is a router */
    u8 mac[MAC_LEN];       /* the MAC of this IP address, or the address itself if it is a MAC */
    struct vlan_tags tags; /* of the frame that showed the address */
    u8 ip[16];             /* IPv4: the first four bytes; PORT_MAC: unused */
    u64 seen;              /* clock_ns at which it was last seen */
};

#define PORT_ADDRESSES 64
#define PORT_ADDRESS_AGE_NS 300000000000ULL /* as long as a switch remembers a MAC */

/* Embedded in the owner's struct; a field that the owner does not set is zero. */
struct port {
    char name[32];
    u8 mac[MAC_LEN];                /* the owner's address; all zero for an uplink */
    bool check_source;              /* MAC anti-spoof: only frames from `mac` are let in; switch_add may set it */
    bool peers;                     /* other hypervisors are behind it, or it is our own: ETH_TYPE_PEERS */
    bool closed;                    /* no frame goes in or out (a VM that is being handed over) */
    bool offload_csum, offload_tso; /* the port takes such frames as they are; else the switch finishes them first */
    /* Take a frame from the switch, and keep no pointers into it; it may begin to keep frames (net/hold.h). False:
     * there is no room, and the frame is dropped. */
    bool (*deliver)(struct port *port, const struct frame *frame);
    /*
     * For uplinks, else NULL. False: there is room now for a frame of any size and for `spare` more. True: there may be
     * too little room, and the host loop is kicked when there is room again.
     */
    bool (*congested)(struct port *port, unsigned spare);
    struct port_counters counters;

    /* The switch's own. */
    struct port *next;
    struct port_address address[PORT_ADDRESSES]; /* only ports with a mac have some: net/snoop.h */
    unsigned nr_addresses;
    bool holding; /* net/hold.h */
    struct held *held;
    u32 nr_held, held_bytes;
    struct heard *heard;   /* net/heard.h */
    struct output *output; /* net/output.h */
    s64 storm_ns;          /* the token bucket: when it was last empty, in the time of clock_ns */
};

/*
 * Give a port a frame, and count it. port_deliver notes the frame for net/heard.h. port_give does not; it returns
 * whether the port has taken or kept the frame. For the switch, net/hold.c and net/heard.c: everybody else calls
 * switch_input.
 */
void port_deliver(struct port *port, const struct frame *frame);
bool port_give(struct port *port, const struct frame *frame);

/* Join and leave the switch. The owner keeps the memory. The address table forgets a port that leaves. */
void switch_add(struct port *port);
void switch_remove(struct port *port);

/* Addresses that were seen behind `from` are behind `to` from now on. */
void switch_inherit(struct port *from, struct port *to);

/* A frame comes in from `from`: learn its source, forward or flood it. */
void switch_input(struct port *from, const struct frame *frame);

/*
 * True if some uplink is congested. A sender that can keep its frames (in a guest's ring, in a TCP connection) then
 * holds them back until the next round of the host loop rather than lose them. A sender of bulk data passes `spare`: so
 * many frames of others still find room.
 */
bool switch_congested(unsigned spare);

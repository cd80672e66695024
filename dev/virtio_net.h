/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's network card (virtio 1.2, 5.1), a port of the switch.
 *
 * Registers are served where the vcpu is; frames move in the host loop on CPU 0 only, under the VM's device_lock. The
 * lock is not held while the switch has a frame of ours: the frame may go to the card of another VM, which takes its
 * own device_lock, and no CPU holds two of these (host/lock.h). No frame comes back meanwhile, because a port that
 * answers queues its answer (net/port.h). But the guest may reset the device meanwhile; the transport's epoch tells.
 *
 * The driver never gets an offload that it did not negotiate: port.offload_* tell the switch, and deliver refuses the
 * rest.
 */
#pragma once

#include "dev/virtio_pci.h"
#include "host/bits.h"
#include "host/list.h"
#include "net/port.h"

#define VIRTIO_NET_MTU 1500
#define VIRTIO_NET_FILTERS 64 /* MAC addresses in the receive filter */

#define VIRTIO_NET_F_CSUM (1ULL << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ULL << 1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS (1ULL << 2)
#define VIRTIO_NET_F_MTU (1ULL << 3)
#define VIRTIO_NET_F_MAC (1ULL << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (1ULL << 7)
#define VIRTIO_NET_F_GUEST_TSO6 (1ULL << 8)
#define VIRTIO_NET_F_HOST_TSO4 (1ULL << 11)
#define VIRTIO_NET_F_HOST_TSO6 (1ULL << 12)
#define VIRTIO_NET_F_MRG_RXBUF (1ULL << 15)
#define VIRTIO_NET_F_STATUS (1ULL << 16)
#define VIRTIO_NET_F_CTRL_VQ (1ULL << 17)
#define VIRTIO_NET_F_CTRL_RX (1ULL << 18)
#define VIRTIO_NET_F_GUEST_ANNOUNCE (1ULL << 21)
#define VIRTIO_NET_F_CTRL_MAC_ADDR (1ULL << 23)

#define VIRTIO_NET_CONFIG_STATUS MAC_LEN /* offset of status in struct virtio_net_config */
#define VIRTIO_NET_S_LINK_UP 1
#define VIRTIO_NET_S_ANNOUNCE 2

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1
#define VIRTIO_NET_HDR_GSO_NONE 0
#define VIRTIO_NET_HDR_GSO_TCPV4 1
#define VIRTIO_NET_HDR_GSO_TCPV6 4

/* Before each frame in guest memory. */
struct virtio_net_hdr {
    u8 flags, gso_type;
    u16 hdr_len, gso_size, csum_start, csum_offset;
    u16 num_buffers;
};
#define VIRTIO_NET_HDR_SIZE sizeof(struct virtio_net_hdr)

enum virtio_net_queue { VIRTIO_NET_RX, VIRTIO_NET_TX, VIRTIO_NET_CTRL, VIRTIO_NET_QUEUES };

enum virtio_net_ctrl_class {
    VIRTIO_NET_CTRL_RX = 0,
    VIRTIO_NET_CTRL_MAC = 1,
    VIRTIO_NET_CTRL_ANNOUNCE = 3,
    VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5,
};

/* Of VIRTIO_NET_CTRL_GUEST_OFFLOADS: the features of this mask that the driver wants from now on, as 64 bits. */
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0
#define VIRTIO_NET_GUEST_OFFLOADS (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6)

/* Commands of VIRTIO_NET_CTRL_RX; each has a byte, on or off. The others of the class were not negotiated. */
enum virtio_net_ctrl_rx { VIRTIO_NET_CTRL_RX_PROMISC = 0, VIRTIO_NET_CTRL_RX_ALLMULTI = 1 };

enum virtio_net_ctrl_mac { VIRTIO_NET_CTRL_MAC_TABLE_SET = 0, VIRTIO_NET_CTRL_MAC_ADDR_SET = 1 };

#define VIRTIO_NET_CTRL_ANNOUNCE_ACK 0
#define VIRTIO_NET_OK 0
#define VIRTIO_NET_ERR 1

/* Why all frames of a kind pass the filter. */
#define VIRTIO_NET_ALL_ASKED BIT(0) /* the driver asked for them, and has not taken that back */
#define VIRTIO_NET_ALL_FULL BIT(1)  /* its last table had more addresses than we keep */
#define VIRTIO_NET_ALL (VIRTIO_NET_ALL_ASKED | VIRTIO_NET_ALL_FULL)

/* What the driver wants to receive. */
struct virtio_net_filter {
    u8 promiscuous, all_multicast; /* VIRTIO_NET_ALL_*; 0: only what the rest of the filter lets pass */
    u8 mac[MAC_LEN];               /* the driver's own */
    u32 count;
    u8 address[VIRTIO_NET_FILTERS][MAC_LEN];
};

#define VIRTIO_NET_NEVER (~0ULL)

/* The state of transmission (virtio_net_tx.c). Times are of the host's TSC; host loop. */
struct virtio_net_tx {
    u64 look;   /* when to look at the ring without a doorbell; VIRTIO_NET_NEVER: the driver rings */
    u64 tell;   /* when to interrupt for sent frames; VIRTIO_NET_NEVER: there are none */
    u64 bytes;  /* sent since we last found the ring empty */
    u32 looks;  /* that found the ring empty, since the last time that many bytes had been sent */
    bool waits; /* until there is room for frames that are held (net/output.h) */
};

struct virtio_net {
    struct virtio virtio;
    struct port port;
    struct list node; /* of all devices; host loop */
    struct vm *vm;
    u8 mac[MAC_LEN]; /* the card's own; port.mac is the one that the driver has taken */
    struct virtio_net_filter filter;
    bool clone;       /* of another guest: its port lets out the card's own MAC only, wherever it moves */
    bool keeps;       /* RAM is missing: the port may have to keep frames, so the switch finishes them */
    u64 offloads_off; /* those of VIRTIO_NET_GUEST_OFFLOADS that the driver has turned off for now */
    struct virtio_net_tx tx;
    bool lifeless; /* its VM has ended, or was not started yet here, so the port is closed */
    bool paused;   /* no frame moves: the VM is being handed over */
    u64 stood;     /* clock_ns at which it was paused; ages of the addresses behind the port are counted to there */
    u32 pending;   /* queues with something to do, a bit each; set by anyone, taken by the host loop */
    bool received; /* frames were delivered since the last interrupt */
    u64 filtered;  /* frames that the driver did not want */
    u64 malformed; /* frames from the driver that made no sense */
    u64 announces; /* how often the driver was asked to announce its address */
};

/* Create the card with that address in a slot, and join the switch. Host loop. */
void virtio_net_init(struct virtio_net *net, struct vm *vm, struct pci_bus *bus, unsigned slot, const u8 mac[MAC_LEN]);

/* Which VM other than that of `net` (which may be NULL) has this MAC here, as its card's own or as the one that its
 * driver has taken? Returns the VM's name; "godwit": the hypervisor's interface has it; NULL: nobody. A VM that has
 * ended has no MAC. Host loop. */
const char *virtio_net_owner(const u8 mac[MAC_LEN], const struct virtio_net *but);

/* Leave the switch. Host loop, but not from within switch_input. */
void virtio_net_fini(struct virtio_net *net);

/*
 * Host work: move the frames that guests send, then interrupt for those that guests got. Each frame for a guest must
 * have been delivered before, or be from a guest: so this comes last in the round, after the NICs and the stack.
 */
u64 virtio_net_poll(void);

/* Have the driver announce its address on the network (after a migration), if it has negotiated that. Host loop. */
void virtio_net_announce(struct virtio_net *net);

/*
 * pause: stop moving frames, with no request half done. resume: go on. Between the two the card's state can be saved;
 * requests that the driver makes available meanwhile are found later, and frames for the guest are held (net/hold.h).
 * Host loop, but not from within switch_input.
 */
void virtio_net_pause(struct virtio_net *net);
void virtio_net_resume(struct virtio_net *net);

/*
 * While the card is paused, these say where its guest lives. close: elsewhere; the port is closed and holds no frames.
 * leave: perhaps elsewhere by now; the port is closed and holds the frames that still come. open: soon here; the port
 * is open and holds frames, and some may come late (net/heard.h). Host loop.
 */
void virtio_net_close(struct virtio_net *net);
void virtio_net_leave(struct virtio_net *net);
void virtio_net_open(struct virtio_net *net);

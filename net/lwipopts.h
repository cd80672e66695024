/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lwIP's options where they differ from its defaults. lwIP includes this file by its name.
 *
 * The defaults suit a sensor with 64 KiB of RAM. We carry the memory of virtual machines over 1 to 10 Gbit/s: large
 * windows, memory from malloc, and no timer on the way of a single byte.
 */
#pragma once

/* One thread, polled: the raw API only. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0

/* Protocols. */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define IPV6_FRAG_COPYHEADER 1 /* a 64-bit pointer does not fit where lwIP would keep it */
#define LWIP_ICMP 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_DHCP 1
#define LWIP_DNS 1
#define LWIP_ALTCP 1 /* TLS sits between an altcp and its TCP connection */
#define IP_FORWARD 0
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_NETIF_LINK_CALLBACK 1

/* 127.0.0.1 and ::1; what is sent there is delivered by the next net_poll(). */
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_LOOPBACK_MAX_PBUFS 4096

/*
 * Memory. Heap blocks, the small fixed structures (memp) and frames come from newlib's malloc: no limit to tune, and an
 * idle host pays for nothing.
 */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 16
#define ETH_PAD_SIZE 0
#define PBUF_LINK_HLEN 18 /* room for a VLAN tag in front of what we send */

/*
 * TCP. Bandwidth * delay of 10 Gbit/s * 1 ms is 1.25 MB: a window of 2 MiB, scaled by 2^6 (the field holds 16 bits).
 * The send queue holds as much, in segments of one MSS with some slack for short ones.
 */
#define TCP_FRAME 1460           /* bytes of TCP in a frame */
#define TCP_MSS (11 * TCP_FRAME) /* between hypervisors, where the card or the switch cuts segments: net/netif.c */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* they are made for lwIP's socket layer and its small pools */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 6
#define TCP_WND (2 * 1024 * 1024)
#define TCP_SND_BUF (2 * 1024 * 1024)
#define TCP_SND_QUEUELEN 8192
#define MEMP_NUM_TCP_SEG TCP_SND_QUEUELEN
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define TCP_WND_UPDATE_THRESHOLD (TCP_WND / 8)
#define TCP_QUEUE_OOSEQ 1
/* How many bytes and frames may wait behind a gap: a whole window for a move, little for anybody else. */
#define TCP_OOSEQ_BYTES_LIMIT(pcb) ((pcb)->prio == TCP_PRIO_STREAM ? TCP_WND : 0x10000)
#define TCP_OOSEQ_PBUFS_LIMIT(pcb) ((pcb)->prio == TCP_PRIO_STREAM ? TCP_WND / 1024 : 64)
#define TCP_PRIO_STREAM TCP_PRIO_MAX
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 0
#define LWIP_TCP_KEEPALIVE 1
#define TCP_OVERSIZE TCP_FRAME

#define LWIP_HOOK_FILENAME "net/tcp_hooks.h"

/* In ms. A tick of the slow timer, which counts retransmissions (net/tcp_pcb.h), is two intervals; a delayed ACK waits
 * one at most. */
#define TCP_TMR_INTERVAL 50
#define TCP_MSL 5000UL

/* TCP's checksums are made where a frame leaves the switch, by the card if it can (net/netif.c). csum.c makes the rest.
 */
#define LWIP_CHECKSUM_ON_COPY 0
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* Neighbours whose MACs are known: whoever talks to us from this link, and the peers among them. If there are more, the
 * one that has answered longest ago is forgotten, which may be a peer to whom a move goes; then all but a few of its
 * segments are lost until the peer has answered. */
#define ARP_TABLE_SIZE 512
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define ARP_QUEUEING 1
/* A packet that waits for a neighbour's MAC is copied, unless it owns its bytes. The bytes of a move are guest RAM,
 * which is given back when TCP has let go of it. */
#define PBUF_NEEDS_COPY(p) (!((p)->type_internal & PBUF_TYPE_FLAG_STRUCT_DATA_CONTIGUOUS))
#define ETHARP_SUPPORT_STATIC_ENTRIES 1

/* The numbers that users see are counted where the decisions are made: by the switch, the ports and moves. */
#define LWIP_STATS 0

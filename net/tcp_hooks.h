/* SPDX-License-Identifier: BSD-2-Clause */
/* The questions that lwIP's TCP asks us (lwipopts.h names this file); tcp_hooks.c answers. Inside net/ only. */
#pragma once

#include <lwip/err.h>
#include <lwip/ip_addr.h>

#include "host/types.h"

struct pbuf;
struct tcp_hdr;
struct tcp_pcb;

/* Half of each limit is for hosts that are known (net/callers.h). Of connections that clients have begun and not
 * completed: above it the oldest is forgotten. */
#define TCP_HALF_OPEN_MAX 64
/* Limits of connections that we have closed and the peer has not, and of those in TIME_WAIT. Above them the connection
 * that has been silent for longest goes. */
#define TCP_CLOSED_MAX 128
#define TCP_TIME_WAIT_MAX 256

/* A segment has come for `pcb`, which may listen or be in TIME_WAIT. ERR_OK: lwIP goes on with the segment; otherwise
 * the hook has dealt with it. hdr's numbers are in host order; opt2: the part of the options that is not in p. */
err_t tcp_hook_segment(struct tcp_pcb *pcb, struct tcp_hdr *hdr, const u8 *opt2, struct pbuf *p);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) tcp_hook_segment(pcb, hdr, opt2, p)

/* The initial sequence number of a connection (RFC 6528). */
u32 tcp_hook_isn(const ip_addr_t *local, u16 local_port, const ip_addr_t *remote, u16 remote_port);
#define LWIP_HOOK_TCP_ISN tcp_hook_isn

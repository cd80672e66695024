/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/tcp_pcb.h"

#include <errno.h>
#include <string.h>

#include <lwip/altcp_tcp.h>
#include <lwip/priv/tcp_priv.h>

#include "net/tcp_address_lwip.h"
#include "net/tls_pcb.h"

static tcp_accept_fn accept_of_altcp;

/* Without memory for a connection lwIP says so by a pcb of NULL, which its own altcp would take for a connection. */
static err_t on_accept(void *listener, struct tcp_pcb *pcb, err_t err)
{
    return pcb ? accept_of_altcp(listener, pcb, err) : ERR_MEM;
}

int tcp_pcb_listen(u16 port, enum tcp_trust trust, void *arg, altcp_accept_fn accept)
{
    struct altcp_pcb *pcb = altcp_tcp_new_ip_type(IPADDR_TYPE_ANY), *listener;
    struct tcp_pcb_listen *tcp;

    if (!pcb)
        return -ENOMEM;
    if (altcp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK) {
        altcp_close(pcb);
        return -EADDRINUSE;
    }
    listener = altcp_listen(pcb);
    if (!listener) {
        altcp_close(pcb);
        return -ENOMEM;
    }
    altcp_arg(listener, arg);
    altcp_accept(listener, accept);
    tcp = listener->state;
    accept_of_altcp = tcp->accept;
    tcp->accept = on_accept;
    return trust == TCP_ANYBODY ? 0 : tls_pcb_listen(listener, trust, arg, accept);
}

struct altcp_pcb *tcp_pcb_new(u8 ip_type, enum tcp_trust trust)
{
    struct altcp_pcb *tcp = altcp_tcp_new_ip_type(ip_type), *pcb = tcp;

    if (tcp && trust != TCP_ANYBODY)
        pcb = tls_pcb_new(tcp, trust);
    if (tcp && !pcb)
        altcp_abort(tcp);
    return pcb;
}

static struct tcp_pcb *innermost(struct altcp_pcb *pcb)
{
    while (pcb->inner_conn)
        pcb = pcb->inner_conn;
    return pcb->state;
}

void tcp_pcb_set_stream(struct altcp_pcb *pcb)
{
    tcp_setprio(innermost(pcb), TCP_PRIO_STREAM);
}

void tcp_pcb_set_rto(struct altcp_pcb *pcb, u16 ms)
{
    struct tcp_pcb *tcp = innermost(pcb);

    tcp->rto = tcp->sv = (s16_t)(ms / TCP_SLOW_INTERVAL);
}

bool tcp_pcb_address(struct altcp_pcb *pcb, bool own, struct tcp_address *address)
{
    ip_addr_t ip;
    u16 port;

    if (altcp_get_tcp_addrinfo(pcb, own, &ip, &port) != ERR_OK)
        return false;
    *address = tcp_address_of_lwip(&ip);
    address->port = port;
    return true;
}

struct pbuf *tcp_pcb_filled(struct pbuf *p)
{
    struct pbuf *filled = p, **link = &filled;

    while ((p = *link)) {
        if (p->len) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        p->next = NULL;
        pbuf_free(p);
    }
    return filled;
}

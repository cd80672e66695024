/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/udp_sender.h"

#include <string.h>

#include <lwip/etharp.h>
#include <lwip/ip4.h>
#include <lwip/udp.h>

#include "config/config.h"
#include "host/clock.h"
#include "net/switch.h"

#define SPARE_FRAMES 8  /* room on the card that is left to others */
#define ASK_NS NS_PER_S /* between two questions of ARP */

static struct udp_pcb *pcb;
static ip_addr_t to;
static u16 port;
static u64 ask; /* when ARP may be asked again */

bool udp_sender_open(const struct config_server *server)
{
    pcb = udp_new();
    if (!pcb)
        return false;
    IP_ADDR4(&to, server->bytes[0], server->bytes[1], server->bytes[2], server->bytes[3]);
    port = (u16)server->port;
    return true;
}

/* The machine whose MAC the frame needs: the server or the router. NULL: there is no route. */
static const ip4_addr_t *next_hop(const struct netif *netif)
{
    if (ip4_addr_netcmp(ip_2_ip4(&to), netif_ip4_addr(netif), netif_ip4_netmask(netif)))
        return ip_2_ip4(&to);
    return ip4_addr_isany(netif_ip4_gw(netif)) ? NULL : netif_ip4_gw(netif);
}

bool udp_sender_ready(void)
{
    struct netif *netif = ip4_route(ip_2_ip4(&to));
    const ip4_addr_t *hop = netif ? next_hop(netif) : NULL, *known;
    struct eth_addr *mac;

    if (!hop)
        return false;
    if (etharp_find_addr(netif, hop, &mac, &known) >= 0)
        return true;
    if (clock_ns() >= ask) {
        ask = clock_ns() + ASK_NS;
        etharp_query(netif, hop, NULL);
    }
    return false;
}

bool udp_sender_send(const void *bytes, size_t len)
{
    struct pbuf *pbuf = switch_congested(SPARE_FRAMES) ? NULL : pbuf_alloc(PBUF_TRANSPORT, (u16)len, PBUF_RAM);
    err_t err;

    if (!pbuf)
        return false;
    pbuf_take(pbuf, bytes, (u16)len);
    err = udp_sendto(pcb, pbuf, &to, port);
    pbuf_free(pbuf);
    return err == ERR_OK;
}

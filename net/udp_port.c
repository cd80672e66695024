/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/udp_port.h"

#include <assert.h>
#include <string.h>

#include <lwip/udp.h>

#include "net/tcp_address_lwip.h"

static struct udp_pcb *pcb;
static udp_port_fn *heard;

static void received(void *ctx, struct udp_pcb *own, struct pbuf *pbuf, const ip_addr_t *address, u16_t port)
{
    struct tcp_address from = { .port = port };
    u8 bytes[UDP_PORT_MAX];

    (void)ctx;
    (void)own;
    if (IP_IS_V4(address) && pbuf->tot_len <= sizeof(bytes)) {
        memcpy(from.bytes, &ip_2_ip4(address)->addr, 4);
        heard(&from, bytes, pbuf_copy_partial(pbuf, bytes, pbuf->tot_len, 0));
    }
    pbuf_free(pbuf);
}

bool udp_port_open(u16 port, udp_port_fn *hear)
{
    pcb = udp_new();
    heard = hear;
    if (!pcb || udp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK)
        return false;
    udp_recv(pcb, received, NULL);
    return true;
}

bool udp_port_say(const struct tcp_address *to, const void *bytes, size_t len)
{
    struct pbuf *pbuf = pbuf_alloc(PBUF_TRANSPORT, (u16)len, PBUF_RAM);
    ip_addr_t address = tcp_address_lwip(to);
    err_t err;

    assert(len <= UDP_PORT_MAX);
    if (!pbuf)
        return false;
    pbuf_take(pbuf, bytes, (u16)len);
    err = udp_sendto(pcb, pbuf, &address, to->port);
    pbuf_free(pbuf);
    return err == ERR_OK;
}

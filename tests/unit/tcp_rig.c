/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/tcp_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <lwip/init.h>
#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>

#include "host/clock.h"
#include "host/rtc.h"
#include "tls/random.h"
#include "net/tcp_hooks.h"
#include "net/tcp_stream.h"

static struct netif link;
struct tcp_rig tcp_rig = { .chance = 1, .link = &link, .host = 9 };

u64 rtc_now_ns(void)
{
    return 1830000000 * NS_PER_S; /* in December 2027 */
}

u64 clock_ns(void)
{
    return tcp_rig.now;
}

u32_t sys_now(void)
{
    return (u32_t)(tcp_rig.now / 1000000);
}

u32 net_random(void)
{
    return tcp_rig.chance++;
}

void random_fill(u8 *bytes, u32 len)
{
    while (len-- > 0) {
        tcp_rig.chance = tcp_rig.chance * 1664525 + 1013904223;
        *bytes++ = (u8)(tcp_rig.chance >> 24);
    }
}

int random_for_mbedtls(void *unused, unsigned char *bytes, size_t len)
{
    (void)unused;
    random_fill(bytes, (u32)len);
    return 0;
}

static err_t link_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    u8_t bytes[40];
    struct tcp_hdr hdr;

    (void)netif;
    (void)to;
    assert_int_equal(pbuf_copy_partial(p, bytes, sizeof(bytes), 0), sizeof(bytes));
    memcpy(&hdr, bytes + 20, sizeof(hdr));
    tcp_rig.sent.count++;
    tcp_rig.sent.bytes += p->tot_len - sizeof(bytes);
    tcp_rig.sent.from = lwip_ntohs(hdr.src);
    tcp_rig.sent.window = lwip_ntohs(hdr.wnd);
    tcp_rig.sent.to = lwip_ntohs(hdr.dest);
    tcp_rig.sent.seq = lwip_ntohl(hdr.seqno);
    tcp_rig.sent.ack = lwip_ntohl(hdr.ackno);
    tcp_rig.sent.flags = TCPH_FLAGS(&hdr);
    return ERR_OK;
}

static err_t link_init(struct netif *netif)
{
    netif->mtu = 1500;
    netif->output = link_output;
    netif->flags = NETIF_FLAG_LINK_UP;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_DISABLE_ALL);
    return ERR_OK;
}

void say(u16 from, u16 to, u32 seq, u32 ack, u8 flags, unsigned count)
{
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16)(40 + count), PBUF_RAM);
    u8_t *bytes = p->payload;
    const u8_t ip[20] = {
        0x45, 0, (u8_t)((40 + count) >> 8), (u8_t)(40 + count), 0, 0, 0, 0, 64, IP_PROTO_TCP, 0, 0, 10, 9, 0, 0, 10, 9,
        0,    2
    };
    struct tcp_hdr hdr = { .src = lwip_htons(from),
                           .dest = lwip_htons(to),
                           .seqno = lwip_htonl(seq),
                           .ackno = lwip_htonl(ack),
                           .wnd = lwip_htons(WINDOW) };

    TCPH_HDRLEN_FLAGS_SET(&hdr, 5, flags);
    memcpy(bytes, ip, sizeof(ip));
    bytes[15] = tcp_rig.host;
    memcpy(bytes + 20, &hdr, sizeof(hdr));
    for (unsigned i = 0; i < count; i++)
        bytes[40 + i] = (u8_t)(seq + i);
    assert_int_equal(tcp_rig.link->input(p, tcp_rig.link), ERR_OK);
}

u32 handshake(u16 from, u16 to, u32 seq)
{
    u32_t isn;

    say(from, to, seq, 0, TCP_SYN, 0);
    assert_int_equal(tcp_rig.sent.flags, TCP_SYN | TCP_ACK);
    assert_int_equal(tcp_rig.sent.to, from);
    assert_int_equal(tcp_rig.sent.ack, seq + 1);
    isn = tcp_rig.sent.seq;
    say(from, to, seq + 1, isn + 1, TCP_ACK, 0);
    return isn + 1;
}

static void accepted(struct tcp_stream *stream)
{
    tcp_rig.stream = stream;
}

int tcp_rig_init(void)
{
    ip4_addr_t address, mask;

    lwip_init();
    IP4_ADDR(&address, 10, 9, 0, 2);
    IP4_ADDR(&mask, 255, 255, 255, 0);
    netif_add(tcp_rig.link, &address, &mask, IP4_ADDR_ANY4, NULL, link_init, ip4_input);
    netif_set_default(tcp_rig.link);
    netif_set_up(tcp_rig.link);
    return tcp_stream_listen(STREAM_PORT, TCP_ANYBODY, accepted);
}

unsigned tcp_rig_length(const struct tcp_pcb *list)
{
    unsigned count = 0;

    for (; list; list = list->next)
        count++;
    return count;
}

int tcp_rig_clear(void **state)
{
    (void)state;
    tcp_rig.host = 9;
    while (tcp_active_pcbs)
        tcp_abort(tcp_active_pcbs);
    while (tcp_tw_pcbs)
        tcp_abort(tcp_tw_pcbs);
    return 0;
}

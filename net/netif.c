/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lwIP is told an MTU of several frames, so that TCP makes long segments, which the card or the switch cuts. Packets of
 * other protocols are fragmented here to the MTU of the wire. Frames for lwIP are copied into its buffers; its own
 * frames are sent from where they lie.
 */
#define LOG_PREFIX "net"

#include "net/netif.h"

#include <assert.h>
#include <string.h>

#include <lwip/dhcp.h>
#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/ip4_frag.h>
#include <lwip/netif.h>
#include <netif/ethernet.h>

#include "config/config.h"
#include "host/clock.h"
#include "host/smp.h"
#include "host/bits.h"
#include "host/log.h"
#include "net/announce.h"
#include "net/csum.h"
#include "net/ethernet.h"
#include "net/mac.h"
#include "net/neighbour.h"
#include "net/offload.h"
#include "net/uplink.h"

#define MTU 1500                 /* of what is on the wire */
#define TCP_MTU (TCP_MSS + 40)   /* of IPv4 packets that lwIP may give us: TCP's are cut by the card or the switch */
#define SPARE_FRAMES 4           /* room on the card that we leave to guests, however much we have to send */
#define QUEUE_MAX 1024           /* frames that wait for lwIP */
#define POLL_MAX 128             /* frames a turn */
#define DEFEND_NS 10000000000ULL /* between two answers to machines with our address: RFC 5227, DEFEND_INTERVAL */
#define PBUF_MAX 65535           /* a pbuf's lengths have 16 bits */

struct queued {
    struct pbuf *pbuf;
    bool csum_right; /* the checksum is right, or the frame never reaches a wire */
    u16 type;        /* EtherType of a frame without VLAN tags, else 0 */
};

static struct {
    struct port port;
    struct netif netif;
    struct queued queue[QUEUE_MAX];
    unsigned head, count;
    const char *uplink;
    u32 announced;         /* the address that was last logged */
    u64 conflicts;         /* ARP packets that said that our address belongs to another machine */
    netif_peers_fn *peers; /* NULL: nobody wants to hear them */
} own;

/* --- From the switch -------------------------------------------------------------------------------------------- */

static bool queue_add(const struct frame *frame)
{
    struct pbuf *pbuf = own.count < QUEUE_MAX ? pbuf_alloc(PBUF_RAW, (u16)frame->len, PBUF_RAM) : NULL;

    if (!pbuf)
        return false;
    frame_read(frame, 0, pbuf->payload, frame->len);
    own.port.counters.copied_bytes += frame->len;
    own.queue[(own.head + own.count) % QUEUE_MAX] =
        (struct queued){ pbuf, frame->offload.flags != 0, frame->headers.tags.len ? 0 : frame->headers.type };
    if (own.count++ == 0)
        cpu_kick(0); /* we may have had our turn in this round */
    return true;
}

static void segment_add(void *ctx, const struct frame *frame)
{
    bool *all = ctx;

    *all &= queue_add(frame);
}

static bool own_deliver(struct port *port, const struct frame *frame)
{
    bool all = true;

    (void)port;
    if (announce_made(frame))
        return true; /* no news for a neighbour, and perhaps wrong: its addresses are those that a peer has named */
    if (frame->len <= PBUF_MAX)
        return queue_add(frame);
    return offload_finish(frame, segment_add, &all) && all;
}

/* --- Between hypervisors ---------------------------------------------------------------------------------------- */

void netif_peers_hear(netif_peers_fn *hear)
{
    own.peers = hear;
}

void netif_peers_say(const void *bytes, size_t len)
{
    u8 out[ETH_HEADER + NETIF_PEERS_MAX] = { 0 };
    struct frame frame = frame_of(out, (u32)MAX(ETH_HEADER + len, ETH_MIN));

    assert(len <= NETIF_PEERS_MAX);
    if (!netif_port_configured())
        return;
    memcpy(frame_header(out, mac_broadcast, own.port.mac, ETH_TYPE_PEERS), bytes, len);
    headers_parse(&frame);
    switch_input(&own.port, &frame);
}

/* Give a frame of ETH_TYPE_PEERS to `peers`. True if it was such a frame. */
static bool peers_heard(const struct queued *queued)
{
    const u8 *bytes = queued->pbuf->payload;

    if (queued->pbuf->len < ETH_MIN || queued->type != ETH_TYPE_PEERS)
        return false;
    if (own.peers)
        own.peers(bytes + ETH_SOURCE, bytes + ETH_HEADER, queued->pbuf->len - ETH_HEADER);
    return true;
}

/*
 * Another machine says that it has our address. lwIP is not told, but the other machines have heard it, too, and we
 * tell them whose the address is (RFC 5227, 2.4).
 */
static bool address_conflict(const struct queued *queued)
{
    static u64 next;
    const u8 *arp = (const u8 *)queued->pbuf->payload + ETH_HEADER, *mac = arp + ARP_SENDER_MAC;
    u32 address = netif_port_ip4();

    if (!address || queued->pbuf->len < ETH_HEADER + ARP_LENGTH || queued->type != ETH_TYPE_ARP ||
        memcmp(arp + ARP_SENDER_IP, &address, sizeof(address)) != 0 || mac_equal(mac, own.port.mac))
        return false;
    own.conflicts++;
    if (clock_ns() < next)
        return true;
    next = clock_ns() + DEFEND_NS;
    pr_warn("%s says to have our address, too", mac_text(mac).text);
    etharp_gratuitous(&own.netif);
    return true;
}

bool netif_port_poll(void)
{
    for (unsigned n = 0; n < POLL_MAX && own.count > 0; n++) {
        struct queued next = own.queue[own.head];

        own.head = (own.head + 1) % QUEUE_MAX;
        own.count--;
        NETIF_SET_CHECKSUM_CTRL(&own.netif,
                                NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_TCP &
                                    ~(next.csum_right ? NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP : 0));
        if (peers_heard(&next) || address_conflict(&next) || own.netif.input(next.pbuf, &own.netif) != ERR_OK)
            pbuf_free(next.pbuf);
    }
    return own.count > 0;
}

/* --- To the switch ---------------------------------------------------------------------------------------------- */

/* lwIP leaves TCP's checksum to us. We leave it, and the cutting of long segments, to the port where the frame goes:
 * the frame's offload fields only say what is to be done. */
static void offload_ask(struct frame *frame, struct pbuf *pbuf)
{
    u8 *bytes = pbuf->payload;
    u32 l4 = frame->headers.l4;
    bool ip6 = frame->headers.ip == 6;

    if (!frame->headers.ip || frame->headers.protocol != IP_PROTO_TCP || pbuf->len < l4 + TCP_CSUM + 2)
        return;

    /* lwIP never fragments TCP: the segment ends with the packet. */
    u16 sum = csum_fold(offload_pseudo_sum(bytes + frame->headers.l3, ip6, IP_PROTO_TCP, frame->len - l4));

    memcpy(bytes + l4 + TCP_CSUM, &sum, 2);
    frame->offload =
        (struct frame_offload){ .flags = OFFLOAD_NEEDS_CSUM, .csum_start = (u16)l4, .csum_offset = TCP_CSUM };
    if (frame->len <= ETH_HEADER + MTU)
        return;

    u32 payload = l4 + (bytes[l4 + TCP_DATA_OFFSET] >> 4) * 4U;

    frame->offload.gso_type = ip6 ? OFFLOAD_GSO_TCP6 : OFFLOAD_GSO_TCP4;
    frame->offload.header_len = (u16)payload;
    frame->offload.gso_size = (u16)(ETH_HEADER + MTU - payload);
}

static err_t link_output(struct netif *netif, struct pbuf *pbuf);

/* Send a packet that has more pieces than a frame may have: copy it into one piece. */
static err_t output_whole(struct netif *netif, struct pbuf *pbuf)
{
    struct pbuf *whole = pbuf_clone(PBUF_RAW, PBUF_RAM, pbuf);
    err_t err = whole ? link_output(netif, whole) : ERR_MEM;

    if (whole)
        pbuf_free(whole);
    return err;
}

/* A packet that is not TCP's is fragmented to the MTU of the wire; lwIP has only compared it with TCP_MTU. */
static err_t ip4_output_mtu(struct netif *netif, struct pbuf *pbuf, const ip4_addr_t *to)
{
    err_t err;

    if (pbuf->tot_len <= MTU || ((u8 *)pbuf->payload)[IP4_PROTOCOL] == IP_PROTO_TCP)
        return etharp_output(netif, pbuf, to);
    netif->mtu = MTU;
    err = ip4_frag(pbuf, netif, to);
    netif->mtu = TCP_MTU;
    return err;
}

static err_t link_output(struct netif *netif, struct pbuf *pbuf)
{
    struct frame frame = { .len = pbuf->tot_len };

    (void)netif;
    if (pbuf_clen(pbuf) > FRAME_PARTS)
        return output_whole(netif, pbuf);
    if (switch_congested(SPARE_FRAMES))
        return ERR_MEM; /* TCP keeps the segment and goes on with the next acknowledgement */
    for (struct pbuf *p = pbuf; p; p = p->next)
        frame.part[frame.nr_parts++] = (struct frame_part){ p->payload, p->len };
    headers_parse(&frame);
    offload_ask(&frame, pbuf);
    switch_input(&own.port, &frame);
    return ERR_OK;
}

/* --- Addresses -------------------------------------------------------------------------------------------------- */

static void status_changed(struct netif *netif)
{
    u32 address = netif_ip4_addr(netif)->addr;
    char text[IP4ADDR_STRLEN_MAX];

    if (address == own.announced)
        return;
    own.announced = address;
    if (!address) {
        pr_warn("no address any more");
        return;
    }
    ip4addr_ntoa_r(netif_ip4_addr(netif), text, sizeof(text));
    pr_info("up %s mac %s uplink %s", text, mac_text(own.port.mac).text, own.uplink);
}

static ip4_addr_t ip4_of(const u8 *bytes)
{
    ip4_addr_t address;

    memcpy(&address.addr, bytes, 4);
    return address;
}

static void ip4_start(struct netif *netif, const struct config_net *config)
{
    ip4_addr_t address = ip4_of(config->address.bytes), gateway = ip4_of(config->gateway.bytes), mask;

    if (!config->address.prefix) {
        if (dhcp_start(netif) != ERR_OK)
            pr_err("no memory for DHCP");
        return;
    }
    mask.addr = lwip_htonl(~0U << (32 - config->address.prefix));
    netif_set_addr(netif, &address, &mask, &gateway);
}

static void ip6_start(struct netif *netif, const struct config_net *config)
{
    ip6_addr_t address = { .zone = IP6_NO_ZONE };

    netif_create_ip6_linklocal_address(netif, 1);
    if (!config->address6.prefix)
        return;
    memcpy(address.addr, config->address6.bytes, 16);
    netif_add_ip6_address(netif, &address, NULL);
}

static err_t netif_fill(struct netif *netif)
{
    netif->name[0] = 'g';
    netif->name[1] = 'w';
    netif->hostname = "godwit";
    netif->mtu = TCP_MTU;
    netif->mtu6 = MTU;
    netif->hwaddr_len = MAC_LEN;
    memcpy(netif->hwaddr, own.port.mac, MAC_LEN);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6 |
                   NETIF_FLAG_LINK_UP;
    netif->output = ip4_output_mtu;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = link_output;
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_TCP);
    return ERR_OK;
}

/* Make a locally administered MAC of the uplink's; it differs from the uplink's even if that was one already. */
static void mac_choose(u8 *mac, const struct config_net *config, const struct uplink *uplink)
{
    static const u8 alone[MAC_LEN] = { 0x02, 'g', 'o', 'd', 'w', 't' };

    if (!mac_is_zero(config->mac)) {
        memcpy(mac, config->mac, MAC_LEN);
        return;
    }
    memcpy(mac, uplink ? uplink->mac : alone, MAC_LEN);
    mac[0] = (mac[0] | 2) ^ 4;
}

void netif_port_start(const struct config_net *config, const struct uplink *uplink)
{
    struct netif *netif = &own.netif;

    own.port = (struct port){
        .name = "godwit", .peers = true, .offload_csum = true, .offload_tso = true, .deliver = own_deliver
    };
    own.uplink = uplink ? uplink->driver : "none";
    mac_choose(own.port.mac, config, uplink);
    switch_add(&own.port);
    netif_add_noaddr(netif, NULL, netif_fill, ethernet_input);
    netif_set_status_callback(netif, status_changed);
    netif_set_default(netif);
    netif_set_up(netif);
    ip4_start(netif, config);
    ip6_start(netif, config);
}

u32 netif_port_ip4(void)
{
    return own.netif.ip_addr.u_addr.ip4.addr;
}

bool netif_port_configured(void)
{
    return own.port.deliver;
}

bool netif_port_owns(const u8 *address, bool ip6)
{
    u32 ip4 = netif_port_ip4();

    if (!ip6)
        return ip4 && !memcmp(address, &ip4, sizeof(ip4));
    for (unsigned i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(&own.netif, i)) &&
            !memcmp(address, netif_ip6_addr(&own.netif, i)->addr, sizeof(netif_ip6_addr(&own.netif, i)->addr)))
            return true;
    return false;
}

const u8 *netif_port_mac(void)
{
    return own.port.mac;
}

u64 netif_port_conflicts(void)
{
    return own.conflicts;
}

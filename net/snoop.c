/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/snoop.h"

#include "net/announce.h"
#include "net/ethernet.h"
#include "net/neighbour.h"
#include "net/switch.h"

/* How firmly a frame says that an address is its sender's. */
enum saying {
    SAYS_NOTHING,
    SAYS_TENTATIVE, /* the sender asks whether anybody else has the address */
    SAYS_HAS,
    SAYS_HAS_AS, /* the frame also says whether the sender is a router */
};

bool snoop_alive(const struct port_address *address, u64 now)
{
    return now - address->seen < PORT_ADDRESS_AGE_NS;
}

static bool same_tags(const struct vlan_tags *a, const struct vlan_tags *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* One IP address has one MAC at a time. */
static bool same_address(const struct port_address *a, const struct port_address *b)
{
    return a->kind == b->kind && same_tags(&a->tags, &b->tags) &&
           (a->kind == PORT_MAC ? mac_equal(a->mac, b->mac) : memcmp(a->ip, b->ip, sizeof(a->ip)) == 0);
}

static struct port_address *find(struct port *port, const struct port_address *address)
{
    for (unsigned i = 0; i < port->nr_addresses; i++)
        if (same_address(&port->address[i], address))
            return &port->address[i];
    return NULL;
}

/* The place for one more address: if the table is full, the address that was silent longest gives way. */
static struct port_address *place(struct port *port, u64 now)
{
    struct port_address *oldest = &port->address[0];

    if (port->nr_addresses < PORT_ADDRESSES)
        return &port->address[port->nr_addresses++];
    for (unsigned i = 1; i < PORT_ADDRESSES; i++)
        if (now - port->address[i].seen > now - oldest->seen)
            oldest = &port->address[i];
    return oldest;
}

static void note(struct port *port, const struct port_address *address, enum saying saying)
{
    struct port_address *known = find(port, address);
    bool router = saying == SAYS_HAS_AS ? address->router : known && known->router;

    if (!known)
        known = place(port, address->seen);
    *known = *address;
    known->router = router;
}

/* `from` has the address now: other ports have it no longer. */
static void forget(struct port *from, const struct port_address *address)
{
    for (struct port *port = switch_ports(); port; port = port->next) {
        struct port_address *known = port == from ? NULL : find(port, address);

        if (known && !mac_equal(known->mac, address->mac))
            *known = port->address[--port->nr_addresses];
    }
}

/* False for the unspecified address, loopback, groups and the addresses above them. */
static bool ip4_is_unicast(const u8 *ip)
{
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool ip6_is_unicast(const u8 *ip)
{
    static const u8 unspecified[15]; /* loopback differs only in the last byte */

    return ip[0] != 0xFF && (memcmp(ip, unspecified, 15) != 0 || ip[15] > 1);
}

bool snoop_valid(const struct port_address *address)
{
    const struct vlan_tags *tags = &address->tags;

    if (!mac_is_card(address->mac) || tags->len > sizeof(tags->bytes))
        return false;
    for (unsigned i = 0; i < tags->len; i += VLAN_TAG)
        if (!frame_is_tag(be16_get(tags->bytes + i)))
            return false;
    switch (address->kind) {
    case PORT_MAC: return true;
    case PORT_IP4: return ip4_is_unicast(address->ip);
    case PORT_IP6: return ip6_is_unicast(address->ip);
    default: return false;
    }
}

/* A probe's sender has no address yet (RFC 5227, 2.1.1). A packet that speaks for another MAC than its sender's says
 * nothing. */
static enum saying read_arp(const u8 *arp, struct port_address *address)
{
    if (!mac_equal(arp + ARP_SENDER_MAC, address->mac) || !ip4_is_unicast(arp + ARP_SENDER_IP))
        return SAYS_NOTHING;
    address->kind = PORT_IP4;
    memcpy(address->ip, arp + ARP_SENDER_IP, 4);
    return SAYS_HAS;
}

/*
 * Neighbour discovery speaks for the node that sends it, because no router passes it on. A solicitation from the
 * unspecified address asks whether its target is free (RFC 4862, 5.4.2): the target is the guest's unless somebody
 * answers.
 */
static enum saying read_nd(const u8 *ip, struct port_address *address)
{
    static const u8 unspecified[16];
    const u8 *nd = ip + IP6_HEADER, *said = ip + IP6_SOURCE;
    enum saying saying = SAYS_HAS;

    switch (nd[0]) {
    case ND_ADVERTISEMENT:
        said = nd + ND_TARGET;
        address->router = nd[ND_FLAGS] & ND_ROUTER;
        saying = SAYS_HAS_AS;
        break;
    case ND_ROUTER_ADVERTISEMENT:
        address->router = true;
        saying = SAYS_HAS_AS;
        break;
    case ND_SOLICITATION:
        if (memcmp(said, unspecified, sizeof(unspecified)) == 0) {
            said = nd + ND_TARGET;
            saying = SAYS_TENTATIVE;
        }
        break;
    default: return SAYS_NOTHING;
    }
    address->kind = PORT_IP6;
    memcpy(address->ip, said, sizeof(address->ip));
    return ip6_is_unicast(said) ? saying : SAYS_NOTHING;
}

/* What the frame says of an address; `address` has the sender's MAC, and gets the IP address. */
static enum saying read_neighbour(const struct headers *headers, struct port_address *address)
{
    switch (headers->neighbour) {
    case HEADERS_ARP: return read_arp(headers->said, address);
    case HEADERS_ND: return read_nd(headers->said, address);
    default: return SAYS_NOTHING;
    }
}

void snoop(struct port *from, const struct frame *frame, u64 now)
{
    const struct headers *headers = &frame->headers;
    struct port_address address = { .kind = PORT_MAC, .tags = headers->tags, .seen = now };
    bool owned = !mac_is_zero(from->mac);
    enum saying saying;

    if (announce_made(frame))
        return;
    memcpy(address.mac, headers->source, MAC_LEN);
    if (owned && (address.tags.len || !mac_equal(address.mac, from->mac)))
        note(from, &address, SAYS_HAS);
    saying = read_neighbour(headers, &address);
    if (saying == SAYS_NOTHING)
        return;
    if (owned)
        note(from, &address, saying);
    if (saying != SAYS_TENTATIVE)
        forget(from, &address);
}

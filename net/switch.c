/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch judges a frame (admit), learns its source and looks up its destination. Then it sends the frame to one
 * port or to all; each port gets it in the form that the port takes.
 */
#define LOG_PREFIX "net"
#include "net/switch.h"

#include "host/bits.h"
#include "host/clock.h"
#include "host/context.h"
#include "host/log.h"
#include "host/panic.h"
#include "net/ethernet.h"
#include "net/heard.h"
#include "net/hold.h"
#include "net/mac.h"
#include "net/offload.h"
#include "net/snoop.h"

#define WAYS 4
#define SETS (SWITCH_ADDRESSES / WAYS)
#define CONFLICT_PAUSE_NS (10 * NS_PER_S) /* between two warnings of MACs that two machines have */

struct address {
    u8 mac[MAC_LEN];
    struct port *port; /* NULL: free */
    u64 seen;          /* clock_ns */
};

static struct {
    struct port *ports;
    struct switch_settings settings;
    struct switch_counters counters;
    struct address table[SETS][WAYS];
    bool busy; /* a frame is under way */
} sw;

void switch_configure(const struct switch_settings *settings)
{
    sw.settings = *settings;
}

const struct switch_settings *switch_settings(void)
{
    return &sw.settings;
}

struct port *switch_ports(void)
{
    return sw.ports;
}

const struct switch_counters *switch_counters(void)
{
    return &sw.counters;
}

void switch_add(struct port *port)
{
    struct port **end = &sw.ports;

    assert_host_loop();
    while (*end)
        end = &(*end)->next;
    port->next = NULL;
    if (sw.settings.anti_spoof && !mac_is_zero(port->mac))
        port->check_source = true;
    *end = port;
}

void switch_remove(struct port *port)
{
    port_hold_drop(port);
    heard_end(port);
    for (struct port **at = &sw.ports; *at; at = &(*at)->next)
        if (*at == port) {
            *at = port->next;
            break;
        }
    for (unsigned i = 0; i < SWITCH_ADDRESSES; i++)
        if (sw.table[i / WAYS][i % WAYS].port == port)
            sw.table[i / WAYS][i % WAYS].port = NULL;
}

void switch_inherit(struct port *from, struct port *to)
{
    for (unsigned i = 0; i < SWITCH_ADDRESSES; i++)
        if (sw.table[i / WAYS][i % WAYS].port == from)
            sw.table[i / WAYS][i % WAYS].port = to;
}

/* --- The address table: sets of WAYS entries, the one silent longest gives way ---------------------------------- */

static struct address *address_set(const u8 *mac)
{
    u64 key = (u64)be32_get(mac + 2) << 16 | be16_get(mac);

    return sw.table[(key * 0x9E3779B97F4A7C15ULL) >> 32 & (SETS - 1)];
}
_Static_assert((SETS & (SETS - 1)) == 0, "address_set masks");

static bool address_alive(const struct address *address, u64 now)
{
    return address->port && now - address->seen < SWITCH_AGE_NS;
}

/* The open port whose owner has this address. */
static struct port *owner(const u8 *mac)
{
    for (struct port *port = sw.ports; port; port = port->next)
        if (!port->closed && mac_equal(port->mac, mac))
            return port;
    return NULL;
}

/*
 * A frame from elsewhere has the MAC of a port's owner: two machines have the same MAC, or one pretends. It is no
 * conflict while a guest arrives: frames that it sent from its last host may still be under way.
 */
static void conflict(const struct port *from, const struct port *rightful, const u8 *mac, u64 now)
{
    static u64 next;

    if (rightful->holding)
        return;
    sw.counters.mac_conflicts++;
    if (now < next)
        return;
    next = now + CONFLICT_PAUSE_NS;
    pr_warn("%s's MAC %s is somebody else's, too: frames from it come in from %s", rightful->name, mac_text(mac).text,
            from->name);
}

static void learn(struct port *from, const u8 *mac, u64 now)
{
    struct address *set = address_set(mac), *best = &set[0];

    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].port && mac_equal(set[i].mac, mac)) {
            best = &set[i];
            break;
        }
        if (address_alive(best, now) && (!address_alive(&set[i], now) || set[i].seen < best->seen))
            best = &set[i];
    }
    if (best->port != from || !mac_equal(best->mac, mac)) {
        struct port *rightful = owner(mac);

        if (rightful && rightful != from) {
            conflict(from, rightful, mac, now);
            return;
        }
        *best = (struct address){ .port = from };
        memcpy(best->mac, mac, MAC_LEN);
    }
    best->seen = now;
}

struct port *switch_lookup(const u8 *mac)
{
    struct address *set = address_set(mac);
    u64 now = clock_ns();

    for (unsigned i = 0; i < WAYS; i++)
        if (address_alive(&set[i], now) && !set[i].port->closed && mac_equal(set[i].mac, mac))
            return set[i].port;
    return owner(mac);
}

/* --- Sending ---------------------------------------------------------------------------------------------------- */

bool port_give(struct port *port, const struct frame *frame)
{
    bool taken = port->holding ? port_hold_frame(port, frame) : port->deliver(port, frame);

    if (!taken) {
        port->counters.tx_dropped++;
    } else if (!port->holding) {
        port->counters.tx_frames++;
        port->counters.tx_bytes += frame->len;
    }
    return taken;
}

/* A frame that is kept (net/hold.h) is noted when it is delivered. */
void port_deliver(struct port *port, const struct frame *frame)
{
    assert_host_loop();
    if (port_give(port, frame) && !port->holding && port->heard)
        heard_note(port, frame);
}

static void port_send(void *ctx, const struct frame *frame)
{
    port_deliver(ctx, frame);
}

/* Is this a DHCP reply? Clients read it from a raw socket: only their kernel knows that a checksum may be unfinished.
 */
static bool wants_whole(const struct frame *frame)
{
    const struct frame_offload *offload = &frame->offload;
    u8 port[2];

    return offload->flags & OFFLOAD_NEEDS_CSUM && offload->csum_offset == UDP_CSUM &&
           frame_read(frame, offload->csum_start + UDP_DESTINATION, port, sizeof(port)) &&
           be16_get(port) == UDP_PORT_DHCP_CLIENT;
}

/* A port that keeps frames, or notes them, takes only frames as the link carries them: so the two copies of a frame
 * that also comes late are equal. */
static bool port_takes(const struct port *port, const struct frame *frame)
{
    const struct frame_offload *offload = &frame->offload;

    if (wants_whole(frame))
        return false;
    if (port->holding || port->heard)
        return offload->gso_type == OFFLOAD_GSO_NONE && !(offload->flags & OFFLOAD_NEEDS_CSUM);
    if (offload->gso_type != OFFLOAD_GSO_NONE)
        return port->offload_tso;
    return port->offload_csum || !(offload->flags & OFFLOAD_NEEDS_CSUM);
}

/* Does this MAC belong to the port's guest, or to a machine behind that guest? */
static bool is_of(const struct port *port, const u8 *mac)
{
    bool found = mac_equal(mac, port->mac);

    for (unsigned i = 0; i < port->nr_addresses && !found; i++)
        found = mac_equal(mac, port->address[i].mac);
    return found;
}

/*
 * A closed port takes no frame, and counts those for its owner alone as dropped. If its guest is leaving (`holding`),
 * it keeps those, and frames for a group; but not group frames that the guest itself sends from its next host, where it
 * would hear its own words.
 */
static bool closed_takes(struct port *port, const struct frame *frame)
{
    const struct headers *headers = &frame->headers;
    bool alone = mac_equal(headers->destination, port->mac);
    bool group = mac_is_multicast(headers->destination) && !is_of(port, headers->source);

    port->counters.tx_dropped += alone && !port->holding;
    return port->holding && (alone || group);
}

static void forward(struct port *to, const struct frame *frame)
{
    if (to->closed && !closed_takes(to, frame))
        return;
    if (port_takes(to, frame)) {
        port_send(to, frame);
        return;
    }
    sw.counters.finished++;
    if (!offload_finish(frame, port_send, to))
        to->counters.tx_dropped++;
}

/* May the port hear this frame? Guests don't hear what hypervisors say to each other. */
static bool may_hear(const struct port *to, const struct frame *frame)
{
    return to->peers || frame->headers.type != ETH_TYPE_PEERS;
}

static void flood(const struct port *from, const struct frame *frame)
{
    for (struct port *to = sw.ports; to; to = to->next)
        if (to != from && may_hear(to, frame))
            forward(to, frame);
}

bool switch_congested(unsigned spare)
{
    for (struct port *port = sw.ports; port; port = port->next)
        if (port->congested && port->congested(port, spare))
            return true;
    return false;
}

/* --- Judging ---------------------------------------------------------------------------------------------------- */

/* A token bucket for a tenth of a second's frames. Its state is the time at which it was empty. */
static bool storm_pass(struct port *from, s64 now)
{
    if (!sw.settings.storm_limit)
        return true;

    s64 token = (s64)(NS_PER_S / sw.settings.storm_limit), room = MAX(token, (s64)(NS_PER_S / 10));

    if (from->storm_ns < now - room)
        from->storm_ns = now - room;
    if (from->storm_ns + token > now)
        return false;
    from->storm_ns += token;
    return true;
}

/* Addresses of protocols between neighbouring bridges, which no bridge passes on (IEEE 802.1Q, table 8-1). */
static bool is_link_local(const u8 *mac)
{
    static const u8 prefix[] = { 0x01, 0x80, 0xC2, 0x00, 0x00 };

    return memcmp(mac, prefix, sizeof(prefix)) == 0 && mac[5] < 0x10;
}

/* A checksum that is still to be made must not be written over what was judged: headers, and what a machine says of its
 * addresses. ARP has no checksum; neighbour discovery has ICMPv6's. */
static bool csum_spares_headers(const struct frame *frame)
{
    const struct headers *headers = &frame->headers;
    const struct frame_offload *offload = &frame->offload;

    if (!(offload->flags & OFFLOAD_NEEDS_CSUM))
        return true;
    switch (headers->neighbour) {
    case HEADERS_ARP: return false;
    case HEADERS_ND: return offload->csum_start == headers->l4 && offload->csum_offset == ND_CSUM;
    default: return offload->csum_start >= (headers->ip ? headers->l4 : headers->l3);
    }
}

static bool admit(struct port *from, const struct frame *frame, u64 now)
{
    const struct headers *headers = &frame->headers;

    if (!headers->valid || !mac_is_card(headers->source) || is_link_local(headers->destination) ||
        !csum_spares_headers(frame)) {
        sw.counters.malformed++;
        return false;
    }
    if (headers->type == ETH_TYPE_PEERS && !from->peers) {
        sw.counters.spoof_dropped++;
        return false;
    }
    if (from->check_source && !mac_equal(headers->source, from->mac)) {
        sw.counters.spoof_dropped++;
        return false;
    }
    if (mac_is_multicast(headers->destination) && !storm_pass(from, (s64)now)) {
        sw.counters.storm_dropped++;
        return false;
    }
    return true;
}

static void input(struct port *from, const struct frame *frame)
{
    const struct headers *headers = &frame->headers;
    u64 now = clock_ns();

    if (from->closed)
        return;
    from->counters.rx_frames++;
    from->counters.rx_bytes += frame->len;
    if (!admit(from, frame, now)) {
        from->counters.rx_dropped++;
        return;
    }
    learn(from, headers->source, now);
    snoop(from, frame, now);

    struct port *to = mac_is_multicast(headers->destination) ? NULL : switch_lookup(headers->destination);

    if (!to) {
        sw.counters.flooded++;
        flood(from, frame);
    } else if (to == from || !may_hear(to, frame)) {
        sw.counters.unforwarded++;
    } else {
        sw.counters.forwarded++;
        forward(to, frame);
    }
}

void switch_input(struct port *from, const struct frame *frame)
{
    assert_host_loop();
    assert(!sw.busy);
    sw.busy = true;
    input(from, frame);
    sw.busy = false;
}

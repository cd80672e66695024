/* SPDX-License-Identifier: BSD-2-Clause */
/* On both hosts ages count from the moment in which the guest stopped: so a second save gives what was loaded. */
#include "dev/virtio_net_state.h"

#include <errno.h>
#include <string.h>

#include "host/clock.h"
#include "host/stream.h"
#include "net/frame.h"
#include "net/snoop.h"

#define NS_PER_MS 1000000ULL

static void save_address(const struct port_address *address, u64 now, struct writer *w)
{
    put_u8(w, address->kind);
    put_u8(w, address->router);
    put_bytes(w, address->mac, MAC_LEN);
    put_u8(w, address->tags.len);
    put_bytes(w, address->tags.bytes, sizeof(address->tags.bytes));
    put_bytes(w, address->ip, sizeof(address->ip));
    put_u32(w, (u32)((now - address->seen) / NS_PER_MS));
}

static void load_address(struct port_address *address, u64 now, struct reader *r)
{
    address->kind = get_u8(r);
    address->router = get_u8(r) != 0;
    get_bytes(r, address->mac, MAC_LEN);
    address->tags.len = get_u8(r);
    get_bytes(r, address->tags.bytes, sizeof(address->tags.bytes));
    get_bytes(r, address->ip, sizeof(address->ip));
    address->seen = now - get_u32(r) * NS_PER_MS;
}

static void save_addresses(const struct port *port, u64 now, struct writer *w)
{
    u8 alive = 0;

    for (unsigned i = 0; i < port->nr_addresses; i++)
        alive += snoop_alive(&port->address[i], now);
    put_u8(w, alive);
    for (unsigned i = 0; i < port->nr_addresses; i++)
        if (snoop_alive(&port->address[i], now))
            save_address(&port->address[i], now, w);
}

static int load_addresses(struct port *port, u64 now, struct reader *r)
{
    unsigned count = get_u8(r);

    port->nr_addresses = 0;
    if (count > PORT_ADDRESSES)
        return -EINVAL;
    for (unsigned i = 0; i < count; i++) {
        struct port_address *address = &port->address[i];

        load_address(address, now, r);
        if (r->truncated || !snoop_valid(address) || !snoop_alive(address, now))
            return -EINVAL;
    }
    port->nr_addresses = count;
    return r->truncated ? -EINVAL : 0;
}

void virtio_net_save(struct virtio *virtio, struct writer *w)
{
    const struct virtio_net *net = container_of(virtio, struct virtio_net, virtio);
    const struct virtio_net_filter *filter = &net->filter;

    put_bytes(w, net->mac, MAC_LEN);
    put_bytes(w, filter->mac, MAC_LEN);
    put_u8(w, filter->promiscuous);
    put_u8(w, filter->all_multicast);
    put_u32(w, filter->count);
    for (u32 i = 0; i < filter->count; i++)
        put_bytes(w, filter->address[i], MAC_LEN);
    put_u64(w, net->offloads_off);
    save_addresses(&net->port, net->paused ? net->stood : clock_ns(), w);
}

/* The MAC that was configured on this host gives way to the MAC of the card that has arrived. */
int virtio_net_load(struct virtio *virtio, struct reader *r)
{
    struct virtio_net *net = container_of(virtio, struct virtio_net, virtio);
    struct virtio_net_filter filter = { 0 };
    u64 offloads_off;
    u8 mac[MAC_LEN];

    get_bytes(r, mac, MAC_LEN);
    get_bytes(r, filter.mac, MAC_LEN);
    filter.promiscuous = get_u8(r);
    filter.all_multicast = get_u8(r);
    filter.count = get_u32(r);
    if (filter.count > VIRTIO_NET_FILTERS || (filter.promiscuous | filter.all_multicast) & ~VIRTIO_NET_ALL)
        return -EINVAL;
    for (u32 i = 0; i < filter.count; i++)
        get_bytes(r, filter.address[i], MAC_LEN);
    offloads_off = get_u64(r);
    if (r->truncated || offloads_off & ~VIRTIO_NET_GUEST_OFFLOADS || !mac_is_card(mac) || !mac_is_card(filter.mac))
        return -EINVAL;
    net->filter = filter;
    net->offloads_off = offloads_off;
    memcpy(net->mac, mac, MAC_LEN);
    net->stood = clock_ns();
    virtio_net_port_update(net);
    return load_addresses(&net->port, net->stood, r);
}

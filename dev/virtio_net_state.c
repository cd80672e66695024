/* SPDX-License-Identifier: BSD-2-Clause */
/* On both hosts ages count from the moment in which the guest stopped: so a second save gives what was restored. */
#include "dev/virtio_net_state.h"

#include <string.h>

#include "dev/codec.h"
#include "host/clock.h"
#include "hv/vm.h"
#include "net/ethernet.h"
#include "net/snoop.h"

static void address_state(struct port_address *address, u64 now, struct codec *c)
{
    u32 age_ms = (u32)((now - address->seen) / NS_PER_MS);

    codec_u8(c, &address->kind);
    codec_bool(c, &address->router);
    codec_bytes(c, address->mac, MAC_LEN);
    codec_u8(c, &address->tags.len);
    codec_bytes(c, address->tags.bytes, sizeof(address->tags.bytes));
    codec_bytes(c, address->ip, sizeof(address->ip));
    codec_u32(c, &age_ms);
    if (c->restoring)
        address->seen = now - age_ms * NS_PER_MS;
}

/* Only addresses that are alive move. */
static void addresses_state(struct port *port, u64 now, struct codec *c)
{
    unsigned places = port->nr_addresses;
    u8 count = 0;

    for (unsigned i = 0; i < places; i++)
        count += snoop_alive(&port->address[i], now);
    codec_u8(c, &count);
    if (c->restoring) {
        port->nr_addresses = 0;
        places = codec_judge(c, count <= PORT_ADDRESSES, "too many addresses behind the port") ? count : 0;
    }
    for (unsigned i = 0; i < places; i++) {
        struct port_address *address = &port->address[i];

        if (c->restoring || snoop_alive(address, now))
            address_state(address, now, c);
        codec_judge(c, snoop_valid(address) && snoop_alive(address, now), "an address behind the port");
    }
    if (codec_restored(c))
        port->nr_addresses = count;
}

/* A clone has another MAC than the guest of which it was made. What its driver, which knows nothing of that yet, sends
 * from the old one does not leave. */
static void stay_clone(struct virtio_net *net, const u8 own[MAC_LEN])
{
    memcpy(net->mac, own, MAC_LEN);
    memcpy(net->filter.mac, own, MAC_LEN);
    memcpy(net->virtio.config, own, MAC_LEN);
    net->clone = true;
    net->port.nr_addresses = 0;
}

/* The MAC that was configured on this host gives way to the MAC of the card that has arrived. */
void virtio_net_state(struct virtio *virtio, struct codec *c)
{
    struct virtio_net *net = container_of(virtio, struct virtio_net, virtio);
    struct virtio_net_filter filter = net->filter;
    u64 offloads_off = net->offloads_off, now = net->paused && !c->restoring ? net->stood : clock_ns();
    u8 mac[MAC_LEN], own[MAC_LEN];
    bool clone = net->clone;

    memcpy(mac, net->mac, MAC_LEN);
    memcpy(own, mac, MAC_LEN);
    codec_bytes(c, mac, MAC_LEN);
    codec_bytes(c, filter.mac, MAC_LEN);
    codec_u8(c, &filter.promiscuous);
    codec_u8(c, &filter.all_multicast);
    codec_u32(c, &filter.count);
    codec_judge(c, !((filter.promiscuous | filter.all_multicast) & ~VIRTIO_NET_ALL), "a mode of the filter");
    codec_judge(c, filter.count <= VIRTIO_NET_FILTERS, "the filter has too many addresses");
    for (u32 i = 0; i < filter.count && !c->err; i++)
        codec_bytes(c, filter.address[i], MAC_LEN);
    codec_u64(c, &offloads_off);
    codec_bool(c, &clone);
    codec_judge(c, !(offloads_off & ~VIRTIO_NET_GUEST_OFFLOADS), "offloads that are not offered here");
    if (codec_judge(c, mac_is_card(mac) && mac_is_card(filter.mac), "the MAC is not a card's")) {
        net->filter = filter;
        net->offloads_off = offloads_off;
        net->clone = clone;
        memcpy(net->mac, mac, MAC_LEN);
        net->stood = now;
    }
    addresses_state(&net->port, now, c);
    if (c->restoring && net->vm->incoming.clone)
        stay_clone(net, own);
    net->port.check_source |= net->clone;
    if (codec_restored(c))
        virtio_net_port_update(net);
}

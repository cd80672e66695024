/* SPDX-License-Identifier: BSD-2-Clause */
/* The control queue (virtio 1.2, 5.1.6.5): a command is class, command and data; the device answers with one byte. */
#include "dev/virtio_net_ctrl.h"

#include <string.h>

#include "host/bits.h"
#include "hv/vm.h"
#include "net/ethernet.h"

/* A command, copied out of its request. */
struct command {
    struct virtqueue *vq;
    const struct virtqueue_chain *chain;
    u8 class, code;
    u32 at; /* data consumed so far, the two bytes included */
};

/* The next `len` bytes of data; false if there are not so many. */
static bool take(struct command *command, void *buffer, u32 len)
{
    u32 got = virtqueue_read(command->vq, command->chain, command->at, buffer, len);

    command->at += got;
    return got == len;
}

void virtio_net_filter_reset(struct virtio_net *net)
{
    memset(&net->filter, 0, sizeof(net->filter));
    memcpy(net->filter.mac, net->mac, MAC_LEN);
    memcpy(net->virtio.config, net->mac, MAC_LEN);
}

bool virtio_net_filter_passes(const struct virtio_net *net, const u8 destination[MAC_LEN])
{
    const struct virtio_net_filter *filter = &net->filter;
    bool multicast = destination[0] & 1;

    /* Without the commands of CTRL_RX a driver could not ask for multicast, so it gets everything. */
    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_RX) || filter->promiscuous)
        return true;
    if ((multicast && filter->all_multicast) || !memcmp(destination, mac_broadcast, MAC_LEN) ||
        !memcmp(destination, filter->mac, MAC_LEN))
        return true;
    for (u32 i = 0; i < filter->count; i++)
        if (!memcmp(destination, filter->address[i], MAC_LEN))
            return true;
    return false;
}

/* Set or clear one reason why all frames of a kind pass. */
static void all_pass(u8 *reasons, u8 reason, bool on)
{
    *reasons = (u8)(on ? *reasons | reason : *reasons & ~reason);
}

static bool rx_mode(struct virtio_net *net, struct command *command)
{
    u8 on;

    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_RX) || !take(command, &on, sizeof(on)))
        return false;
    switch (command->code) {
    case VIRTIO_NET_CTRL_RX_PROMISC: all_pass(&net->filter.promiscuous, VIRTIO_NET_ALL_ASKED, on); return true;
    case VIRTIO_NET_CTRL_RX_ALLMULTI: all_pass(&net->filter.all_multicast, VIRTIO_NET_ALL_ASKED, on); return true;
    default: return false;
    }
}

/*
 * The command has two tables, unicast and multicast, each a 32-bit count and addresses. No address may be lost: if we
 * have no room for all, every frame of that kind passes until a table comes that fits.
 */
static bool mac_table(struct virtio_net *net, struct command *command)
{
    struct virtio_net_filter next = net->filter;
    u32 entries;

    next.count = 0;
    for (unsigned table = 0; table < 2; table++) {
        if (!take(command, &entries, sizeof(entries)) || entries > (command->chain->read_len - command->at) / MAC_LEN)
            return false;
        u32 kept = MIN(entries, VIRTIO_NET_FILTERS - next.count);

        if (!take(command, next.address[next.count], kept * MAC_LEN))
            return false;
        command->at += (entries - kept) * MAC_LEN;
        next.count += kept;
        all_pass(table == 0 ? &next.promiscuous : &next.all_multicast, VIRTIO_NET_ALL_FULL, kept < entries);
    }
    net->filter = next;
    return true;
}

/* A port that may only send from the address given to it may not get another one. */
static bool mac_address(struct virtio_net *net, struct command *command)
{
    u8 mac[MAC_LEN];

    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take(command, mac, sizeof(mac)) || !mac_is_card(mac))
        return false;
    if (net->port.check_source && memcmp(mac, net->mac, MAC_LEN))
        return false;
    memcpy(net->filter.mac, mac, MAC_LEN);
    memcpy(net->virtio.config, mac, MAC_LEN);
    return true;
}

static bool announce_ack(struct virtio_net *net)
{
    if (!virtio_has(&net->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE))
        return false;
    net->virtio.config[MAC_LEN] &= (u8)~VIRTIO_NET_S_ANNOUNCE;
    return true;
}

/* A driver can turn on only offloads that it has negotiated, and segments only with checksums (5.1.6.5.6.1). */
static bool guest_offloads(struct virtio_net *net, struct command *command)
{
    u64 agreed = net->virtio.features & VIRTIO_NET_GUEST_OFFLOADS, wanted;

    if (!virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || !take(command, &wanted, sizeof(wanted)) ||
        wanted & ~agreed || (wanted && !(wanted & VIRTIO_NET_F_GUEST_CSUM)))
        return false;
    net->offloads_off = agreed & ~wanted;
    return true;
}

static bool execute(struct virtio_net *net, struct command *command)
{
    if (!take(command, &command->class, 1) || !take(command, &command->code, 1))
        return false;
    switch (command->class) {
    case VIRTIO_NET_CTRL_RX: return rx_mode(net, command);
    case VIRTIO_NET_CTRL_MAC:
        if (command->code == VIRTIO_NET_CTRL_MAC_TABLE_SET)
            return virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_RX) && mac_table(net, command);
        return command->code == VIRTIO_NET_CTRL_MAC_ADDR_SET && mac_address(net, command);
    case VIRTIO_NET_CTRL_ANNOUNCE: return command->code == VIRTIO_NET_CTRL_ANNOUNCE_ACK && announce_ack(net);
    case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
        return command->code == VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && guest_offloads(net, command);
    default: return false;
    }
}

/* Carry out the next command. False: there is none. */
static bool control_one(struct virtio_net *net)
{
    static struct virtqueue_chain chain; /* host loop only */
    struct virtqueue *vq = &net->virtio.queue[VIRTIO_NET_CTRL];

    if (!virtio_live(&net->virtio, VIRTIO_NET_CTRL) || !virtqueue_pop(vq, &chain))
        return false;

    struct command command = { .vq = vq, .chain = &chain };
    u8 answer = execute(net, &command) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

    if (virtqueue_write(vq, &chain, 0, &answer, sizeof(answer)) != sizeof(answer))
        virtqueue_fail(vq, "control request has no room for the answer");
    else
        virtqueue_push(vq, chain.head, sizeof(answer));
    return true;
}

bool virtio_net_control(struct virtio_net *net)
{
    bool more = true;

    assert_held(&net->vm->device_lock);
    /* One ring's worth at a time: a guest that keeps adding commands does not hold us up. */
    for (unsigned i = 0; i < VIRTQUEUE_SIZE_MAX && more; i++)
        more = control_one(net) || virtqueue_notify_on(&net->virtio.queue[VIRTIO_NET_CTRL]);
    virtio_complete(&net->virtio, VIRTIO_NET_CTRL);
    return more;
}

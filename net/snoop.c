/* SPDX-License-Identifier: BSD-2-Clause */
/* Only what the port's owner says of itself is noted: frames from its MAC, and of ARP the sender's half. */
#include "net/snoop.h"

#include "net/frame.h"

#define ARP_SENDER_MAC 8
#define ARP_SENDER_IP 14
#define IP4_SOURCE 12
#define IP6_SOURCE 8

/* To the front; the one seen longest ago leaves a full table. */
static void note(struct port *port, const struct port_address *address)
{
    unsigned at = 0;

    while (at < port->nr_addresses && memcmp(&port->address[at], address, sizeof(*address)) != 0)
        at++;
    if (at == port->nr_addresses) {
        if (at < PORT_ADDRESSES)
            port->nr_addresses++;
        else
            at--;
    }
    memmove(&port->address[1], &port->address[0], at * sizeof(*address));
    port->address[0] = *address;
}

static void note_ip4(struct port *port, const struct frame *frame, uint32_t offset)
{
    struct port_address address = { .ip6 = false };
    const uint8_t *ip = address.bytes;

    /* Not the unspecified address, loopback, groups and above. */
    if (frame_read(frame, offset, address.bytes, 4) && ip[0] != 0 && ip[0] != 127 && ip[0] < 224)
        note(port, &address);
}

static void note_ip6(struct port *port, const struct frame *frame, uint32_t offset)
{
    static const uint8_t unspecified[15]; /* and loopback, but for the last byte */
    struct port_address address = { .ip6 = true };

    if (frame_read(frame, offset, address.bytes, 16) && address.bytes[0] != 0xFF &&
        (memcmp(address.bytes, unspecified, 15) != 0 || address.bytes[15] > 1))
        note(port, &address);
}

void snoop(struct port *port, const struct frame *frame)
{
    uint8_t source[MAC_LEN];
    uint32_t l3;

    if (!frame_read(frame, MAC_LEN, source, MAC_LEN) || !mac_equal(source, port->mac))
        return;
    switch (frame_type(frame, &l3)) {
    case ETH_TYPE_ARP:
        if (frame_read(frame, l3 + ARP_SENDER_MAC, source, MAC_LEN) && mac_equal(source, port->mac))
            note_ip4(port, frame, l3 + ARP_SENDER_IP);
        break;
    case ETH_TYPE_IP4: note_ip4(port, frame, l3 + IP4_SOURCE); break;
    case ETH_TYPE_IP6: note_ip6(port, frame, l3 + IP6_SOURCE); break;
    default: break;
    }
}

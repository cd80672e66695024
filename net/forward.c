/* SPDX-License-Identifier: BSD-2-Clause */
#include "net/forward.h"

#include <stdio.h>
#include <string.h>

#include "net/hold.h"

/* The port keeps all frames that it is given. */
static bool deliver(struct port *port, const struct frame *frame)
{
    (void)port, (void)frame;
    return false;
}

void forward_begin(struct forward *forward, struct port *from)
{
    struct port *port = &forward->port;

    *port = (struct port){ .closed = true, .deliver = deliver };
    snprintf(port->name, sizeof(port->name), "%s", from->name);
    memcpy(port->mac, from->mac, MAC_LEN);
    memcpy(port->address, from->address, sizeof(port->address));
    port->nr_addresses = from->nr_addresses;
    port_hold_pass(from, port);
    switch_add(port);
    switch_inherit(from, port);
    forward->on = true;
}

u32 forward_take(struct forward *forward, void *bytes, u32 room)
{
    return forward->on ? port_hold_take(&forward->port, bytes, room) : 0;
}

void forward_end(struct forward *forward)
{
    if (forward->on)
        switch_remove(&forward->port);
    forward->on = false;
}

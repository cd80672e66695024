/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the network. */
#include "hv/control/command.h"
#include "hv/control/commands.h"
#include "hv/control/json.h"
#include "net/netif.h"
#include "net/switch.h"

static void put_mac(struct json *out, const char *key, const u8 *mac)
{
    json_format(out, key, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void put_port(struct json *out, const struct port *port)
{
    json_object(out, NULL);
    json_string(out, "port", port->name);
    put_mac(out, "mac", port->mac);
    json_bool(out, "closed", port->closed);
    json_number(out, "rx_frames", port->counters.rx_frames);
    json_number(out, "rx_bytes", port->counters.rx_bytes);
    json_number(out, "rx_dropped", port->counters.rx_dropped);
    json_number(out, "tx_frames", port->counters.tx_frames);
    json_number(out, "tx_bytes", port->counters.tx_bytes);
    json_number(out, "tx_dropped", port->counters.tx_dropped);
    json_close(out);
}

int command_net(struct call *call)
{
    const struct switch_counters *counters = switch_counters();
    u32 ip4 = netif_port_ip4(); /* network byte order */
    struct json *out = call->out;

    json_format(out, "address", "%u.%u.%u.%u", ip4 & 0xFF, ip4 >> 8 & 0xFF, ip4 >> 16 & 0xFF, ip4 >> 24);
    put_mac(out, "mac", netif_port_mac());
    json_number(out, "forwarded", counters->forwarded);
    json_number(out, "flooded", counters->flooded);
    json_number(out, "offloads_finished", counters->finished);
    json_number(out, "storm_dropped", counters->storm_dropped);
    json_number(out, "spoof_dropped", counters->spoof_dropped);
    json_number(out, "malformed", counters->malformed);
    json_array(out, "ports");
    for (const struct port *port = switch_ports(); port; port = port->next)
        put_port(out, port);
    json_close(out);
    return 0;
}

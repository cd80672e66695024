/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the network. */
#include <errno.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "control/tls_view.h"
#include "host/bits.h"
#include "net/mac.h"
#include "net/net_test.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/syslog.h"
#include "net/testd.h"

#define NET_TEST_MIB 64

static void put_port(struct json *out, const struct port *port)
{
    json_object(out, NULL);
    json_string(out, "port", port->name);
    json_string(out, "mac", mac_text(port->mac).text);
    json_bool(out, "closed", port->closed);
    json_number(out, "rx_frames", port->counters.rx_frames);
    json_number(out, "rx_bytes", port->counters.rx_bytes);
    json_number(out, "rx_dropped", port->counters.rx_dropped);
    json_number(out, "tx_frames", port->counters.tx_frames);
    json_number(out, "tx_bytes", port->counters.tx_bytes);
    json_number(out, "tx_dropped", port->counters.tx_dropped);
    json_number(out, "held", port->counters.held);
    json_number(out, "late", port->counters.late);
    json_number(out, "late_twice", port->counters.late_twice);
    json_number(out, "copied_bytes", port->counters.copied_bytes);
    json_close(out);
}

static void put_syslog(struct json *out)
{
    struct syslog_status status;
    const u8 *a = status.address;

    if (!syslog_status(&status))
        return;
    json_object(out, "syslog");
    json_format(out, "server", "%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], status.port);
    json_bool(out, "reachable", status.reachable);
    json_number(out, "sent", status.sent);
    json_number(out, "lost", status.lost);
    json_number(out, "waiting", status.waiting);
    json_close(out);
}

int command_net(struct call *call)
{
    const struct switch_counters *counters = switch_counters();
    u32 ip4 = netif_port_ip4(); /* network byte order */
    struct json *out = call->out;

    json_format(out, "address", "%u.%u.%u.%u", ip4 & 0xFF, ip4 >> 8 & 0xFF, ip4 >> 16 & 0xFF, ip4 >> 24);
    json_string(out, "mac", mac_text(netif_port_mac()).text);
    json_number(out, "forwarded", counters->forwarded);
    json_number(out, "flooded", counters->flooded);
    json_number(out, "unforwarded", counters->unforwarded);
    json_number(out, "storm_dropped", counters->storm_dropped);
    json_number(out, "spoof_dropped", counters->spoof_dropped);
    json_number(out, "malformed", counters->malformed);
    json_number(out, "offloads_finished", counters->finished);
    json_number(out, "mac_conflicts", counters->mac_conflicts);
    json_number(out, "address_conflicts", netif_port_conflicts());
    put_syslog(out);
    tls_view_json(out);
    json_array(out, "ports");
    for (const struct port *port = switch_ports(); port; port = port->next)
        put_port(out, port);
    json_close(out);
    return 0;
}

int command_net_test(struct call *call)
{
    u64 mib = call->arg[1].given ? call->arg[1].number : NET_TEST_MIB;
    struct tcp_address to;

    if (tcp_address_parse(call->arg[0].text, TESTD_DISCARD, &to))
        return call_fail(call, -EINVAL,
                         "dest: '%.60s' is wrong, expected another machine's address, such as 192.0.2.1 or 2001:db8::1",
                         call->arg[0].text);
    switch (net_test_start(&to, mib << 20)) {
    case 0: return command_query_net_test(call);
    case -EBUSY: return call_fail(call, -EBUSY, "a test is under way, see query-net-test");
    case -EHOSTUNREACH: return call_fail(call, -EBUSY, "dest: there is no route to %.60s", call->arg[0].text);
    default: return call_fail(call, -ENOMEM, "no memory");
    }
}

int command_query_net_test(struct call *call)
{
    static const char *const names[] = {
        [NET_TEST_UNSTARTED] = "unstarted",
        [NET_TEST_ACTIVE] = "active",
        [NET_TEST_COMPLETED] = "completed",
        [NET_TEST_FAILED] = "failed",
    };
    const struct net_test *test = net_test_result();
    u64 us = (test->ended - test->began) / 1000;
    char to[TCP_ADDRESS_TEXT];

    json_string(call->out, "status", names[test->status]);
    if (test->status == NET_TEST_UNSTARTED)
        return 0;
    tcp_address_text(&test->to, to);
    json_string(call->out, "peer", to);
    json_number(call->out, "bytes", test->sent);
    if (test->error)
        json_string(call->out, "error", test->error);
    if (test->status != NET_TEST_COMPLETED)
        return 0;
    json_milli(call->out, "total-time", us);
    json_milli(call->out, "mbps", test->sent * 8000 / MAX(us, 1));
    return 0;
}

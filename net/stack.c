/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our side of lwIP (time, random numbers and polling), and the start of all of net/. lwIP's options are in
 * net/lwipopts.h, its types in net/arch/cc.h.
 */
#define LOG_PREFIX "net"

#include "net/stack.h"

#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>

#include "config/config.h"
#include "host/clock.h"
#include "tls/random.h"
#include "host/log.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/syslog.h"
#include "net/testd.h"
#include "net/uplink.h"

/* lwIP's clock: milliseconds since boot, wrapping. */
u32_t sys_now(void)
{
    return (u32_t)(clock_ns() / 1000000);
}

u32 net_random(void)
{
    u32 word;

    random_fill((u8 *)&word, sizeof(word));
    return word;
}

void net_init(void)
{
    lwip_init(); /* with LWIP_HAVE_LOOPIF it makes the loopback interface, addressed and up */
    pr_info("lwip %s, loopback up", LWIP_VERSION_STRING);
}

void net_start(const struct config_net *config)
{
    struct switch_settings settings = { .storm_limit = config->storm_limit, .anti_spoof = config->anti_spoof };

    if (!config->present)
        return;
    switch_configure(&settings);
    netif_port_start(config, uplink_start(config->uplink));
    if (config->test_services)
        testd_start();
    syslog_start(&config->syslog);
}

u64 net_poll(void)
{
    bool more = uplink_poll();

    more |= netif_port_poll();
    netif_poll_all();
    sys_check_timeouts();

    u64 sleep_ms = more ? 0 : sys_timeouts_sleeptime();

    return __builtin_ia32_rdtsc() + clock_ns_to_ticks(sleep_ms * 1000000);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "tls"
#include "net/tls_report.h"

#include <stdio.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "net/bucket.h"

#define LINE 10          /* tokens for a line: one comes each second */
#define LINES_AT_ONCE 10 /* lines */
#define AGAIN_NS (60 * NS_PER_S)
#define REMEMBERED 16

static const char *const words[NR_TLS_FAULTS] = {
    [TLS_KEYS_DIFFER] = "has no key in common with us",
    [TLS_NOT_MEANT] = "wants to reach another host than this one",
    [TLS_NOT_THAT_HOST] = "says that it is not the host of this address, or that it has our name",
    [TLS_OUR_NAME] = "has our name, which is for one host; or a connection of ours was sent back to us",
    [TLS_NO_KEYS] = "has no keys, and this host has: both need [keys], or neither",
    [TLS_FOREIGN] = "speaks no TLS that is taken here",
    [TLS_LATE] = "does not complete its handshake",
    [TLS_GAVE_WAY] = "had too many handshakes, or all had",
    [TLS_NO_MEMORY] = "there is no memory",
    [TLS_ENDED] = "the connection ended in its handshake",
    [TLS_CHANGED] = "what came is not what the peer has sent",
    [TLS_CUT_OFF] = "the connection was cut off",
    [TLS_ALERT] = "the peer has ended the connection by an alert",
};

static struct {
    struct bucket lines;
    u64 unsaid; /* faults, since the last line */
    unsigned next;
    struct said {
        struct tcp_address peer; /* without its port */
        enum tls_fault fault;
        u64 until; /* ns */
    } said[REMEMBERED];
} report = { .lines = { .rate = 1, .burst = LINES_AT_ONCE * LINE, .tokens = LINES_AT_ONCE * LINE } };

/* Was the same said of this host a moment ago? */
static bool was_said(const struct tcp_address *peer, enum tls_fault fault, u64 now)
{
    for (unsigned i = 0; i < REMEMBERED; i++)
        if (report.said[i].until > now && report.said[i].fault == fault &&
            tcp_address_equal(&report.said[i].peer, peer))
            return true;
    return false;
}

static void log_fault(const char *host, enum tls_fault fault)
{
    if (report.unsaid)
        pr_warn("%s: %s (%lu faults before it are not shown)", host, words[fault], report.unsaid);
    else
        pr_warn("%s: %s", host, words[fault]);
    report.unsaid = 0;
}

void tls_report(const struct tcp_address *peer, enum tls_fault fault, u64 now)
{
    struct tcp_address host = *peer;
    char text[TCP_ADDRESS_TEXT];

    tls_counters.fault[fault]++;
    host.port = 0;
    if (was_said(&host, fault, now) || !bucket_take(&report.lines, LINE, now)) {
        report.unsaid++;
        return;
    }
    report.said[report.next++ % REMEMBERED] = (struct said){ host, fault, now + AGAIN_NS };
    tcp_address_text(&host, text);
    log_fault(text, fault);
}

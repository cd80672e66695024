/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing here logs a line after the start: that line would be sent as well, and so on without end. */
#define LOG_PREFIX "syslog"
#include "net/syslog.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/host_work.h"
#include "net/netif.h"
#include "net/udp_sender.h"

#define FACILITY 3           /* system daemons (RFC 5424, table 1) */
#define SEQUENCE 0x7FFFFFFFU /* sequenceId goes from 1 to this (7.3.1) */
#define TURN 16              /* lines that are sent in one turn of the host loop */
#define BURST LOG_KEPT       /* lines that may be sent one after the other; then one each LINE_NS */
#define LINE_NS 5000000ULL
#define LOOK_NS 250000000ULL /* between two looks for a new line or a route; new lines often wake us earlier */

static struct {
    struct config_server server;
    u64 next;    /* the number of the line to send next */
    u64 free_ns; /* when the lines that were sent would be through at the rate that is allowed */
    u64 sent, lost;
} own;

static unsigned severity(enum log_level level)
{
    static const u8 severities[] = { [LOG_ERR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DEBUG] = 7 };

    return severities[level];
}

size_t syslog_message(const struct kept_line *line, u32 ip4, char out[SYSLOG_MESSAGE])
{
    char time[RTC_TEXT];
    int len;

    rtc_text(line->ns, time);
    len = snprintf(out, SYSLOG_MESSAGE, "<%u>1 %s %u.%u.%u.%u godwit - - [meta sequenceId=\"%lu\"] %s",
                   FACILITY * 8 + severity(line->level), time, ip4 & 0xFF, ip4 >> 8 & 0xFF, ip4 >> 16 & 0xFF, ip4 >> 24,
                   line->number % SEQUENCE + 1, line->text);
    /* A line may quote the words of a peer, and an escape sequence must not reach the reader's terminal. */
    for (int i = 0; i < len; i++)
        if ((u8)out[i] < ' ' || out[i] == 0x7F)
            out[i] = '?';
    return (size_t)len;
}

/* Returns false if the network does not take it now. */
static bool send(const struct kept_line *line)
{
    static char message[SYSLOG_MESSAGE];

    if (!udp_sender_send(message, syslog_message(line, netif_port_ip4(), message)))
        return false;
    own.free_ns = MAX(own.free_ns, clock_ns()) + LINE_NS;
    return true;
}

/* Lines before this one were overwritten: tell the server so, under the number of the last of them. */
static bool send_loss(const struct kept_line *line)
{
    static struct kept_line note;
    u64 lost = line->number - own.next;

    note = (struct kept_line){ .number = line->number - 1, .ns = line->ns, .level = LOG_WARN };
    note.len = (u16)snprintf(note.text, sizeof(note.text), "syslog: %lu lines before this one were lost", lost);
    if (!send(&note))
        return false;
    own.lost += lost;
    own.next = line->number;
    return true;
}

static bool send_next(const struct kept_line *line)
{
    if (line->number != own.next && !send_loss(line))
        return false;
    if (!send(line))
        return false;
    own.sent++;
    own.next = line->number + 1;
    return true;
}

static u64 later(u64 ns)
{
    return rdtsc() + clock_ns_to_ticks(ns);
}

/* Host work. */
static u64 work(void)
{
    static struct kept_line line;

    for (unsigned i = 0; i < TURN; i++) {
        u64 ns = clock_ns();

        if (own.free_ns > ns + BURST * LINE_NS)
            return later(own.free_ns - ns - BURST * LINE_NS);
        if (!log_read(own.next, &line) || !udp_sender_ready() || !send_next(&line))
            return later(LOOK_NS);
    }
    return rdtsc();
}

void syslog_start(const struct config_server *server)
{
    const u8 *a = server->bytes;

    if (!server->port)
        return;
    own.server = *server;
    if (!udp_sender_open(server)) {
        pr_err("no memory to send the log");
        own.server.port = 0;
        return;
    }
    pr_info("the log goes to %u.%u.%u.%u port %u", a[0], a[1], a[2], a[3], server->port);
    host_work_add(work);
}

bool syslog_status(struct syslog_status *status)
{
    u64 behind = log_next() - own.next, waiting = MIN(behind, (u64)LOG_KEPT);

    *status = (struct syslog_status){
        .port = own.server.port, .sent = own.sent, .lost = own.lost + behind - waiting, .waiting = waiting
    };
    memcpy(status->address, own.server.bytes, sizeof(status->address));
    status->reachable = own.server.port && udp_sender_ready();
    return own.server.port != 0;
}

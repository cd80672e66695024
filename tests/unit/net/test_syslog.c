/* SPDX-License-Identifier: BSD-2-Clause */
/* Syslog with a log and a network that do as the test says. */
/* sources: net/syslog.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "host/clock.h"
#include "host/rtc.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/host_work.h"
#include "net/netif.h"
#include "net/syslog.h"
#include "net/udp_sender.h"

static const struct config_server server = { .bytes = { 192, 0, 2, 9 }, .port = 514 };
static u64 (*poll)(void);
static u64 now, lines, kept; /* of the log: how many there were, how many of the last ones are there */
static bool ready;
static unsigned room, sent; /* datagrams that the network takes; that it has taken */
static char last[SYSLOG_MESSAGE];

u64 clock_ns(void)
{
    return now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

void rtc_text(u64 ns, char text[RTC_TEXT])
{
    snprintf(text, RTC_TEXT, "2026-11-28T20:33:18.%06luZ", (unsigned long)ns / 1000);
}

void log_line(enum log_level level, const char *prefix, const char *format, ...)
{
    (void)level;
    (void)prefix;
    (void)format;
    lines++; /* the line about the start */
}

bool log_read(u64 number, struct kept_line *line)
{
    number = MAX(number, lines - MIN(kept, lines));
    *line = (struct kept_line){ .number = number, .ns = number * 1000, .level = LOG_INFO };
    line->len = (u16)snprintf(line->text, LOG_LINE, "test: line %lu", (unsigned long)number);
    return number < lines;
}

u64 log_next(void)
{
    return lines;
}

void host_work_add(u64 (*fn)(void))
{
    poll = fn;
}

u32 netif_port_ip4(void)
{
    return 0x0A02000AU; /* 10.0.2.10 */
}

bool udp_sender_open(const struct config_server *to)
{
    assert_memory_equal(to, &server, sizeof(server));
    return true;
}

bool udp_sender_ready(void)
{
    return ready;
}

bool udp_sender_send(const void *bytes, size_t len)
{
    if (room == 0)
        return false;
    assert_true(ready && len < sizeof(last));
    memcpy(last, bytes, len);
    last[len] = '\0';
    room--;
    sent++;
    return true;
}

static int setup(void **state)
{
    (void)state;
    if (!poll)
        syslog_start(&server);
    room = 1000;
    kept = LOG_KEPT;
    ready = true;
    for (unsigned i = 0; i < 200; i++, now += 100000000) { /* what an earlier test has left */
        poll();
        room = 1000;
    }
    sent = 0;
    return 0;
}

static struct syslog_status status(void)
{
    struct syslog_status status;

    assert_true(syslog_status(&status));
    return status;
}

static void message(enum log_level level, u64 number, const char *text, const char *expected)
{
    struct kept_line line = { .number = number, .ns = 123456000, .level = level, .len = (u16)strlen(text) };
    char out[SYSLOG_MESSAGE];
    size_t len;

    strcpy(line.text, text);
    len = syslog_message(&line, 0x0A02000AU, out);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(out, expected, len);
}

static void test_format(void **state)
{
    (void)state;
    message(LOG_INFO, 0, "vm: web: reset",
            "<30>1 2026-11-28T20:33:18.123456Z 10.0.2.10 godwit - - [meta sequenceId=\"1\"] vm: web: reset");
    message(LOG_ERR, 41, "a: b",
            "<27>1 2026-11-28T20:33:18.123456Z 10.0.2.10 godwit - - [meta sequenceId=\"42\"] a: b");
    message(LOG_WARN, 0x7FFFFFFE, "a: b",
            "<28>1 2026-11-28T20:33:18.123456Z 10.0.2.10 godwit - - [meta sequenceId=\"2147483647\"] a: b");
    message(LOG_DEBUG, 0x7FFFFFFF, "a: \x1b[2J\nb\x7f \xc3\xa9",
            "<31>1 2026-11-28T20:33:18.123456Z 10.0.2.10 godwit - - [meta sequenceId=\"1\"] a: ?[2J?b? \xc3\xa9");
}

/* The longest line that there is, and all numbers at their longest. */
static void test_longest(void **state)
{
    struct kept_line line = { .number = 0x7FFFFFFE, .level = LOG_INFO, .len = LOG_LINE - 1 };
    char out[SYSLOG_MESSAGE];

    (void)state;
    memset(line.text, 'x', LOG_LINE - 1);
    assert_in_range(syslog_message(&line, 0xFFFFFFFF, out), LOG_LINE, SYSLOG_MESSAGE - 1);
    assert_non_null(strstr(out, "] xxx"));
}

/* Lines from before there is a way to the server are sent when there is one, each once and in order. */
static void test_waits_for_a_way(void **state)
{
    (void)state;
    ready = false;
    lines += 3;
    poll();
    assert_int_equal(sent, 0);
    assert_int_equal(status().waiting, 3);
    assert_false(status().reachable);
    ready = true;
    room = 2; /* then the card is full */
    poll();
    assert_int_equal(status().waiting, 1);
    room = 10;
    poll();
    assert_int_equal(sent, 3);
    assert_int_equal(status().waiting, 0);
    assert_int_equal(status().lost, 0);
    poll();
    assert_int_equal(sent, 3);
}

static void test_loss_is_said(void **state)
{
    u64 before = status().sent;
    char expected[80];

    (void)state;
    room = 0;
    lines += LOG_KEPT + 7;
    poll();
    assert_int_equal(status().lost, 7);
    assert_int_equal(status().waiting, LOG_KEPT);
    room = 1;
    poll();
    assert_non_null(strstr(last, "syslog: 7 lines before this one were lost"));
    snprintf(expected, sizeof(expected), "sequenceId=\"%lu\"", (unsigned long)(lines - LOG_KEPT));
    assert_non_null(strstr(last, expected));
    assert_int_equal(status().lost, 7);
    room = 1;
    poll();
    snprintf(expected, sizeof(expected), "test: line %lu", (unsigned long)(lines - LOG_KEPT));
    assert_non_null(strstr(last, expected));
    assert_int_equal(status().sent, before + 1);
}

/* Whoever makes the host log a thousand lines a second fills neither the link nor the host loop. */
static void test_rate(void **state)
{
    (void)state;
    kept = 100000;
    lines += 2000;
    room = 100000;
    poll();
    assert_in_range(sent, 1, 32); /* in one turn */
    for (unsigned i = 0; i < 100; i++)
        poll();
    assert_in_range(sent, LOG_KEPT, LOG_KEPT + 2);
    for (unsigned i = 0; i < 1000; i++, now += 1000000)
        poll();
    assert_in_range(sent, LOG_KEPT + 195, LOG_KEPT + 205);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_format, setup),
        cmocka_unit_test_setup(test_longest, setup),
        cmocka_unit_test_setup(test_waits_for_a_way, setup),
        cmocka_unit_test_setup(test_loss_is_said, setup),
        cmocka_unit_test_setup(test_rate, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

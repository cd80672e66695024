/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request goes from member to member. To ask a second one while the first may still do the swap is harmless: the swap
 * that comes later finds another value than the expected one.
 *
 * All members must belong to one etcd: of two etcds each would have a winner. So an answer counts only if no other
 * member has said that it belongs to another cluster, in the last minute. If an etcd was made anew, this holds again as
 * soon as each member has answered once, or was silent for so long.
 */
#define LOG_PREFIX "witness"
#include "owners/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "host/list.h"
#include "host/log.h"
#include "host/panic.h"
#include "net/tcp_stream.h"
#include "net/http_exchange.h"

#define FORGET_NS (60 * NS_PER_S) /* what a member said before counts no longer */

struct witness_request {
    struct list node;
    struct witness_outcome outcome;
    struct etcd_question question;
    unsigned only;   /* the member to be asked; WITNESS_ANY */
    unsigned member; /* who is asked now */
    u32 tried;       /* members that have been asked, bits */
    unsigned count;  /* and how many they are */
    u64 began;       /* clock_ns: the question */
    u64 asked;       /* clock_ns: this member was asked */
    char text[ETCD_REQUEST];
    struct http_exchange exchange;
};

static struct {
    struct witness_member member[CONFIG_WITNESSES];
    unsigned count;
    unsigned preferred; /* who answered last */
    u32 timeout;        /* ms */
    struct list requests;
    bool news; /* a question has come to its end since witness_poll was called */
    struct witness_counters counters;
} own = { .requests = { &own.requests, &own.requests } };

/* The next member to ask: the preferred one and those behind it, first of those that answered last time. Returns
 * `count` if all have been asked. */
static unsigned choose(const struct witness_request *request)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < own.count; i++) {
            unsigned member = (own.preferred + i) % own.count;

            if (request->tried & BIT(member) || (request->only != WITNESS_ANY && request->only != member))
                continue;
            if (pass || own.member[member].answering)
                return member;
        }
    return own.count;
}

static void finish(struct witness_request *request, enum witness_result result)
{
    u64 *const counts[] = {
        [WITNESS_READ] = &own.counters.read,
        [WITNESS_SWAPPED] = &own.counters.swapped,
        [WITNESS_DIFFERENT] = &own.counters.different,
        [WITNESS_UNREACHABLE] = &own.counters.unreachable,
    };

    request->outcome.result = result;
    request->outcome.ns = clock_ns() - request->began;
    if (result != WITNESS_UNREACHABLE)
        request->outcome.reason[0] = '\0';
    ++*counts[result];
    own.news = true;
}

/* Ask the next member, if there is one. */
static void ask_next(struct witness_request *request)
{
    struct witness_member *member;
    char host[TCP_ADDRESS_TEXT];
    size_t len;

    request->member = choose(request);
    if (request->member == own.count) {
        finish(request, WITNESS_UNREACHABLE);
        return;
    }
    member = &own.member[request->member];
    request->tried |= BIT(request->member);
    request->count++;
    request->asked = clock_ns();
    tcp_address_text(&member->server.address, host);
    len = etcd_request(&request->question, host, request->text);
    http_exchange_begin(&request->exchange, &member->server, request->text, len);
}

static void member_failed(struct witness_request *request, const char *fault)
{
    struct witness_member *member = &own.member[request->member];

    if (member->answering || !member->asked)
        pr_warn("%s: %s", member->url, fault);
    member->asked = true;
    member->answering = false;
    member->failed++;
    snprintf(member->fault, sizeof(member->fault), "%s", fault);
    if (request->count > 1)
        snprintf(request->outcome.reason, WITNESS_REASON, "none of %u members; the last one, %s: %s", request->count,
                 member->url, fault);
    else
        snprintf(request->outcome.reason, WITNESS_REASON, "%s: %s", member->url, fault);
    ask_next(request);
}

static void member_answered(const struct witness_request *request)
{
    struct witness_member *member = &own.member[request->member];

    member->ns = clock_ns() - request->asked;
    if (!member->answering)
        pr_info("%s answers in %lu us", member->url, member->ns / 1000);
    member->asked = member->answering = true;
    member->answered++;
    member->fault[0] = '\0';
    if (request->only == WITNESS_ANY)
        own.preferred = request->member;
}

/* Do all members say that they belong to this cluster? One that does not answer any more is not asked for ever. */
static bool one_cluster(u64 cluster)
{
    for (unsigned i = 0; i < own.count; i++) {
        const struct witness_member *member = &own.member[i];
        bool lost = !member->answering && clock_ns() - member->named > FORGET_NS;

        if (member->cluster && member->cluster != cluster && !lost)
            return false;
    }
    return true;
}

static void take_answer(struct witness_request *request)
{
    const struct http_exchange *exchange = &request->exchange;
    struct witness_outcome *outcome = &request->outcome;
    struct witness_member *member = &own.member[request->member];
    struct etcd_answer answer;
    bool done;

    etcd_answer(&request->question, exchange->answer.status, exchange->bytes + exchange->answer.head,
                exchange->answer.body, &answer);
    if (answer.cluster) {
        member->cluster = answer.cluster;
        member->named = clock_ns();
    }
    if (!answer.fault[0] && !one_cluster(answer.cluster))
        snprintf(answer.fault, sizeof(answer.fault), "another member belongs to another cluster than its %lx",
                 answer.cluster);
    if (answer.fault[0]) {
        member_failed(request, answer.fault);
        return;
    }
    member_answered(request);
    outcome->present = answer.present;
    memcpy(outcome->value, answer.value, sizeof(outcome->value));
    done = answer.swapped || (answer.present && !strcmp(answer.value, request->question.value));
    finish(request, !request->question.swap ? WITNESS_READ : done ? WITNESS_SWAPPED : WITNESS_DIFFERENT);
}

/* The time of this member is over. */
static void member_is_late(struct witness_request *request)
{
    const char *doubt = http_exchange_doubt(&request->exchange);
    char late[48];

    snprintf(late, sizeof(late), "no %s within %u ms", request->exchange.sent ? "answer" : "connection", own.timeout);
    http_exchange_late(&request->exchange);
    member_failed(request, doubt ? doubt : late);
}

/* Do what can be done now. False: the request waits. */
static bool step(struct witness_request *request)
{
    struct http_exchange *exchange = &request->exchange;
    enum http_progress progress = http_exchange_step(exchange);

    request->outcome.sent |= request->question.swap && exchange->given;
    if (progress == HTTP_ANSWERED) {
        take_answer(request);
    } else if (progress == HTTP_FAILED) {
        member_failed(request, exchange->fault);
    } else if (clock_ns() - request->asked >= own.timeout * NS_PER_MS) {
        member_is_late(request);
    } else {
        return false;
    }
    return true;
}

/* Host work. */
static u64 witness_poll(void)
{
    u64 wake = ~0ULL;

    list_each_safe (struct witness_request, request, &own.requests) {
        while (request->outcome.result == WITNESS_ASKED && step(request))
            continue;
        if (request->outcome.result == WITNESS_ASKED)
            wake = MIN(wake, request->asked + own.timeout * NS_PER_MS);
    }
    tcp_stream_push_all();
    if (own.news) { /* who has asked may have had its turn in this round already */
        own.news = false;
        return 0;
    }
    return wake == ~0ULL ? wake : rdtsc() + clock_ns_to_ticks(wake - MIN(wake, clock_ns()));
}

void witness_start(const struct config_witness *config)
{
    own.timeout = config->timeout;
    for (; own.count < CONFIG_WITNESSES && config->url[own.count].port; own.count++) {
        const struct config_server *url = &config->url[own.count];
        struct witness_member *member = &own.member[own.count];
        char host[TCP_ADDRESS_TEXT];

        member->server.trust = url->https ? TCP_SERVERS : TCP_ANYBODY;
        member->server.address = (struct tcp_address){ .ip6 = url->ip6, .port = (u16)url->port };
        memcpy(member->server.address.bytes, url->bytes, sizeof(url->bytes));
        tcp_address_text(&member->server.address, host);
        snprintf(member->url, sizeof(member->url), "%s://%s", url->https ? "https" : "http", host);
    }
    if (own.count)
        host_work_add(witness_poll);
}

bool witness_configured(void)
{
    return own.count > 0;
}

struct witness_request *witness_open(void)
{
    struct witness_request *request = calloc(1, sizeof(*request));

    if (request)
        list_add_tail(&own.requests, &request->node);
    return request;
}

void witness_close(struct witness_request *request)
{
    if (!request)
        return;
    http_exchange_abort(&request->exchange);
    list_del(&request->node);
    free(request);
}

/* The question is in place. */
static void begin(struct witness_request *request, unsigned only)
{
    if (request->outcome.result == WITNESS_ASKED)
        http_exchange_abort(&request->exchange);
    request->outcome = (struct witness_outcome){ .result = WITNESS_ASKED };
    if (!own.count)
        snprintf(request->outcome.reason, WITNESS_REASON, "the configuration has no [witness]");
    request->only = only;
    request->tried = request->count = 0;
    request->began = clock_ns();
    ask_next(request);
    if (request->outcome.result == WITNESS_ASKED)
        step(request);
    tcp_stream_push_all();
}

static void copy(char *to, size_t room, const char *text)
{
    assert(strlen(text) < room);
    snprintf(to, room, "%s", text);
}

void witness_read_at(struct witness_request *request, unsigned member, const char *key)
{
    request->question = (struct etcd_question){ .swap = false };
    copy(request->question.key, ETCD_KEY, key);
    begin(request, member);
}

void witness_read(struct witness_request *request, const char *key)
{
    witness_read_at(request, WITNESS_ANY, key);
}

void witness_swap(struct witness_request *request, const char *key, const char *expected, const char *value)
{
    request->question = (struct etcd_question){ .swap = true, .create = !expected };
    copy(request->question.key, ETCD_KEY, key);
    copy(request->question.expected, ETCD_VALUE, expected ? expected : "");
    copy(request->question.value, ETCD_VALUE, value);
    begin(request, WITNESS_ANY);
}

const struct witness_outcome *witness_outcome(const struct witness_request *request)
{
    return &request->outcome;
}

const struct witness_member *witness_member(unsigned index)
{
    return index < own.count ? &own.member[index] : NULL;
}

const struct witness_counters *witness_counters(void)
{
    return &own.counters;
}

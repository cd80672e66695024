/* SPDX-License-Identifier: BSD-2-Clause */
#include "owners/peer_query.h"

#include <errno.h>

#include "host/clock.h"

#define STEP_BUDGET 32 /* records in one step */

void peer_query_start(struct peer_query *query, const struct peer_query_ops *ops, void *ctx,
                      const struct wire_claim *questions, unsigned count)
{
    *query =
        (struct peer_query){ .ops = ops, .ctx = ctx, .questions = questions, .count = count, .status = PEER_ASKED };
}

static void hang_up(struct peer_query *query)
{
    if (!query->connected)
        return;
    query->transport.ops->close(&query->transport);
    inbox_fini(&query->inbox);
    outbox_fini(&query->outbox);
    query->connected = false;
}

/* This attempt has failed; the next one comes after PEER_AGAIN_MS. */
static void fail(struct peer_query *query)
{
    hang_up(query);
    query->again = query->ops->now(query->ctx) + PEER_AGAIN_MS * NS_PER_MS;
}

static void greet(struct peer_query *query)
{
    query->connected = true;
    query->said = 0;
    query->outbox = (struct outbox){ .buf = NULL };
    if (inbox_init(&query->inbox, sizeof(struct wire_claim), NULL, NULL) ||
        outbox_init(&query->outbox, sizeof(struct wire_claim)))
        fail(query);
    else
        outbox_greet(&query->outbox, &(struct greeting){ .kind = WIRE_ASK });
}

static bool dial(struct peer_query *query)
{
    int err;

    if (query->ops->now(query->ctx) < query->again)
        return false;
    err = query->ops->connect(query->ctx, &query->transport);
    if (err == -EAGAIN)
        return false;
    if (err)
        fail(query);
    else
        greet(query);
    return !err;
}

static void ask(struct peer_query *query)
{
    if (query->said < query->count)
        outbox_record(&query->outbox, WIRE_CLAIM, &query->questions[query->said], sizeof(struct wire_claim));
    else
        outbox_record(&query->outbox, WIRE_END, NULL, 0);
    query->said++;
}

static void take_claim(struct peer_query *query)
{
    struct wire_claim claim;

    if (query->inbox.len != sizeof(claim) || claim_read(&claim, query->inbox.body, sizeof(claim)))
        fail(query);
    else if (query->heard++ == query->count * WIRE_ANSWERS)
        peer_query_end(query); /* it has said more than it may, and would go on like that */
    else
        query->ops->heard(query->ctx, &claim);
}

static void take_end(struct peer_query *query)
{
    if (query->said <= query->count) { /* before it has heard all questions */
        fail(query);
        return;
    }
    query->status = PEER_ANSWERED;
    hang_up(query);
}

static void take_record(struct peer_query *query)
{
    switch (query->inbox.type) {
    case WIRE_KEEPALIVE: return;
    case WIRE_CLAIM: take_claim(query); return;
    case WIRE_END: take_end(query); return;
    default:
        if (!(query->inbox.type & WIRE_OPTIONAL))
            fail(query);
    }
}

static void take_header(struct peer_query *query)
{
    const struct wire_header *header = &query->inbox.header;

    if (header->kind != WIRE_REPLY || header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        fail(query);
}

/* Do one thing: connect, say, or take what has come. False if there is nothing to do now. */
static bool step(struct peer_query *query)
{
    int result;

    if (!query->connected)
        return dial(query);
    result = outbox_flush(&query->outbox, &query->transport);
    if (result == -EAGAIN)
        return false;
    if (!result && query->said <= query->count) {
        ask(query);
        return true;
    }
    /* A peer that listens no more may still have answered. */
    result = inbox_next(&query->inbox, &query->transport);
    switch (result) {
    case INBOX_NOTHING: return false;
    case INBOX_HEADER: take_header(query); return true;
    case INBOX_RECORD: take_record(query); return true;
    default: fail(query); return true;
    }
}

bool peer_query_step(struct peer_query *query)
{
    unsigned budget = STEP_BUDGET;

    while (query->status == PEER_ASKED && budget && step(query))
        budget--;
    return !budget;
}

void peer_query_end(struct peer_query *query)
{
    if (query->status != PEER_ASKED)
        return;
    hang_up(query);
    query->status = PEER_SILENT;
}

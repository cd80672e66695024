/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "stream/reception.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"

#define STEP_BUDGET 32 /* records of a connection in one step */
#define PATIENCE_NS (WIRE_DEAD_MS * NS_PER_MS)
#define WARN_PAUSE_NS (10 * NS_PER_S) /* between two warnings of visitors that have keys */

void reception_init(struct reception *reception, const struct reception_ops *ops)
{
    *reception = (struct reception){ .ops = ops };
}

/* The visitor's place is free again: the visitor leaves, or its transport now belongs to the destination. */
static void vacate(struct visitor *visitor)
{
    inbox_fini(&visitor->inbox);
    outbox_fini(&visitor->outbox);
    visitor->used = false;
}

static void leave(struct visitor *visitor)
{
    visitor->transport.ops->close(&visitor->transport);
    vacate(visitor);
}

static struct visitor *find_place(struct reception *reception)
{
    struct visitor *oldest = &reception->visitor[0];

    for (unsigned i = 0; i < RECEPTION_PLACES; i++) {
        struct visitor *visitor = &reception->visitor[i];

        if (!visitor->used)
            return visitor;
        if (visitor->since < oldest->since)
            oldest = visitor;
    }
    leave(oldest);
    return oldest;
}

int reception_accept(struct reception *reception, const struct transport *transport, const char *peer)
{
    struct visitor *visitor = find_place(reception);

    *visitor = (struct visitor){ .used = true, .transport = *transport, .since = reception->ops->now() };
    snprintf(visitor->peer, sizeof(visitor->peer), "%s", peer);
    if (!inbox_init(&visitor->inbox, sizeof(struct wire_claim), NULL, NULL) &&
        !outbox_init(&visitor->outbox, sizeof(struct wire_claim)))
        return 0;
    leave(visitor);
    return -ENOMEM;
}

static void take_header(struct reception *reception, struct visitor *visitor)
{
    const struct wire_header *header = &visitor->inbox.header;

    if (header->kind != WIRE_ASK) {
        reception->ops->pass_on(&visitor->transport, header, visitor->peer);
        vacate(visitor);
        return;
    }
    visitor->greeted = true;
    visitor->leaving = header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN;
    outbox_greet(&visitor->outbox, &(struct greeting){ .kind = WIRE_REPLY });
}

static void take_question(struct reception *reception, struct visitor *visitor)
{
    struct wire_claim question;

    if (visitor->questions++ == WIRE_QUESTIONS || visitor->inbox.len != sizeof(question) ||
        claim_read(&question, visitor->inbox.body, sizeof(question)) || question.kind != WIRE_CLAIM_ASKS) {
        leave(visitor);
        return;
    }
    visitor->answers = reception->ops->answer(visitor->peer, &question, visitor->answer);
    visitor->said = 0;
    reception->questions++;
}

static void take_record(struct reception *reception, struct visitor *visitor)
{
    switch (visitor->inbox.type) {
    case WIRE_KEEPALIVE: return;
    case WIRE_CLAIM: take_question(reception, visitor); return;
    case WIRE_END:
        visitor->leaving = true;
        outbox_record(&visitor->outbox, WIRE_END, NULL, 0);
        return;
    default:
        if (!(visitor->inbox.type & WIRE_OPTIONAL))
            leave(visitor);
    }
}

/* What came is no stream, or the peer is gone. A wrong header gets no answer, but a hypervisor that has keys is told by
 * ours that this one has none. */
static void take_nothing(struct reception *reception, struct visitor *visitor, int result)
{
    if (result != -EPROTO || visitor->greeted || !inbox_heard_tls(&visitor->inbox)) {
        leave(visitor);
        return;
    }
    if (reception->ops->now() >= reception->next_warning) {
        reception->next_warning = reception->ops->now() + WARN_PAUSE_NS;
        pr_warn("%s has keys, and this host has none: both need [keys], or neither", visitor->peer);
    }
    visitor->leaving = true;
    outbox_greet(&visitor->outbox, &(struct greeting){ .kind = WIRE_REPLY });
}

/* Do one thing for a visitor: say, or take what has come. False if there is nothing to do now. */
static bool visitor_step(struct reception *reception, struct visitor *visitor)
{
    int result = outbox_flush(&visitor->outbox, &visitor->transport);

    if (result == -EAGAIN)
        return false;
    if (result || visitor->leaving) {
        leave(visitor);
        return true;
    }
    if (visitor->said < visitor->answers) {
        outbox_record(&visitor->outbox, WIRE_CLAIM, &visitor->answer[visitor->said++], sizeof(struct wire_claim));
        return true;
    }
    result = inbox_next(&visitor->inbox, &visitor->transport);
    switch (result) {
    case INBOX_NOTHING: return false;
    case INBOX_HEADER: take_header(reception, visitor); return true;
    case INBOX_RECORD: take_record(reception, visitor); return true;
    default: take_nothing(reception, visitor, result); return true;
    }
}

bool reception_step(struct reception *reception)
{
    bool more = false;

    for (unsigned i = 0; i < RECEPTION_PLACES; i++) {
        struct visitor *visitor = &reception->visitor[i];
        unsigned budget = STEP_BUDGET;

        while (visitor->used && budget && visitor_step(reception, visitor))
            budget--;
        if (visitor->used && reception->ops->now() - visitor->since > PATIENCE_NS)
            leave(visitor);
        more |= visitor->used && !budget;
    }
    return more;
}

bool reception_busy(const struct reception *reception)
{
    for (unsigned i = 0; i < RECEPTION_PLACES; i++)
        if (reception->visitor[i].used)
            return true;
    return false;
}

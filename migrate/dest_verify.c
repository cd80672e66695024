/* SPDX-License-Identifier: BSD-2-Clause */
/* The destination's half of verification: digests of pages, at the end of live rounds and after PREPARE, and of state.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/bits.h"
#include "config/digest.h"
#include "migrate/dest_parts.h"

u64 section_digest(u64 digest, const struct wire_section *section, const u8 *bytes)
{
    return digest_bytes(digest_bytes(digest, section, sizeof(*section)), bytes, section->len);
}

/* Save the restored state again, and compare each section with the one that came. Returns whether all are the same; if
 * not, `reason` names the section. */
static bool state_verify(const struct incoming *in, const struct migrate_dest_ops *ops, char reason[WIRE_REASON])
{
    u8 *buf = malloc(WIRE_BODY_MAX);
    int err = buf ? 0 : -ENOMEM;

    for (unsigned i = 0; !err && i < in->stats.sections; i++) {
        struct wire_section section = { .instance = 0 };
        struct codec saved = codec_saver(buf, WIRE_BODY_MAX);

        ops->section(in->vm, i, &section, &saved);
        err = saved.err;
        section.len = saved.at;
        if (!err && section_digest(0, &section, buf) != in->sections[i]) {
            snprintf(reason, WIRE_REASON, "state of %s %u differs from the source's", section.name, section.instance);
            err = -EBADMSG;
        }
    }
    free(buf);
    if (err && err != -EBADMSG)
        snprintf(reason, WIRE_REASON, "state can't be saved for comparison");
    return !err;
}

static void prepared(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    struct dest *dest = session->dest;

    in->found.epoch = in->handoff.epoch;
    in->stats.prepared = dest_now(dest);
    receive_release(in);
    session->stage = SESSION_HANDOFF;
    dest_event(dest, in, HANDOFF_READY, 0, outcome_completed);
    if (in->protect)
        protect_begin(session);
}

/* No page is stale any more: are this memory and this state the same as the source's? */
static void compare(struct dest_session *session)
{
    const struct migrate_dest_ops *ops = session->dest->ops;
    struct incoming *in = session->incoming;
    char reason[WIRE_REASON] = "memory differs from the source's";

    in->stats.verify_bytes = in->digested.pages * WIRE_PAGE;
    in->found.memory_digest = in->digest.sum;
    if (in->found.memory_digest != in->prepare.memory_digest || !state_verify(in, ops, reason)) {
        dest_refuse(session, WIRE_E_DIGEST, reason);
        return;
    }
    in->stats.verify_ns = dest_now(session->dest) - in->stats.closed;
    prepared(session);
}

static void say_round_done(struct dest_session *session, const struct wire_round *round, u64 digest_us)
{
    struct wire_round answer = *round;

    answer.digest = (u32)MIN(digest_us, ~0U);
    outbox_record(&session->outbox, WIRE_ROUND_DONE, &answer, sizeof(answer));
}

void receive_round(struct dest_session *session, const struct wire_round *round)
{
    struct incoming *in = session->incoming;

    if (!in || !round->digest || !in->digest.stale) {
        say_round_done(session, round, 0);
        return;
    }
    session->stage = SESSION_DIGEST;
    in->round = *round;
    in->digested = (struct digest_work){ 0 };
}

static const void *received_page(void *ctx, gpa_t gpa)
{
    const struct dest_session *session = ctx;

    return session->dest->ops->look(session->incoming->vm, gpa);
}

/* Digest some of the stale pages. True: no page is stale any more. */
static bool digest_part(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    u64 began = dest_now(session->dest), before = in->digested.pages;
    bool done = ram_digest_part(&in->digest, &in->ram, received_page, session, &in->digested);

    in->digested.ns += dest_now(session->dest) - began;
    in->work += in->digested.pages - before;
    return done;
}

void receive_digest(struct dest_session *session)
{
    const struct incoming *in = session->incoming;

    if (!digest_part(session)) {
        say_keepalive(session);
        return;
    }
    session->stage = SESSION_RECEIVE;
    say_round_done(session, &in->round, in->digested.ns / 1000);
}

void receive_verify(struct dest_session *session)
{
    if (!session->incoming->digest.stale)
        prepared(session);
    else if (!digest_part(session))
        say_keepalive(session);
    else
        compare(session);
}

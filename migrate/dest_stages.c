/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection to the destination takes, and does, in each of its stages. The tables are at the end. */
#include <string.h>

#include "host/bits.h"
#include "migrate/dest_parts.h"

/* --- Records ------------------------------------------------------------------------------------------------------ */

/* COMMIT says how long the guest has stood, too, and includes a guess of its own way here. If COMMIT was late the guess
 * is too low: so the larger of both times is right. */
static void commit_came(struct incoming *in, u64 paused, u64 time)
{
    u64 stood = dest_stood(in, time);

    if (paused > stood)
        in->prepare.paused_ns += paused - stood;
}

static enum handoff_event event_of(u32 type, const struct wire_handoff *message)
{
    switch (type) {
    case WIRE_PREPARE: return HANDOFF_PREPARE;
    case WIRE_COMMIT: return HANDOFF_COMMIT;
    case WIRE_QUERY: return message->wish & WIRE_WISH_ABORT ? HANDOFF_QUERY_ABORT : HANDOFF_QUERY;
    default: return HANDOFF_ABORT;
    }
}

/* If this message ends the attempt: why does it? */
static struct outcome why_ended(enum handoff_event event, u32 code)
{
    if (event == HANDOFF_ABORT || event == HANDOFF_QUERY_ABORT)
        return (struct outcome){ code ? code : WIRE_E_CANCEL, "the source has broken it off" };
    return (struct outcome){ WIRE_E_STREAM, "its source spoke of its end before it was whole" };
}

static void take_handoff(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    struct wire_handoff message;
    enum handoff_event event;

    if (inbox_body(&session->inbox, &message, sizeof(message))) {
        dest_refuse(session, WIRE_E_STREAM, "malformed handoff message");
        return;
    }
    event = event_of(session->inbox.type, &message);
    /* An attempt is unknown before it is accepted; another attempt of that epoch, over or prepared, may be known. */
    if (!in || message.epoch != in->handoff.epoch) {
        struct wire_handoff unknown = { .epoch = message.epoch };

        outbox_record(&session->outbox, WIRE_UNKNOWN, &unknown, sizeof(unknown));
        return;
    }
    if (session->stage == SESSION_RECEIVE && event == HANDOFF_PREPARE) {
        receive_prepare(session, &message);
        return;
    }
    if (event == HANDOFF_COMMIT && in->handoff.state == DEST_PREPARED)
        commit_came(in, message.paused_ns, dest_now(session->dest));
    in->settled |= event == HANDOFF_ABORT; /* never said after COMMIT */
    dest_event(session->dest, in, event, message.epoch, session_why(session, why_ended(event, message.code)));
    if (session->incoming)
        fill_begin(session);
}

/* A source that looks at many pages before it finds one to send says how far it has got. */
static void take_keepalive(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    u64 work;

    if (!in || in->handoff.state != DEST_RECEIVING || inbox_body(&session->inbox, &work, sizeof(work)) ||
        work <= in->peer_work)
        return;
    in->peer_work = work;
    session->since = dest_now(session->dest);
}

/* The guest of this check would be taken: nothing is held for it any more when that is said. */
static void end_check(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    session_detach(session);
    session->stage = SESSION_ASKED;
    dest_event(session->dest, in, HANDOFF_CANCEL, 0, outcome_completed);
}

static void take_round(struct dest_session *session)
{
    struct wire_round round;

    if (inbox_body(&session->inbox, &round, sizeof(round))) {
        dest_refuse(session, WIRE_E_STREAM, "malformed ROUND");
        return;
    }
    session->since = dest_now(session->dest);
    if (session->stage == SESSION_TRY)
        end_check(session);
    else
        session->incoming->stats.rounds++;
    receive_round(session, &round);
}

/* The source tries how fast the link is. */
static void take_probe(struct dest_session *session)
{
    u64 ask = 0;

    memcpy(&ask, session->inbox.body, MIN(session->inbox.len, sizeof(ask)));
    if (ask)
        outbox_record(&session->outbox, WIRE_PROBE, NULL, 0);
}

static void nothing(struct dest_session *session)
{
    (void)session;
}

/* The source says END: it knows how the move ended. */
static void take_end(struct dest_session *session)
{
    if (session->incoming && !attempt_under_way(session->incoming))
        session->incoming->settled = true;
    session_close(session);
}

#define IN(stage) (1u << SESSION_##stage)
#define ANY (~0u)
/* Before a guest that starts anew here, or behind any guest. */
#define FILES (IN(RECEIVE) | IN(HANDOFF) | IN(ASKED) | IN(FILL) | IN(FILLED))

/* What is done with a record, and in which stages it may come. */
static const struct {
    u32 type, stages;
    void (*take)(struct dest_session *session);
} records[] = {
    { WIRE_KEEPALIVE, ANY, take_keepalive },
    { WIRE_END, ANY, take_end },
    { WIRE_RESERVE, IN(RESERVE), receive_reserve },
    { WIRE_STATE, IN(TRY) | IN(RECEIVE) | IN(PROTECT), receive_state },
    { WIRE_PROTECT, IN(RECEIVE), protect_wanted },
    { WIRE_CHECKPOINT, IN(PROTECT), protect_checkpoint },
    { WIRE_ROUND, IN(TRY) | IN(RECEIVE), take_round },
    { WIRE_PROBE, IN(TRY) | IN(RECEIVE), take_probe },
    { WIRE_PAGES, IN(RECEIVE) | IN(PROTECT) | IN(FILL) | IN(LANE) | IN(FILLED), nothing }, /* their contents follow */
    { WIRE_ZERO, IN(RECEIVE) | IN(PROTECT) | IN(FILL) | IN(LANE) | IN(FILLED), receive_zero },
    { WIRE_MISSING, IN(RECEIVE), receive_missing },
    { WIRE_PREPARE, IN(RECEIVE) | IN(HANDOFF) | IN(ASKED), take_handoff },
    { WIRE_COMMIT, ANY, take_handoff },
    { WIRE_QUERY, ANY, take_handoff },
    { WIRE_ABORT, ANY, take_handoff },
    { WIRE_FRAME, ANY, receive_frame },
    { WIRE_OFFER, FILES, receive_offer },
    { WIRE_FILE, FILES, receive_file },
    { WIRE_DIGEST, FILES, receive_digest_of_file },
};

void session_take(struct dest_session *session)
{
    u32 type = session->inbox.type;

    for (unsigned i = 0; i < ARRAY_SIZE(records); i++) {
        if (records[i].type != type)
            continue;
        if (records[i].stages & (1u << session->stage))
            records[i].take(session);
        else
            dest_refuse(session, WIRE_E_STREAM, "a record out of turn");
        return;
    }
    if (!(type & WIRE_OPTIONAL))
        dest_refuse(session, WIRE_E_STREAM, "unknown record");
}

/* --- Stages ------------------------------------------------------------------------------------------------------- */

/* A source for which memory is held must fill it; to say that it lives is not enough. */
static void late_source(struct dest_session *session)
{
    dest_refuse(session, WIRE_E_TIMEOUT, "nothing of the guest has come for 10 s");
}

/* Setup, and the end of a move in doubt, take only a few records: a peer that has no more than a connection has no
 * right to its place. */
#define IDLE .idle = true, .limit_ms = WIRE_SETUP_MS, .late = session_end
#define RECEIVING .move = true, .limit_ms = WIRE_PROGRESS_MS, .late = late_source

static const struct session_row stages[NR_SESSION_STAGES] = {
    [SESSION_GREET] = { IDLE },
    [SESSION_RESERVE] = { IDLE, .move = true },
    [SESSION_ROOM] = { IDLE, .move = true, .work = receive_room },
    [SESSION_TRY] = { RECEIVING },
    [SESSION_RECEIVE] = { RECEIVING },
    [SESSION_CLEAR] = { RECEIVING, .work = receive_clear },
    [SESSION_DIGEST] = { RECEIVING, .work = receive_digest },
    [SESSION_VERIFY] = { RECEIVING, .work = receive_verify },
    /* COMMIT and END come at once. A copy outlives its connection, and its source may ask by another one. */
    [SESSION_HANDOFF] = { .move = true, .limit_ms = WIRE_PROGRESS_MS, .late = session_end },
    /* As long as it takes: the source says KEEPALIVE. Its place is no move's: that may be needed to lead out of it. */
    [SESSION_PROTECT] = { .move = false },
    /* Others put the checkpoint into the copy, as they do when the connection has ended: dest_step(). */
    [SESSION_PUT] = { .work = nothing },
    [SESSION_ASKED] = { IDLE },
    /* As long as it takes: the source says KEEPALIVE. */
    [SESSION_FILL] = { .move = true },
    [SESSION_LANE] = { .move = false },
    [SESSION_FILLED] = { IDLE },
    [SESSION_CLOSE] = { .idle = true, .work = session_end, .limit_ms = WIRE_KEEPALIVE_MS, .late = session_end },
};

const struct session_row *session_row(const struct dest_session *session)
{
    return &stages[session->stage];
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/dest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "migrate/dest_parts.h"

#define STEP_BUDGET 64 /* pages or records of a connection in one step */
#define SAYS (ACTION_SAY_PREPARED | ACTION_SAY_RUNNING | ACTION_SAY_ABORTED)

void dest_init(struct dest *dest, const struct migrate_dest_ops *ops, void *ctx)
{
    memset(dest, 0, sizeof(*dest));
    dest->ops = ops;
    dest->ctx = ctx;
}

static u64 now(const struct dest *dest)
{
    return dest->ops->now(dest->ctx);
}

/* --- What the handoff decides --------------------------------------------------------------------------------- */

/* End the connection when all is said; nothing more is taken from it. */
static void close_later(struct dest_session *session)
{
    if (!session->closing)
        session->closing_since = now(session->dest);
    session->closing = true;
}

/* How long the guest has stood by now: until PREPARE was said, by the source's clock; since PREPARE came, by ours. */
static u64 stood(const struct incoming *in, u64 now)
{
    return in->claim.paused_ns + (now - in->stats.closed);
}

/* COMMIT says this time, too, and includes a guess of its own way here. If COMMIT was late the guess is too low: so the
 * larger of both times is right. */
static void commit_came(struct incoming *in, u64 paused, u64 now)
{
    if (paused > stood(in, now))
        in->claim.paused_ns += paused - stood(in, now);
}

void dest_apply(struct dest *dest, struct incoming *in, unsigned actions)
{
    u64 arrived = now(dest);

    if (actions & ACTION_RECORD)
        dest->ops->record(dest->ctx, in->vm_id, in->handoff.epoch, in->handoff.state == DEST_RUNNING);
    if (actions & ACTION_RUN) {
        dest->ops->run(in->vm, stood(in, arrived), arrived);
        in->stats.released = now(dest);
        in->stats.run_ns = in->stats.released - arrived;
        pr_info("migrate: %s, epoch %lu, runs here", in->name, (unsigned long)in->handoff.epoch);
    }
    if (actions & ACTION_FREE) {
        if (in->vm)
            dest->ops->free(in->vm);
        in->vm = NULL;
        load_release(in);
        /* The session may be in the middle of a page of that memory. */
        if (in->session)
            close_later(in->session);
    }
    if (in->session)
        in->session->say |= actions & SAYS;
    in->announce |= (actions & ACTION_ANNOUNCE) != 0;
}

static void announce(struct dest *dest, struct incoming *in)
{
    in->announce = false;
    if (in->handoff.state != DEST_RUNNING)
        return;
    dest->ops->announce(in->vm, in->handoff.epoch);
    in->stats.announce_ns = now(dest) - in->stats.released;
}

void dest_note_end(struct incoming *in, enum wire_code code, const char *reason)
{
    if (in->error)
        return;
    in->error = code;
    snprintf(in->reason, sizeof(in->reason), "%s", reason);
}

/* --- Connections ---------------------------------------------------------------------------------------------- */

/* Setup, and the end of a move in doubt, take only a few records: a peer that has no more than a connection has no
 * right to its place. */
static bool is_setting_up(const struct dest_session *session)
{
    return !session->incoming || session->incoming == &session->fresh || session->resolve;
}

static bool is_move(const struct dest_session *session)
{
    return session->greeted && !session->resolve && !session->closing;
}

/* The oldest connection that is no move yet; with `moves`, the oldest of those that want to become one. It gives way to
 * `other`, a newer one. NULL: there is none. */
static struct dest_session *oldest_idle(struct dest *dest, bool moves, const struct dest_session *other)
{
    struct dest_session *oldest = NULL;

    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        struct dest_session *session = &dest->session[i];

        if (session->used && session != other && is_setting_up(session) && (!moves || is_move(session)) &&
            (!oldest || session->since < oldest->since))
            oldest = session;
    }
    return oldest;
}

static void end_session(struct dest_session *session);

static struct dest_session *session_place(struct dest *dest)
{
    struct dest_session *oldest;

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (!dest->session[i].used)
            return &dest->session[i];
    oldest = oldest_idle(dest, false, NULL);
    if (oldest)
        end_session(oldest);
    return oldest;
}

int dest_accept(struct dest *dest, const struct transport *transport, const struct wire_header *header,
                const char *peer)
{
    struct transport refused = *transport;
    struct dest_session *session = session_place(dest);
    int err = -EBUSY;

    if (session) {
        memset(session, 0, sizeof(*session));
        err = inbox_init(&session->inbox, WIRE_BODY_MAX, load_place, session) ||
                      outbox_init(&session->outbox, WIRE_BODY_MAX)
                  ? -ENOMEM
                  : 0;
    }
    if (err) {
        if (session)
            inbox_fini(&session->inbox);
        refused.ops->close(&refused);
        return err;
    }
    if (header)
        inbox_received(&session->inbox, header);
    session->used = true;
    session->dest = dest;
    session->transport = *transport;
    snprintf(session->peer, sizeof(session->peer), "%s", peer);
    session->since = session->last_said = session->last_heard = session->last_whole = now(dest);
    return 0;
}

static void detach(struct dest_session *session)
{
    if (session->incoming)
        session->incoming->session = NULL;
    session->incoming = NULL;
}

static void end_session(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    session->transport.ops->close(&session->transport);
    detach(session);
    inbox_fini(&session->inbox);
    outbox_fini(&session->outbox);
    session->used = false;
    load_release(&session->fresh);
    if (!in || in == &session->fresh)
        return;
    /* A dry run leaves nothing but its result. A copy that was loading is given up; a prepared copy waits for another
     * connection. */
    if (in->handoff.state == DEST_LOADING && !in->dry_run)
        dest_note_end(in, WIRE_E_LINK, "the connection ended");
    dest_apply(session->dest, in, handoff_dest_event(&in->handoff, HANDOFF_LINK_LOST, 0));
}

void dest_refuse(struct dest_session *session, enum wire_code code, const char *reason)
{
    struct incoming *in = session->incoming;

    pr_warn("migrate: %s%srefused: %s", in ? in->name : "", in && in->name[0] ? " is " : "", reason);
    session->refusing = true;
    session->refused = (struct wire_refused){ .code = code };
    if (code == WIRE_E_REPLAY)
        session->refused.epoch = attempt_bar(session->dest, session->fresh.vm_id, session->epoch);
    snprintf(session->refused.reason, sizeof(session->refused.reason), "%s", reason);
    close_later(session);
    detach(session);
    if (!in || in == &session->fresh)
        return;
    dest_note_end(in, code, reason);
    if (in->handoff.state == DEST_LOADING)
        dest_apply(session->dest, in, handoff_dest_event(&in->handoff, HANDOFF_CANCEL, 0));
}

static unsigned moves_on(const struct dest *dest)
{
    unsigned moves = 0;

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        moves += dest->session[i].used && is_move(&dest->session[i]);
    return moves;
}

/* Begin a new attempt for the VM of this header; nothing of it is remembered before its RESERVE is accepted. Returns
 * WIRE_OK, with the attempt in session->incoming; or the code, with the reason in words. */
static enum wire_code begin(struct dest_session *session, const struct wire_header *header, const char **reason)
{
    struct dest *dest = session->dest;
    struct incoming *in = &session->fresh;

    *reason = "the epoch is above all that is credible";
    if (header->epoch > EPOCH_MAX) {
        dest->noise++;
        return WIRE_E_STREAM;
    }
    *reason = "too many guests are on their way here";
    if (moves_on(dest) > DEST_MOVES) {
        struct dest_session *idle = oldest_idle(dest, true, session);

        if (!idle)
            return WIRE_E_BUSY;
        dest_refuse(idle, WIRE_E_BUSY, *reason);
    }
    in->stats.began = now(dest);
    memcpy(in->vm_id, header->vm_id, WIRE_ID);
    memcpy(in->peer, session->peer, DEST_PEER);
    handoff_dest_init(&in->handoff, header->epoch);
    in->session = session;
    session->incoming = in;
    return WIRE_OK;
}

static void attach(struct dest_session *session, const struct wire_header *header)
{
    struct incoming *in = attempt_find(session->dest, header->vm_id, header->epoch);

    session->resolve = true;
    if (!in || in->handoff.state == DEST_LOADING) /* no source can be in doubt about a copy that was not prepared */
        return;
    if (in->session) {
        close_later(in->session);
        detach(in->session);
    }
    in->session = session;
    session->incoming = in;
}

static void take_header(struct dest_session *session)
{
    const struct wire_header *header = &session->inbox.header;
    struct wire_header reply = {
        .version_min = WIRE_VERSION_MIN,
        .version_max = WIRE_VERSION,
        .kind = WIRE_REPLY,
        .features = WIRE_FEATURES,
        .epoch = header->epoch,
    };
    enum wire_code code = WIRE_OK;
    const char *reason;

    memcpy(reply.vm_id, header->vm_id, WIRE_ID);
    outbox_header(&session->outbox, &reply);
    session->greeted = true;
    session->epoch = header->epoch;
    if (header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        dest_refuse(session, WIRE_E_VERSION, "no common version of the stream");
    else if (header->required & ~WIRE_FEATURES)
        dest_refuse(session, WIRE_E_FEATURE, "a feature that the source requires is unknown here");
    else if (header->kind == WIRE_RESOLVE)
        attach(session, header);
    else if (header->kind != WIRE_MOVE)
        dest_refuse(session, WIRE_E_STREAM, "neither a move nor its resolution");
    else if ((code = begin(session, header, &reason)))
        dest_refuse(session, code, reason);
}

static void take_handoff(struct dest_session *session, enum handoff_event event)
{
    struct incoming *in = session->incoming;
    struct wire_handoff message;

    if (inbox_body(&session->inbox, &message, sizeof(message))) {
        dest_refuse(session, WIRE_E_STREAM, "malformed handoff message");
        return;
    }
    if (event == HANDOFF_QUERY && message.wish & WIRE_WISH_ABORT)
        event = HANDOFF_QUERY_ABORT;
    /* A fresh attempt is unknown before it is accepted; another attempt of that epoch, over or prepared, may be
     * known. */
    if (!in || (in == &session->fresh && event != HANDOFF_PREPARE) || message.epoch != in->handoff.epoch) {
        struct wire_handoff unknown = { .epoch = message.epoch };

        outbox_record(&session->outbox, WIRE_UNKNOWN, &unknown, sizeof(unknown));
        return;
    }
    if (event == HANDOFF_PREPARE && in->handoff.state == DEST_LOADING) {
        load_prepare(session, &message);
        return;
    }
    if (event == HANDOFF_COMMIT && in->handoff.state == DEST_PREPARED)
        commit_came(in, message.paused_ns, now(session->dest));
    in->settled |= event == HANDOFF_ABORT; /* never said after COMMIT */
    if (attempt_under_way(in) && (event == HANDOFF_ABORT || event == HANDOFF_QUERY_ABORT))
        dest_note_end(in, message.code ? (enum wire_code)message.code : WIRE_E_CANCEL, "the source has broken it off");
    dest_apply(session->dest, in, handoff_dest_event(&in->handoff, event, message.epoch));
}

/* The guest of this check would be taken: nothing is held for it any more when that is said. */
static void end_check(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    detach(session);
    dest_apply(session->dest, in, handoff_dest_event(&in->handoff, HANDOFF_CANCEL, 0));
}

/* A source that looks at many pages before it finds one to send says how far it has got. */
static void take_keepalive(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    u64 work;

    if (!in || inbox_body(&session->inbox, &work, sizeof(work)) || work <= in->peer_work)
        return;
    in->peer_work = work;
    in->got_on = now(session->dest);
}

static void take_round(struct dest_session *session)
{
    struct wire_round round;

    if (inbox_body(&session->inbox, &round, sizeof(round)) || !session->incoming || !session->incoming->used) {
        dest_refuse(session, WIRE_E_STREAM, "malformed ROUND");
        return;
    }
    session->incoming->got_on = now(session->dest);
    if (session->incoming->dry_run)
        end_check(session); /* the attempt is no longer the session's */
    load_round(session, &round);
}

/* The source says END: it knows how the move ended. */
static void take_end(struct dest_session *session)
{
    if (session->incoming && !attempt_under_way(session->incoming))
        session->incoming->settled = true;
    close_later(session);
}

static void take_record(struct dest_session *session)
{
    switch (session->inbox.type) {
    case WIRE_KEEPALIVE: take_keepalive(session); return;
    case WIRE_END: take_end(session); return;
    case WIRE_RESERVE: load_reserve(session); return;
    case WIRE_PAGES: return; /* the contents of its pages follow */
    case WIRE_ZERO: load_zero(session); return;
    case WIRE_ROUND: take_round(session); return;
    case WIRE_STATE: load_state(session); return;
    case WIRE_PREPARE: take_handoff(session, HANDOFF_PREPARE); return;
    case WIRE_COMMIT: take_handoff(session, HANDOFF_COMMIT); return;
    case WIRE_QUERY: take_handoff(session, HANDOFF_QUERY); return;
    case WIRE_ABORT: take_handoff(session, HANDOFF_ABORT); return;
    case WIRE_FRAME: load_frame(session); return;
    default:
        if (!(session->inbox.type & WIRE_OPTIONAL))
            dest_refuse(session, WIRE_E_STREAM, "unknown record");
    }
}

/* The stream can't be followed any more. If even the header was wrong, no answer is given. */
static void broken(struct dest_session *session, int err)
{
    if (err == -EPROTO && session->greeted)
        dest_refuse(session, WIRE_E_STREAM, "the stream breaks its rules");
    else
        end_session(session);
}

/* Say what waits to be said, when nothing else is being sent. True if there was something. */
static bool say(struct dest_session *session)
{
    static const struct {
        unsigned action;
        u32 type;
    } says[] = {
        { ACTION_SAY_PREPARED, WIRE_PREPARED },
        { ACTION_SAY_RUNNING, WIRE_RUNNING },
        { ACTION_SAY_ABORTED, WIRE_ABORTED },
    };
    struct wire_handoff message = { .epoch = session->epoch };

    if (session->refusing) {
        session->refusing = false;
        outbox_record(&session->outbox, WIRE_REFUSED, &session->refused, sizeof(session->refused));
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
        if (!(session->say & says[i].action))
            continue;
        session->say &= ~says[i].action;
        if (session->incoming && says[i].type == WIRE_PREPARED)
            message = session->incoming->found;
        outbox_record(&session->outbox, says[i].type, &message, sizeof(message));
        return true;
    }
    return false;
}

/* Do one thing for a connection: send, verify, or take what has come. False if there is nothing to do now. */
static bool session_step(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    u64 before = session->inbox.bytes;
    int result = session->mute ? 0 : outbox_flush(&session->outbox, &session->transport);

    if (result == -EAGAIN)
        return false;
    if (result) { /* the peer listens no more, but its last words, ABORT above all, may have come */
        outbox_cancel(&session->outbox);
        session->mute = true;
    }
    if (say(session)) {
        session->last_said = now(session->dest);
        return true;
    }
    if (session->closing) {
        end_session(session);
        return true;
    }
    if (in && in->handoff.state == DEST_LOADING && (in->closed || in->rounding)) {
        load_digest(session);
        session->last_heard = session->last_whole = in->got_on = now(session->dest); /* we don't listen meanwhile */
        session->turn_over = true;
        return true;
    }
    if (load_clearing(session)) {
        load_clear(session);
        session->last_heard = session->last_whole = now(session->dest);
        return true;
    }
    result = inbox_next(&session->inbox, &session->transport);
    if (session->inbox.bytes != before)
        session->last_heard = now(session->dest);
    /* As long as bytes flow, the inbox is hardly ever seen between two records. */
    if (result > INBOX_NOTHING)
        session->last_whole = now(session->dest);
    switch (result) {
    case INBOX_NOTHING: return false;
    case INBOX_HEADER: take_header(session); return true;
    case INBOX_RECORD: take_record(session); return true;
    case INBOX_PAGE: load_page(session); return true;
    default: broken(session, result); return true;
    }
}

/* Has its source brought nothing for long? A source for which memory is held must fill it; to say that it lives is not
 * enough. */
static bool is_stuck(const struct incoming *in, u64 time)
{
    return in && in->used && in->handoff.state == DEST_LOADING && time - in->got_on > WIRE_PROGRESS_MS * NS_PER_MS;
}

static void session_watch(struct dest_session *session)
{
    u64 time = now(session->dest);

    if (inbox_whole(&session->inbox))
        session->last_whole = time;
    if (is_setting_up(session) && time - session->since > WIRE_SETUP_MS * NS_PER_MS) {
        end_session(session);
        return;
    }
    if (is_stuck(session->incoming, time)) {
        dest_refuse(session, WIRE_E_TIMEOUT, "nothing of the guest has come for 10 s");
        return;
    }
    /* A record that never ends is as bad as silence: its length was damaged. */
    if (session->closing ? time - session->closing_since > WIRE_KEEPALIVE_MS * NS_PER_MS
                         : time - MIN(session->last_heard, session->last_whole) > WIRE_DEAD_MS * NS_PER_MS) {
        end_session(session);
        return;
    }
    if (session->greeted && outbox_empty(&session->outbox) &&
        time - session->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS) {
        load_say_keepalive(session);
        session->last_said = time;
    }
}

bool dest_step(struct dest *dest)
{
    bool worked = false;

    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        struct dest_session *session = &dest->session[i];

        session->turn_over = false;
        for (unsigned n = 0; n < STEP_BUDGET && session->used && !session->turn_over && session_step(session); n++)
            worked = true;
        if (session->used)
            session_watch(session);
    }
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        struct incoming *in = &dest->incoming[i];

        /* The sessions have had their steps, so RUNNING is said. */
        if (in->announce)
            announce(dest, in);
    }
    return worked;
}

void dest_fini(struct dest *dest)
{
    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (dest->session[i].used)
            end_session(&dest->session[i]);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++)
        if (attempt_under_way(&dest->incoming[i]))
            dest_apply(dest, &dest->incoming[i], handoff_dest_event(&dest->incoming[i].handoff, HANDOFF_CANCEL, 0));
}

int dest_cancel(struct dest *dest, const void *vm)
{
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        struct incoming *in = &dest->incoming[i];

        if (!attempt_under_way(in) || in->vm != vm || !in->session)
            continue;
        if (in->handoff.state == DEST_LOADING) {
            dest_refuse(in->session, WIRE_E_CANCEL, "cancelled at the destination");
        } else {
            dest_note_end(in, WIRE_E_CANCEL, "cancelled here");
            dest_apply(dest, in, handoff_dest_event(&in->handoff, HANDOFF_CANCEL, 0));
        }
        return 0;
    }
    return -ENOENT;
}

void dest_forget(struct dest *dest, void *vm)
{
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        struct incoming *in = &dest->incoming[i];

        if (in->used && in->vm == vm && in->handoff.state == DEST_RUNNING) {
            in->handoff.state = DEST_GONE;
            in->vm = NULL;
        }
    }
}

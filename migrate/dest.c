/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/dest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "migrate/dest_parts.h"

#define STEP_BUDGET 64  /* pages or records of a connection in one turn */
#define STEP_NS 1000000 /* ns after which a turn ends: a page may be the first that is used of its 2 MiB */
#define WAIT_NS 100000  /* the same while somebody waits for a page, which may come by another connection */
#define SAYS (ACTION_SAY_PREPARED | ACTION_SAY_RUNNING | ACTION_SAY_COMPLETE | ACTION_SAY_ABORTED)

void dest_init(struct dest *dest, const struct migrate_dest_ops *ops, void *ctx)
{
    memset(dest, 0, sizeof(*dest));
    dest->ops = ops;
    dest->ctx = ctx;
}

/* --- What the handoff decides --------------------------------------------------------------------------------- */

void session_close(struct dest_session *session)
{
    if (session->stage == SESSION_CLOSE)
        return;
    session->stage = SESSION_CLOSE;
    session->since = session->last_heard = session->last_whole = dest_now(session->dest);
}

u64 dest_stood(const struct incoming *in, u64 now)
{
    return in->prepare.paused_ns + (now - in->stats.closed);
}

/* Carry out what the handoff decided: enum handoff_action. */
static void apply(struct dest *dest, struct incoming *in, unsigned actions)
{
    u64 arrived = dest_now(dest);

    if (actions & ACTION_RUN) {
        if (in->cold)
            in->stopped = !dest->ops->start(in->vm, !in->stopped, dest_stood(in, arrived));
        else
            dest->ops->run(in->vm, dest_stood(in, arrived), arrived, in->follows);
        in->stats.released = dest_now(dest);
        in->stats.run_ns = in->stats.released - arrived;
        dest_log(pr_info, in, ", %s here", in->cold && in->stopped ? "is" : "runs");
        protect_over(dest, in);
    }
    if (actions & ACTION_FREE) {
        protect_over(dest, in);
        if (in->vm)
            dest->ops->free(in->vm);
        in->vm = NULL;
        receive_release(in);
        /* The session may be in the middle of a page of that memory. */
        if (in->session)
            session_close(in->session);
        if (in->lane)
            session_close(in->lane);
    }
    if (in->session)
        in->session->say |= actions & SAYS;
    if (actions & ACTION_NOTE)
        dest->ops->note_epoch(dest->ctx, in->vm_id, in->handoff.epoch, dest_state_runs(in->handoff.state));
    if (!in->cold || !in->stopped) /* else it lives nowhere yet */
        in->announce |= (actions & ACTION_ANNOUNCE) != 0;
}

void dest_event(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch, struct outcome why)
{
    if (!protect_judges(dest, in, event, epoch))
        dest_decide(dest, in, event, epoch, why);
}

void dest_decide(struct dest *dest, struct incoming *in, enum handoff_event event, u64 epoch, struct outcome why)
{
    bool under_way = attempt_under_way(in);
    unsigned actions = handoff_dest_event(&in->handoff, event, epoch);

    if (under_way && in->handoff.state == DEST_ABORTED) {
        in->error = why.code;
        snprintf(in->reason, sizeof(in->reason), "%s", why.reason);
    }
    apply(dest, in, actions);
}

static void announce(struct dest *dest, struct incoming *in)
{
    in->announce = false;
    if (!dest_state_runs(in->handoff.state))
        return;
    dest->ops->announce(in->vm, in->handoff.epoch);
    in->stats.announce_ns = dest_now(dest) - in->stats.released;
}

/* --- Connections ---------------------------------------------------------------------------------------------- */

/* The oldest connection on which no guest depends; with `moves`, the oldest of those that want to become a move. It
 * gives way to `other`, a newer one. NULL: there is none. */
static struct dest_session *oldest_idle(struct dest *dest, bool moves, const struct dest_session *other)
{
    struct dest_session *oldest = NULL;

    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        struct dest_session *session = &dest->session[i];

        if (session->used && session != other && session_row(session)->idle && (!moves || session_row(session)->move) &&
            (!oldest || session->since < oldest->since))
            oldest = session;
    }
    return oldest;
}

static struct dest_session *session_place(struct dest *dest)
{
    struct dest_session *oldest;

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (!dest->session[i].used)
            return &dest->session[i];
    oldest = oldest_idle(dest, false, NULL);
    if (oldest)
        session_end(oldest);
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
        err = inbox_init(&session->inbox, WIRE_BODY_MAX, receive_place, session) ||
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
    session->since = session->last_said = session->last_heard = session->last_whole = dest_now(dest);
    return 0;
}

void session_detach(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    file_receiver_release(&session->files);
    session->incoming = NULL;
    if (!in)
        return;
    in->session = NULL;
    in->file_bytes = attempt_under_way(in) ? in->file_bytes : 0;
    protect_detach(session->dest, in);
}

/* The connection of an attempt ends for this reason; a copy that is prepared, or runs here, stays. */
static void log_left(const struct dest *dest, const struct incoming *in, const char *reason)
{
    if (in->handoff.state == DEST_PREPARED)
        dest_log(pr_warn, in, ", is prepared, and waits for COMMIT or for `resolve`: %s", reason);
    else if (in->handoff.state == DEST_INCOMPLETE)
        dest_log(pr_warn, in, ", runs here, and pages of it are missing: its source will connect anew: %s", reason);
    else if (in->handoff.state == DEST_RUNNING && !in->settled)
        dest_log(pr_warn, in, ", runs here, and its source has not said END: %s", reason);
    if (dest_state_runs(in->handoff.state) && in->follows && !dest->ops->files_here(in->vm))
        dest_log(pr_warn, in,
                 ", runs here without the files that it starts from: a reset ends it until they "
                 "have come, see migrate-files at its source");
}

struct outcome session_why(const struct dest_session *session, struct outcome otherwise)
{
    const struct transport *transport = &session->transport;
    const char *words = NULL;
    enum wire_code code = transport->ops->why ? transport->ops->why(transport, &words) : WIRE_OK;

    return code ? (struct outcome){ code, words } : otherwise;
}

void session_end(struct dest_session *session)
{
    const struct outcome ended = session_why(session, (struct outcome){ WIRE_E_LINK, "the connection ended" });
    struct incoming *in = session->incoming;

    session->transport.ops->close(&session->transport);
    session_detach(session);
    lane_detach(session);
    inbox_fini(&session->inbox);
    outbox_fini(&session->outbox);
    session->used = false;
    receive_release(&session->fresh);
    if (!in)
        return;
    /* A copy that was still being received is given up; a prepared copy waits for another connection. */
    log_left(session->dest, in, ended.reason);
    dest_event(session->dest, in, HANDOFF_LINK_LOST, 0, ended);
}

/* A guest that is to be protected here is brought again and again: is this another one than the last that was refused,
 * or refused for another reason? */
static bool is_news(struct dest_session *session, const char *name, enum wire_code code, const char *reason)
{
    char text[sizeof(session->dest->refused)], *last = session->dest->refused;

    if (!(session->inbox.header.required & WIRE_FEATURE_PROTECT))
        return true;
    snprintf(text, sizeof(text), "%u %s %s", code, name, reason);
    if (!strcmp(text, last))
        return false;
    memcpy(last, text, sizeof(text));
    return true;
}

void dest_refuse(struct dest_session *session, enum wire_code code, const char *reason)
{
    struct incoming *in = session->incoming;
    const char *name = in ? in->name : session->fresh.name;

    if (in)
        log_left(session->dest, in, reason);
    if ((!in || in->handoff.state == DEST_RECEIVING) && is_news(session, name, code, reason))
        pr_warn("migrate: %s%srefused: %s", name, name[0] ? " is " : "", reason);
    session->say |= SAY_REFUSED;
    session->refused = (struct wire_refused){ .code = code };
    if (code == WIRE_E_REPLAY)
        session->refused.epoch = dest_known_epoch(session->dest, session->fresh.vm_id, session->epoch);
    snprintf(session->refused.reason, sizeof(session->refused.reason), "%s", reason);
    session_close(session);
    session_detach(session);
    if (in && in->handoff.state == DEST_RECEIVING)
        dest_event(session->dest, in, HANDOFF_CANCEL, 0, (struct outcome){ code, reason });
}

static unsigned moves_on(const struct dest *dest)
{
    unsigned moves = 0;

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        moves += dest->session[i].used && session_row(&dest->session[i])->move;
    return moves;
}

/* Begin a new attempt for the VM of this header; nothing of it is remembered before its RESERVE is accepted. Returns
 * WIRE_OK, with the attempt in session->fresh; or the code, with the reason in words. */
static enum wire_code begin(struct dest_session *session, const struct wire_header *header, const char **reason)
{
    struct dest *dest = session->dest;
    struct incoming *in = &session->fresh;

    session->stage = SESSION_RESERVE;
    *reason = "the epoch is above all that is credible";
    if (header->epoch > EPOCH_MAX) {
        dest->noise++;
        return WIRE_E_STREAM;
    }
    *reason = "too many guests are on their way there";
    if (moves_on(dest) > DEST_MOVES) {
        struct dest_session *idle = oldest_idle(dest, true, session);

        if (!idle)
            return WIRE_E_BUSY;
        dest_refuse(idle, WIRE_E_BUSY, *reason);
    }
    in->stats.began = dest_now(dest);
    memcpy(in->vm_id, header->vm_id, WIRE_ID);
    memcpy(in->peer, session->peer, DEST_PEER);
    handoff_dest_init(&in->handoff, header->epoch);
    in->session = session;
    return WIRE_OK;
}

static void attach(struct dest_session *session, const struct wire_header *header)
{
    struct incoming *in = attempt_of(session, header);

    session->stage = SESSION_ASKED;
    if (!in || in->handoff.state == DEST_RECEIVING) /* no source can be in doubt about a copy that was not prepared */
        return;
    if (in->session) {
        session_close(in->session);
        session_detach(in->session);
    }
    in->session = session;
    session->incoming = in;
}

static void take_header(struct dest_session *session)
{
    const struct wire_header *header = &session->inbox.header;
    const struct greeting reply = {
        .kind = WIRE_REPLY, .vm_id = header->vm_id, .epoch = header->epoch, .features = WIRE_FEATURES
    };
    enum wire_code code = WIRE_OK;
    const char *reason;

    outbox_greet(&session->outbox, &reply);
    session->epoch = header->epoch;
    if (header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        dest_refuse(session, WIRE_E_VERSION, "no common version of the stream");
    else if (header->required & ~WIRE_FEATURES)
        dest_refuse(session, WIRE_E_FEATURE, "a feature that the source requires is unknown there");
    else if (header->kind == WIRE_RESOLVE)
        attach(session, header);
    else if (header->kind == WIRE_SERVE)
        lane_attach(session, header);
    else if (header->kind != WIRE_MOVE)
        dest_refuse(session, WIRE_E_STREAM, "neither a move nor its resolution");
    else if ((code = begin(session, header, &reason)))
        dest_refuse(session, code, reason);
}

/* The stream can't be followed any more. If even the header was wrong, no answer is given. */
static void broken(struct dest_session *session, int err)
{
    if (err == -EPROTO && session->stage != SESSION_GREET)
        dest_refuse(session, WIRE_E_STREAM, "the stream breaks its rules");
    else
        session_end(session);
}

/* Say what waits to be said, when nothing else is being sent. True if there was something. */
static bool say(struct dest_session *session)
{
    const struct wire_handoff plain = { .epoch = session->epoch };
    const struct {
        unsigned what;
        u32 type;
        const void *body;
        size_t len;
    } says[] = {
        { SAY_REFUSED, WIRE_REFUSED, &session->refused, sizeof(session->refused) },
        { SAY_FILED, WIRE_FILED, &session->filed, sizeof(session->filed) },
        { SAY_CHECKPOINTED, WIRE_CHECKPOINTED, NULL, 0 }, /* its body is made by protect_say() */
        { ACTION_SAY_PREPARED, WIRE_PREPARED, session->incoming ? &session->incoming->found : &plain, sizeof(plain) },
        { ACTION_SAY_RUNNING, WIRE_RUNNING, &plain, sizeof(plain) },
        { ACTION_SAY_COMPLETE, WIRE_COMPLETE, &plain, sizeof(plain) },
        { ACTION_SAY_ABORTED, WIRE_ABORTED, &plain, sizeof(plain) },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
        if (!(session->say & says[i].what))
            continue;
        session->say &= ~says[i].what;
        if (says[i].what == SAY_CHECKPOINTED)
            protect_say(session);
        else
            outbox_record(&session->outbox, says[i].type, says[i].body, says[i].len);
        return true;
    }
    return false;
}

/* Take what has come. False if nothing has. */
static bool listen(struct dest_session *session)
{
    u64 before = session->inbox.bytes;
    int event = inbox_next(&session->inbox, &session->transport);

    if (session->inbox.bytes != before)
        session->last_heard = dest_now(session->dest);
    if (session->inbox.bytes != before && session->incoming)
        session->incoming->heard = session->last_heard;
    /* As long as bytes flow, the inbox is hardly ever seen between two records. */
    if (event > INBOX_NOTHING)
        session->last_whole = session->last_heard;
    switch (event) {
    case INBOX_NOTHING: return false;
    case INBOX_HEADER: take_header(session); return true;
    case INBOX_RECORD: session_take(session); return true;
    case INBOX_PAGE: receive_page(session); return true;
    default: broken(session, event); return true;
    }
}

/* Do one thing for a connection: send, work, or take what has come. False if there is nothing to do now. */
static bool session_step(struct dest_session *session)
{
    int err = session->mute ? 0 : outbox_flush(&session->outbox, &session->transport);

    if (err == -EAGAIN)
        return false;
    if (err) { /* the peer listens no more, but its last words, ABORT above all, may have come */
        outbox_cancel(&session->outbox);
        session->mute = true;
    }
    if (say(session) || fill_say(session)) {
        session->last_said = dest_now(session->dest);
        return true;
    }
    if (!session_row(session)->work)
        return listen(session);
    session_row(session)->work(session);
    if (session->stage != SESSION_CLOSE) /* meanwhile the source could not be heard */
        session->since = session->last_heard = session->last_whole = dest_now(session->dest);
    return true;
}

/* Time-outs and keepalive. */
static void session_watch(struct dest_session *session)
{
    const struct session_row *row;
    u64 time;

    fill_watch(session);
    row = session_row(session);
    time = dest_now(session->dest);
    if (inbox_whole(&session->inbox))
        session->last_whole = time;
    if (row->limit_ms && time - session->since > row->limit_ms * NS_PER_MS) {
        row->late(session);
        return;
    }
    /* A record that never ends is as bad as silence: its length was damaged. */
    if (time - MIN(session->last_heard, session->last_whole) > protect_patience(session)) {
        session_end(session);
        return;
    }
    if (session->stage != SESSION_GREET && outbox_empty(&session->outbox) &&
        time - session->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS) {
        say_keepalive(session);
        session->last_said = time;
    }
}

/* Take a connection's turn: what it has to work for comes a part in each, because others want the host loop, too.
 * Returns whether something was done. */
static bool session_turn(struct dest_session *session)
{
    u64 began = dest_now(session->dest);
    bool works = false;
    unsigned n = 0;

    while (n < STEP_BUDGET && session->used && !works &&
           dest_now(session->dest) - began < (session_waits(session) ? WAIT_NS : STEP_NS)) {
        works = session_row(session)->work;
        if (!session_step(session))
            break;
        n++;
    }
    if (session->used)
        session_watch(session);
    return n;
}

/* Take the turns of lanes, or of all other connections. */
static bool take_turns(struct dest *dest, bool lanes)
{
    bool worked = false;

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (dest->session[i].used && (dest->session[i].stage == SESSION_LANE) == lanes)
            worked |= session_turn(&dest->session[i]);
    return worked;
}

bool dest_step(struct dest *dest)
{
    bool worked = take_turns(dest, true); /* somebody waits for what these bring */

    worked |= take_turns(dest, false);
    each_attempt (in, dest) {
        fill_end(dest, in); /* a guest that has reset itself misses nothing */
        worked |= protect_put(dest, in);
        /* The sessions have had their steps, so RUNNING is said. */
        if (in->announce)
            announce(dest, in);
    }
    return worked;
}

bool dest_busy(const struct dest *dest)
{
    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (dest->session[i].used)
            return true;
    each_attempt (in, dest) {
        /* An incomplete guest may start anew, without a connection, too: it misses nothing then. */
        if (in->used && (in->handoff.state == DEST_RECEIVING || in->handoff.state == DEST_INCOMPLETE || in->announce ||
                         protect_putting(in)))
            return true;
    }
    return false;
}

void dest_fini(struct dest *dest)
{
    const struct outcome why = { WIRE_E_CANCEL, "all guests on their way here are given up" };

    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        if (dest->session[i].used)
            session_end(&dest->session[i]);
    each_attempt (in, dest)
        if (attempt_under_way(in))
            dest_decide(dest, in, HANDOFF_CANCEL, 0, why);
}

int dest_cancel(struct dest *dest, const void *vm)
{
    each_attempt (in, dest) {
        if (!attempt_under_way(in) || in->vm != vm || !in->session)
            continue;
        if (in->handoff.state == DEST_RECEIVING)
            dest_refuse(in->session, WIRE_E_CANCEL, "cancelled at the destination");
        else
            dest_event(dest, in, HANDOFF_CANCEL, 0, (struct outcome){ WIRE_E_CANCEL, "cancelled here" });
        return 0;
    }
    return -ENOENT;
}

void dest_forget(struct dest *dest, void *vm)
{
    each_attempt (in, dest) {
        if (!in->used || in->vm != vm || !dest_state_runs(in->handoff.state))
            continue;
        if (in->handoff.state == DEST_INCOMPLETE) {
            fill_lost(in);
            if (in->session) /* nothing is missing to a guest that has ended */
                in->session->say |= ACTION_SAY_COMPLETE;
        }
        in->handoff.state = DEST_GONE;
        in->vm = NULL;
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "host/panic.h"
#include "migrate/source_parts.h"

#define STEP_BUDGET 4 /* records in one step: others want the host loop, too */
#define BROKEN "the connection broke"
#define SAYS (ACTION_SAY_PREPARE | ACTION_SAY_COMMIT | ACTION_SAY_QUERY | ACTION_SAY_ABORT)

void source_init(struct source *s, const struct migrate_source_ops *ops, void *vm, const u8 vm_id[WIRE_ID], u64 epoch,
                 u64 owner)
{
    memset(s, 0, sizeof(*s));
    s->ops = ops;
    s->vm = vm;
    memcpy(s->vm_id, vm_id, WIRE_ID);
    s->owner = owner;
    handoff_source_init(&s->handoff, epoch);
}

u64 source_now(const struct source *s)
{
    return s->ops->now(s->vm);
}

static enum migrate_status status(const struct source *s)
{
    if (s->stage == STAGE_SERVE)
        return source_serve_status(s);
    if (!source_is_over(s))
        return source_row(s)->status;
    if (s->stats.error == WIRE_E_CANCEL)
        return s->stage == STAGE_IDLE ? MIGRATE_CANCELLED : MIGRATE_CANCELLING;
    return s->stats.error ? MIGRATE_FAILED : MIGRATE_COMPLETED;
}

void source_enter(struct source *s, enum stage stage)
{
    u64 time = source_now(s);

    if (!source_is_over(s))
        *(u64 *)((u8 *)&s->stats.phases + source_row(s)->clock) += time - s->stage_began;
    s->stage = stage;
    s->stage_began = time;
    s->stats.status = status(s);
    if (source_row(s)->enter)
        source_row(s)->enter(s);
}

/* --- The handoff ------------------------------------------------------------------------------------------- */

static void note_epoch(struct source *s)
{
    bool peer = s->handoff.state != SOURCE_OWNER;

    s->unnoted = false;
    s->ops->note_epoch(s->vm, peer ? s->handoff.proposed : s->handoff.epoch, peer);
}

void source_event(struct source *s, enum handoff_event event, u64 epoch, struct outcome why)
{
    unsigned actions = handoff_source_event(&s->handoff, event, epoch);

    if (actions & SAYS)
        s->say = actions & SAYS;
    s->unnoted |= (actions & ACTION_NOTE) != 0;
    if (actions & ACTION_GATE)
        s->ops->gate(s->vm);
    if (actions & ACTION_RECONNECT)
        source_disconnect(s);
    if (actions & ACTION_SERVE)
        source_serve(s);
    if (actions & ACTION_GO_ON)
        source_protected(s);
    if (actions & (ACTION_STAND | ACTION_RESUME | ACTION_FREE))
        source_end(s, why);
    if (s->unnoted && s->handoff.state != SOURCE_IN_DOUBT)
        note_epoch(s);
    if (actions & ACTION_ANNOUNCE)
        s->ops->announce(s->vm);
}

void source_link_lost(struct source *s, enum wire_code code, const char *reason)
{
    if (source_reconnects(s) && !s->recovering) /* once, until the destination answers again */
        source_log(pr_warn, s, ": %s: connects anew", reason);
    source_disconnect(s);
    if (source_row(s)->lost)
        source_row(s)->lost(s);
    else
        source_fail(s, code, reason);
}

/* The peer is there, and of no use: before COMMIT the move ends; after COMMIT another connection may do better. */
static void peer_fails(struct source *s, enum wire_code code, const char *reason)
{
    if (source_row(s)->lost)
        source_link_lost(s, code, reason);
    else
        source_fail(s, code, reason);
}

void source_bad_stream(struct source *s, const char *reason)
{
    peer_fails(s, WIRE_E_STREAM, reason);
}

/* --- Beginning ------------------------------------------------------------------------------------------------ */

bool source_settle(struct source *s)
{
    if (s->handoff.state != SOURCE_OWNER || !source_is_over(s))
        return s->stage == STAGE_IDLE;
    if (s->stage != STAGE_IDLE)
        source_finish(s);
    return true;
}

/* Get all memory that the move needs, and the description. */
static int prepare(struct source *s)
{
    int err;

    s->description = calloc(1, sizeof(*s->description));
    if (!s->description || inbox_init(&s->inbox, WIRE_BODY_MAX, NULL, NULL) || outbox_init(&s->outbox, WIRE_BODY_MAX))
        return -ENOMEM;
    err = s->ops->describe(s->vm, s->description);
    if (!err)
        err = ram_init(&s->ram, s->description->range, s->description->head.nr_ranges);
    if (err)
        return err;
    s->bitmap = ram_bitmap(&s->ram);
    if (s->settings.policy.hot_last) {
        s->hot = ram_bitmap(&s->ram);
        s->written = ram_bitmap(&s->ram);
    }
    if (!s->bitmap || (s->settings.policy.hot_last && (!s->hot || !s->written)))
        return -ENOMEM;
    err = s->settings.verify ? ram_digest_init(&s->digest, &s->ram) : 0;
    return !err && s->settings.protect ? source_protect_init(s) : err;
}

static void propose(struct source *s)
{
    s->stats.epoch = handoff_propose(&s->handoff);
    s->handoff.split = s->settings.split || s->switch_now;
    s->handoff.protect = s->settings.protect;
}

int source_start(struct source *s, const struct migrate_settings *settings)
{
    int err;

    if (s->stage != STAGE_IDLE)
        return -EBUSY;
    if (s->handoff.state != SOURCE_OWNER)
        return -EPERM;
    memset(&s->stage, 0, sizeof(*s) - offsetof(struct source, stage));
    s->settings = *settings;
    s->settings.policy.max_rounds = MIN(settings->policy.max_rounds, (u32)MIGRATE_ROUNDS);
    err = prepare(s);
    if (err) {
        source_release(s);
        return err;
    }
    handoff_remembered(&s->handoff, settings->above);
    propose(s);
    if (settings->cold || settings->follow)
        source_files_begin(s);
    s->stats.total = s->stats.remaining = settings->cold ? 0 : s->ram.pages * WIRE_PAGE;
    s->started = s->next_try = source_now(s);
    bucket_init(&s->bucket, settings->max_bandwidth, BURST, s->started);
    source_enter(s, STAGE_CONNECT);
    return 0;
}

/* --- Talking and listening ------------------------------------------------------------------------------ */

static bool transmit(struct source *s)
{
    bool worked = false;

    for (unsigned i = 0; i < STEP_BUDGET && s->link != LINK_NONE; i++) {
        int err = outbox_flush(&s->outbox, &s->transport);

        if (err == -EAGAIN)
            return worked;
        if (err) {
            source_link_lost(s, WIRE_E_LINK, BROKEN);
            return true;
        }
        if (!source_row(s)->produce || !source_row(s)->produce(s))
            return worked;
        worked = true;
        s->got_on = source_now(s);
        /* Work that sends nothing is done a piece at a time, with a look at the clock in between: see watch(). */
        if (outbox_empty(&s->outbox))
            return true;
        s->last_said = source_now(s);
        source_count_bytes(s);
        /* Digests beside a running guest are done so, too, though each piece says KEEPALIVE: the guest and others want
         * the processor. */
        if (s->stage == STAGE_ROUND_WAIT || s->stage == STAGE_HARVEST)
            return true;
    }
    return worked;
}

static void take_header(struct source *s)
{
    const struct wire_header *header = &s->inbox.header;

    if (header->kind != WIRE_REPLY || header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        source_bad_stream(s, "the destination speaks another version");
    else if (memcmp(header->vm_id, s->vm_id, WIRE_ID) || header->epoch != s->stats.epoch)
        source_bad_stream(s, "the destination answers for another VM or epoch");
    else if (s->settings.verify && !(header->features & WIRE_FEATURE_VERIFY))
        source_bad_stream(s, "the destination can't verify");
    else if (s->handoff.split && !(header->features & WIRE_FEATURE_POSTCOPY))
        source_bad_stream(s, "the destination can't take a guest whose memory is to follow (post-copy)");
    else if (s->settings.protect && !(header->features & WIRE_FEATURE_PROTECT))
        source_bad_stream(s, "the destination can't keep a copy up to date (protect)");
    else if (s->settings.cold && !(header->features & WIRE_FEATURE_FILES))
        source_bad_stream(s, "the destination can't take a guest that starts anew there (cold)");
    else if (s->stage == STAGE_GREET)
        source_answered(s);
    s->peer_features = header->features;
}

static void take_accepted(struct source *s)
{
    struct wire_accepted *accepted = &s->stats.accepted;

    if (s->stage != STAGE_ACCEPT) {
        source_bad_stream(s, "ACCEPTED out of turn");
        return;
    }
    if (inbox_body(&s->inbox, accepted, sizeof(*accepted)) || accepted->count > WIRE_WARNINGS) {
        accepted->count = 0;
        source_bad_stream(s, "malformed acceptance");
        return;
    }
    for (u32 i = 0; i < accepted->count; i++) {
        accepted->warning[i][WIRE_REASON - 1] = 0;
        if (!s->settings.quiet)
            source_log(pr_warn, s, ", at the destination: %s", accepted->warning[i]);
    }
    source_accepted(s);
}

/* The destination remembers a later epoch, perhaps from a time before this machine was started anew: try again, once,
 * with an epoch above that. */
static bool propose_beyond(struct source *s, const struct wire_refused *refused)
{
    if (refused->code != WIRE_E_REPLAY || s->stage > STAGE_ACCEPT || s->beyond ||
        !handoff_remembered(&s->handoff, refused->epoch))
        return false;
    s->beyond = true;
    propose(s);
    source_disconnect(s);
    s->next_try = source_now(s);
    source_enter(s, STAGE_CONNECT);
    return true;
}

static void take_refused(struct source *s)
{
    struct wire_refused refused;

    if (inbox_body(&s->inbox, &refused, sizeof(refused))) {
        source_bad_stream(s, "malformed refusal");
        return;
    }
    refused.reason[sizeof(refused.reason) - 1] = 0;
    if (source_row(s)->lost)
        source_link_lost(s, WIRE_E_LINK, BROKEN);
    else if (!propose_beyond(s, &refused))
        source_fail(s, refused.code ? refused.code : WIRE_E_STREAM, refused.reason);
}

static void take_round_done(struct source *s)
{
    struct wire_round round;

    if (inbox_body(&s->inbox, &round, sizeof(round)) || (s->stage != STAGE_ROUND_WAIT && s->stage != STAGE_TRIED) ||
        round.number != s->stats.rounds)
        source_bad_stream(s, "a round is acknowledged that was not sent");
    else
        source_round_done(s, &round);
}

static void take_prepared(struct source *s, const struct wire_handoff *message)
{
    if (s->handoff.state == SOURCE_PREPARING &&
        (message->state_digest != s->state_digest || message->memory_digest != s->digest.sum)) {
        source_fail(s, WIRE_E_DIGEST, "the destination holds other memory or state than was sent");
        return;
    }
    source_event(s, s->settings.image ? HANDOFF_CANCEL : HANDOFF_PREPARED, message->epoch, outcome_completed);
    if (s->handoff.state == SOURCE_IN_DOUBT && s->stage == STAGE_PREPARE)
        source_enter(s, STAGE_COMMIT);
}

static void tell_handoff(struct source *s, enum handoff_event event, u64 epoch)
{
    const struct outcome aborted = { s->handoff.abort ? WIRE_E_CANCEL : WIRE_E_TIMEOUT,
                                     "the destination gave up before COMMIT" };

    if (epoch == s->stats.epoch)
        source_protect_answered(s, event);
    source_event(s, event, epoch, event == HANDOFF_ABORTED ? aborted : outcome_completed);
}

static void take_handoff(struct source *s, enum handoff_event event)
{
    struct wire_handoff message;

    if (inbox_body(&s->inbox, &message, sizeof(message)))
        source_bad_stream(s, "malformed handoff message");
    else if (event == HANDOFF_PREPARED)
        take_prepared(s, &message);
    else
        tell_handoff(s, event, message.epoch);
    if (event == HANDOFF_RUNNING && s->stage == STAGE_SERVE)
        source_served(s);
}

/* A destination that has much to do before it answers says how far it has got. */
static void take_keepalive(struct source *s)
{
    u64 work;

    if (inbox_body(&s->inbox, &work, sizeof(work)) || work <= s->peer_work)
        return;
    s->peer_work = work;
    s->got_on = source_now(s);
    if (s->stage == STAGE_SERVE)
        source_serve_answered(s);
}

static void take_record(struct source *s)
{
    switch (s->inbox.type) {
    case WIRE_KEEPALIVE: take_keepalive(s); return;
    case WIRE_PROBE: source_probe_answered(s); return;
    case WIRE_END: return;
    case WIRE_ACCEPTED: take_accepted(s); return;
    case WIRE_REFUSED: take_refused(s); return;
    case WIRE_ROUND_DONE: take_round_done(s); return;
    case WIRE_PROTECTING: source_take_protecting(s); return;
    case WIRE_CHECKPOINTED: source_take_checkpointed(s); return;
    case WIRE_PREPARED: take_handoff(s, HANDOFF_PREPARED); return;
    case WIRE_RUNNING: take_handoff(s, HANDOFF_RUNNING); return;
    case WIRE_COMPLETE: take_handoff(s, HANDOFF_COMPLETE); return;
    case WIRE_MISSING:
        if (!source_take_missing(s))
            source_bad_stream(s, "MISSING out of turn, or of what isn't RAM");
        return;
    case WIRE_PULL: source_pull(s); return;
    case WIRE_ABORTED: take_handoff(s, HANDOFF_ABORTED); return;
    case WIRE_UNKNOWN: take_handoff(s, HANDOFF_UNKNOWN); return;
    case WIRE_NEED: source_take_need(s); return;
    case WIRE_FILED: source_take_filed(s); return;
    default:
        if (!(s->inbox.type & WIRE_OPTIONAL))
            source_bad_stream(s, "unknown record");
    }
}

static bool receive(struct source *s)
{
    bool worked = false;

    for (unsigned i = 0; i < STEP_BUDGET && s->link != LINK_NONE && source_listens(s); i++) {
        u64 before = s->inbox.bytes;
        int event = inbox_next(&s->inbox, &s->transport);

        if (s->inbox.bytes != before)
            s->last_heard = source_now(s);
        if (event == INBOX_NOTHING)
            return worked;
        worked = true;
        if (event > INBOX_NOTHING)
            s->last_whole = source_now(s);
        if (event == INBOX_HEADER)
            take_header(s);
        else if (event == INBOX_RECORD && !s->inbox.pages)
            take_record(s);
        else if (event == -EPROTO && inbox_heard_tls(&s->inbox))
            source_bad_stream(s, "the destination has keys, and this host has none: both need [keys], or neither");
        else if (event == -EPROTO || event >= 0)
            source_bad_stream(s, "the destination's stream is damaged");
        else
            source_link_lost(s, WIRE_E_LINK, BROKEN);
    }
    return worked;
}

void source_say_keepalive(struct source *s, struct outbox *box)
{
    outbox_record(box, WIRE_KEEPALIVE, &s->work, sizeof(s->work));
    s->said_work = s->work;
}

/* ns: at least `ms`. The machine that has a protected guest's copy may be silent, or get on with nothing, for as long
 * as the operator says. */
static u64 patience(const struct source *s, u32 ms)
{
    return MAX(ms, source_row(s)->status == MIGRATE_PROTECTED ? s->settings.limit : 0) * NS_PER_MS;
}

/* Has the peer said nothing for too long? A record that never ends is as bad as silence: its length was damaged. */
static bool is_silent(struct source *s, u64 time)
{
    if (inbox_whole(&s->inbox))
        s->last_whole = time;
    return time - MIN(s->last_heard, s->last_whole) > patience(s, WIRE_DEAD_MS);
}

/* Does the destination leave what is sent lying, or its answer out, for too long? To say that it lives is not enough: a
 * guest may stand for it. As long as this end is at work, the destination owes nothing. */
static bool is_stuck(struct source *s, u64 time)
{
    if (outbox_empty(&s->outbox) && !source_row(s)->waits)
        s->got_on = time;
    return time - s->got_on > patience(s, WIRE_PROGRESS_MS);
}

/* Time-outs and keepalive. */
static void watch(struct source *s)
{
    const struct stage_row *row = source_row(s);
    u64 time = source_now(s), began = row->status == MIGRATE_SETUP ? s->started : s->stage_began;

    if (row->limit_ms && time - began > row->limit_ms * NS_PER_MS)
        row->late(s);
    else if (s->link == LINK_NONE || !source_listens(s))
        return;
    else if (is_silent(s, time))
        source_link_lost(s, WIRE_E_TIMEOUT, "the destination is silent");
    else if (is_stuck(s, time))
        peer_fails(s, WIRE_E_TIMEOUT, "the destination has done nothing for 10 s");
    else if (s->link == LINK_GREETED && outbox_empty(&s->outbox) &&
             time - s->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS) {
        source_say_keepalive(s, &s->outbox);
        s->last_said = time;
    }
}

/* Why the destination and this host don't know each other, in words; NULL: that is not what is wrong. */
static const char *stranger(int err)
{
    switch (err) {
    case -EACCES: return "the destination has no key in common with this host";
    case -EPERM: return "the destination is not the host that has this address, or it has this host's name";
    case -ENOPROTOOPT: return "the destination has no keys, and this host has: both need [keys], or neither";
    default: return NULL;
    }
}

/* There is no connection, in CONNECT, in doubt or for files: open one, if it is time for that. Returns true if there is
 * one now. */
static bool open_link(struct source *s)
{
    bool doubt = source_reconnects(s);
    int err;

    assert(doubt || s->stage == STAGE_CONNECT || s->stage == STAGE_FOLLOW);
    if (source_now(s) < s->next_try)
        return false;
    err = s->ops->connect(s->vm, &s->transport);
    if (err == -EAGAIN)
        return false;
    s->next_try = source_now(s) +
                  WIRE_RETRY_MS * NS_PER_MS; /* a connection that held for so long is made anew at once */
    if (err) {
        if (!doubt && stranger(err))
            source_fail(s, WIRE_E_LINK, stranger(err));
        else if (!doubt)
            source_row(s)->late(s);
        return false;
    }
    s->link = LINK_OPEN;
    inbox_reset(&s->inbox);
    outbox_reset(&s->outbox);
    s->last_said = s->last_heard = s->last_whole = s->got_on = source_now(s);
    if (doubt && s->handoff.split)
        source_serve_again(s);
    if (doubt)
        source_event(s, HANDOFF_LINK_BACK, 0, outcome_completed);
    else if (s->stage == STAGE_CONNECT)
        source_enter(s, STAGE_GREET);
    return true;
}

bool source_step(struct source *s)
{
    bool worked;

    if (!source_active(s))
        return false;
    if (s->unnoted && (s->link == LINK_NONE || (!s->say && outbox_empty(&s->outbox))))
        note_epoch(s);
    if (s->stage == STAGE_END_LOG || s->stage == STAGE_IDLE)
        return source_end_log(s);
    if (s->link == LINK_NONE) {
        worked = open_link(s);
    } else {
        worked = source_lane_step(s);
        worked |= receive(s);
        if (s->stage == STAGE_TAKE) /* how long the guest stands is not for the connection to say */
            worked |= source_take(s);
        worked |= transmit(s);
    }
    if (source_active(s))
        watch(s);
    if (s->stage == STAGE_SERVE)
        source_serve_note(s);
    return worked && source_active(s);
}

int source_cancel(struct source *s)
{
    int err = source_row(s)->cancel;

    if (!err)
        source_fail(s, WIRE_E_CANCEL, "cancelled");
    return err;
}

void source_limit(struct source *s, u32 downtime_limit, u64 max_bandwidth)
{
    if (!source_active(s))
        return;
    s->settings.policy.downtime_limit = downtime_limit;
    s->settings.max_bandwidth = max_bandwidth;
    bucket_set_rate(&s->bucket, max_bandwidth, source_now(s));
}

int source_resolve(struct source *s, enum resolution resolution)
{
    static const enum handoff_event events[] = { HANDOFF_CANCEL, HANDOFF_FORCE_RESUME, HANDOFF_FORCE_GIVE_UP };
    bool resume = resolution == RESOLUTION_FORCE_RESUME;
    u64 epoch = s->handoff.proposed;
    struct outcome why = { WIRE_E_CANCEL, resume ? "taken back by force" : "given up by force" };

    if (!source_reconnects(s) && s->handoff.state != SOURCE_SUPERSEDED)
        return -ENOENT;
    if (s->stage == STAGE_PARTING && resolution == RESOLUTION_FORCE_GIVE_UP)
        return -EBUSY;
    source_event(s, events[resolution], EPOCH_FORCE + s->owner % EPOCH_FORCE, why);
    if (resolution != RESOLUTION_ABORT)
        pr_warn("migrate: epoch %lu resolved by force: %s", epoch, resume ? "resume here" : "give up here");
    return 0;
}

void source_heard(struct source *s, const struct wire_claim *claim, u64 age_ms)
{
    bool rival = claim->epoch == s->handoff.epoch && claim_prevails(claim, s->owner, age_ms);
    struct outcome why = { WIRE_E_REPLAY, rival
                                              ? "another machine owns it under the same epoch, and its copy is to stay"
                                              : "another machine owns it under a higher epoch" };

    source_event(s, rival ? HANDOFF_RIVAL : HANDOFF_HIGHER_EPOCH, claim->epoch, why);
}

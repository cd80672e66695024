/* SPDX-License-Identifier: BSD-2-Clause */
#include "migrate/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "migrate/source_parts.h"

#define STEP_BUDGET 4 /* records in one step: others want the host loop, too */
#define BURST (2 * WIRE_BATCH * (WIRE_PAGE + sizeof(struct wire_page)))
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

/* Enter a phase; the time in the last one goes to *spent. */
void source_enter(struct source *s, enum source_phase phase, u64 *spent)
{
    u64 time = source_now(s);

    if (spent)
        *spent += time - s->phase_began;
    s->phase = phase;
    s->phase_began = time;
}

/* --- Ends --------------------------------------------------------------------------------------------------- */

static void disconnect(struct source *s)
{
    if (s->connected)
        s->transport.ops->close(&s->transport);
    s->connected = false;
}

/* Log all stages at the end: a line in the middle of them would prolong them. */
static void log_end(const struct source *s)
{
    const struct migrate_phases *phases = &s->stats.phases;
    char warning[200];

    if (migrate_stall_warning(&s->stats, warning, sizeof(warning)))
        pr_warn("migrate: %s, epoch %lu: %s", s->description->head.name, (unsigned long)s->stats.epoch, warning);
    pr_info("migrate: %s, epoch %lu, %s after %lu ms: setup %lu, pre-copy %lu, stop %lu, final RAM %lu, state %lu, "
            "commitment %lu us",
            s->description->head.name, (unsigned long)s->stats.epoch, migrate_status_name(s->stats.status),
            (unsigned long)(s->stats.total_time / NS_PER_MS), (unsigned long)phases->setup / 1000,
            (unsigned long)phases->precopy / 1000, (unsigned long)phases->stop / 1000,
            (unsigned long)phases->final_ram / 1000, (unsigned long)phases->device_state / 1000,
            (unsigned long)phases->commit / 1000);
}

void source_finish(struct source *s)
{
    disconnect(s);
    if (s->stats.status == MIGRATE_CANCELLING)
        s->stats.status = MIGRATE_CANCELLED;
    s->stats.wire_bytes = s->outbox.bytes;
    log_end(s);
    inbox_fini(&s->inbox);
    outbox_fini(&s->outbox);
    free(s->bitmap);
    ram_digest_fini(&s->digest);
    free(s->description);
    s->bitmap = NULL;
    s->description = NULL;
    s->phase = SOURCE_IDLE;
}

/* The dirty log is of no more use: do a part of ending it, while the guest runs, whatever the connection does. True:
 * the log is off. */
static bool end_log(struct source *s)
{
    if (s->logging)
        s->logging = !s->ops->log_stop(s->vm);
    return !s->logging;
}

/* The outcome is known: end the log, say what is left to say, then end. */
static void close_down(struct source *s)
{
    source_enter(s, SOURCE_CLOSING, NULL);
    s->stats.total_time = s->phase_began - s->started;
    if (!s->connected && !s->logging)
        source_finish(s);
}

/* The guest has its processors to itself again. */
static void unthrottle(struct source *s)
{
    if (s->stats.cpu_throttle)
        s->ops->throttle(s->vm, 0);
}

static void note_failure(struct source *s, enum wire_code code, const char *reason)
{
    s->stats.status = code == WIRE_E_CANCEL ? MIGRATE_CANCELLING : MIGRATE_FAILED;
    s->stats.error = code;
    snprintf(s->stats.reason, sizeof(s->stats.reason), "%s", reason);
}

/* The guest goes on here. */
static void give_back(struct source *s)
{
    unthrottle(s);
    if (s->paused)
        s->ops->resume(s->vm);
    s->paused = false;
    s->say_end = s->phase == SOURCE_COMMIT; /* this end was in doubt, and knows now */
    if (s->phase != SOURCE_IDLE)
        close_down(s);
}

/* Another machine says that it owns the guest. What is under way ends; the copy here is kept. */
static void stand(struct source *s)
{
    unthrottle(s);
    s->ops->stand(s->vm);
    s->paused = true;
    if (s->phase == SOURCE_IDLE || s->phase == SOURCE_CLOSING)
        return;
    note_failure(s, WIRE_E_REPLAY, "another machine owns it under a higher epoch");
    if (s->phase != SOURCE_COMMIT && s->connected && s->greeted)
        s->say |= ACTION_SAY_ABORT;
    close_down(s);
}

/* Before COMMIT: the move has failed, or is cancelled. */
void source_fail(struct source *s, enum wire_code code, const char *reason)
{
    note_failure(s, code, reason);
    if (s->handoff.state == SOURCE_PREPARING) {
        source_apply(s, handoff_source_event(&s->handoff, s->connected ? HANDOFF_CANCEL : HANDOFF_LINK_LOST, 0));
        return;
    }
    if (s->connected && s->greeted)
        s->say |= ACTION_SAY_ABORT;
    give_back(s);
}

void source_complete(struct source *s)
{
    struct migrate_stats *stats = &s->stats;

    source_enter(s, SOURCE_CLOSING, &stats->phases.commit);
    if (s->stopped)
        stats->downtime = source_now(s) - s->stopped;
    if (!stats->error)
        stats->status = MIGRATE_COMPLETED;
    stats->remaining = 0;
    s->say_end = true;
    close_down(s);
}

/* Carry out what the handoff decided. */
void source_apply(struct source *s, unsigned actions)
{
    s->say = (s->say & ~(actions & SAYS ? SAYS : 0u)) | (actions & SAYS);
    if (actions & ACTION_RECORD)
        s->ops->record(s->vm, s->handoff.state == SOURCE_IN_DOUBT ? s->handoff.proposed : s->handoff.epoch,
                       s->handoff.state == SOURCE_IN_DOUBT);
    if (actions & ACTION_GATE)
        s->ops->gate(s->vm);
    if (actions & ACTION_RECONNECT) {
        disconnect(s);
        s->next_try = source_now(s);
    }
    if (actions & ACTION_STAND)
        stand(s);
    if (actions & ACTION_RESUME)
        give_back(s);
    if (actions & ACTION_ANNOUNCE)
        s->ops->announce(s->vm);
    if (actions & ACTION_FREE) {
        /* A destination that says RUNNING, but has not acknowledged all bytes, would get what is in the guest's RAM
         * after that is freed. */
        if (s->connected && !s->transport.ops->drained(&s->transport))
            disconnect(s);
        s->paused = false;
        s->forwarding = s->connected;
        s->logging = false; /* the dirty log goes with the VM */
        s->ops->leave(s->vm);
        if (s->phase != SOURCE_IDLE)
            source_complete(s);
    }
}

static void link_lost(struct source *s, enum wire_code code)
{
    disconnect(s);
    if (s->phase == SOURCE_CLOSING) {
        if (!s->logging)
            source_finish(s);
    } else if (s->phase == SOURCE_COMMIT) {
        source_apply(s, handoff_source_event(&s->handoff, HANDOFF_LINK_LOST, 0));
        s->next_try = source_now(s) + WIRE_RETRY_MS * NS_PER_MS;
    } else
        source_fail(s, code, code == WIRE_E_TIMEOUT ? "the destination is silent" : "the connection broke");
}

/* The peer broke the rules: before COMMIT the move ends; after COMMIT another connection may do better. */
static void bad_stream(struct source *s, const char *reason)
{
    if (s->phase == SOURCE_COMMIT || s->phase == SOURCE_CLOSING)
        link_lost(s, WIRE_E_STREAM);
    else
        source_fail(s, WIRE_E_STREAM, reason);
}

bool source_settle(struct source *s)
{
    if (s->phase == SOURCE_CLOSING && s->handoff.state == SOURCE_OWNER)
        source_finish(s);
    return s->phase == SOURCE_IDLE;
}

int source_start(struct source *s, const struct migrate_settings *settings)
{
    int err = -ENOMEM;

    if (s->phase != SOURCE_IDLE)
        return -EBUSY;
    if (s->handoff.state != SOURCE_OWNER)
        return -EPERM;
    memset(&s->stats, 0, sizeof(s->stats));
    s->settings = *settings;
    s->settings.policy.max_rounds = MIN(settings->policy.max_rounds, (u32)MIGRATE_ROUNDS);
    s->beyond = s->connected = s->greeted = s->reserve_said = s->say_end = s->paused = s->logging = false;
    s->forwarding = s->digesting = false;
    s->say = s->runs = s->batch.pages = 0;
    s->state_digest = s->stopped = s->work = s->page_ns = 0;
    s->description = calloc(1, sizeof(*s->description));
    if (!s->description || inbox_init(&s->inbox, WIRE_BODY_MAX, NULL, NULL) || outbox_init(&s->outbox, WIRE_BODY_MAX))
        goto out;
    err = s->ops->describe(s->vm, s->description);
    if (!err)
        err = ram_init(&s->ram, s->description->range, s->description->head.nr_ranges);
    if (err)
        goto out;
    s->bitmap = ram_bitmap(&s->ram);
    err = s->bitmap ? 0 : -ENOMEM;
    if (!err && settings->verify)
        err = ram_digest_init(&s->digest, &s->ram);
out:
    if (err) {
        free(s->bitmap);
        ram_digest_fini(&s->digest);
        s->bitmap = NULL;
        inbox_fini(&s->inbox);
        outbox_fini(&s->outbox);
        free(s->description);
        s->description = NULL;
        return err;
    }
    s->stats.status = MIGRATE_SETUP;
    s->stats.epoch = handoff_propose(&s->handoff);
    s->stats.total = s->stats.remaining = s->ram.pages * WIRE_PAGE;
    s->started = s->phase_began = s->next_try = source_now(s);
    bucket_init(&s->bucket, settings->max_bandwidth, BURST, s->started);
    s->phase = SOURCE_CONNECT;
    return 0;
}

/* --- Talking and listening ------------------------------------------------------------------------------ */

static bool transmit(struct source *s)
{
    bool worked = false;

    for (unsigned i = 0; i < STEP_BUDGET && s->connected; i++) {
        int err = outbox_flush(&s->outbox, &s->transport);

        if (err == -EAGAIN)
            return worked;
        if (err) {
            link_lost(s, WIRE_E_LINK);
            return true;
        }
        if (!source_produce(s))
            return worked;
        worked = true;
        /* Work that sends nothing is done a piece at a time, with a look at the clock in between: see watch(). */
        if (outbox_empty(&s->outbox))
            return true;
        s->last_said = source_now(s);
        s->stats.wire_bytes = s->outbox.bytes;
        /* Digests beside a running guest are done so, too, though each piece says KEEPALIVE: the guest and others want
         * the processor. */
        if (s->phase == SOURCE_ROUND_WAIT || s->phase == SOURCE_HARVEST)
            return true;
    }
    return worked;
}

static void take_header(struct source *s)
{
    const struct wire_header *header = &s->inbox.header;

    if (header->kind != WIRE_REPLY || header->version_min > WIRE_VERSION || header->version_max < WIRE_VERSION_MIN)
        bad_stream(s, "the destination speaks another version");
    else if (memcmp(header->vm_id, s->vm_id, WIRE_ID) || header->epoch != s->stats.epoch)
        bad_stream(s, "the destination answers for another VM or epoch");
    else if (s->settings.verify && !(header->features & WIRE_FEATURE_VERIFY))
        bad_stream(s, "the destination can't verify");
    else if (s->phase == SOURCE_RESERVE)
        s->stats.rtt = source_now(s) - s->header_said;
    s->answered = true;
}

static void take_accepted(struct source *s)
{
    struct wire_accepted *accepted = &s->stats.accepted;

    if (s->phase != SOURCE_RESERVE) {
        bad_stream(s, "ACCEPTED out of turn");
        return;
    }
    if (inbox_body(&s->inbox, accepted, sizeof(*accepted)) || accepted->count > WIRE_WARNINGS) {
        accepted->count = 0;
        bad_stream(s, "malformed acceptance");
        return;
    }
    for (u32 i = 0; i < accepted->count; i++) {
        accepted->warning[i][WIRE_REASON - 1] = 0;
        pr_warn("migrate: %s, epoch %lu, at the destination: %s", s->description->head.name,
                (unsigned long)s->stats.epoch, accepted->warning[i]);
    }
    source_accepted(s);
}

/* The destination remembers a later epoch, perhaps from a time before this machine was started anew: try again, once,
 * with an epoch above that. */
static bool propose_beyond(struct source *s, const struct wire_refused *refused)
{
    if (refused->code != WIRE_E_REPLAY || s->beyond || !handoff_remembered(&s->handoff, refused->epoch))
        return false;
    s->beyond = true;
    s->stats.epoch = handoff_propose(&s->handoff);
    disconnect(s);
    s->next_try = source_now(s);
    s->reserve_said = false;
    source_enter(s, SOURCE_CONNECT, &s->stats.phases.setup);
    return true;
}

static void take_refused(struct source *s)
{
    struct wire_refused refused;

    if (inbox_body(&s->inbox, &refused, sizeof(refused))) {
        bad_stream(s, "malformed refusal");
        return;
    }
    refused.reason[sizeof(refused.reason) - 1] = 0;
    if (s->phase == SOURCE_COMMIT || s->phase == SOURCE_CLOSING)
        link_lost(s, WIRE_E_LINK);
    else if (!propose_beyond(s, &refused))
        source_fail(s, refused.code ? refused.code : WIRE_E_STREAM, refused.reason);
}

static void take_round_done(struct source *s)
{
    struct wire_round round;

    if (inbox_body(&s->inbox, &round, sizeof(round)) || s->phase != SOURCE_ROUND_WAIT ||
        round.number != s->stats.rounds)
        bad_stream(s, "a round is acknowledged that was not sent");
    else
        source_round_done(s, &round);
}

static void take_prepared(struct source *s, const struct wire_handoff *message)
{
    unsigned actions;

    if (s->handoff.state == SOURCE_PREPARING &&
        (message->state_digest != s->state_digest || message->memory_digest != s->digest.sum)) {
        source_fail(s, WIRE_E_DIGEST, "the destination holds other memory or state than was sent");
        return;
    }
    actions = handoff_source_event(&s->handoff, HANDOFF_PREPARED, message->epoch);
    if (s->handoff.state == SOURCE_IN_DOUBT && s->phase == SOURCE_PREPARE) {
        s->stats.status = MIGRATE_IN_DOUBT;
        source_enter(s, SOURCE_COMMIT, &s->stats.phases.device_state);
    }
    source_apply(s, actions);
}

static void take_handoff(struct source *s, enum handoff_event event)
{
    struct wire_handoff message;

    if (inbox_body(&s->inbox, &message, sizeof(message))) {
        bad_stream(s, "malformed handoff message");
        return;
    }
    if (event == HANDOFF_PREPARED) {
        take_prepared(s, &message);
        return;
    }
    if (event == HANDOFF_ABORTED && message.epoch == s->stats.epoch && s->phase >= SOURCE_PREPARE &&
        s->phase != SOURCE_CLOSING)
        note_failure(s, s->handoff.abort ? WIRE_E_CANCEL : WIRE_E_TIMEOUT, "the destination gave up before COMMIT");
    source_apply(s, handoff_source_event(&s->handoff, event, message.epoch));
}

static void take_record(struct source *s)
{
    switch (s->inbox.type) {
    case WIRE_KEEPALIVE:
    case WIRE_END: return;
    case WIRE_ACCEPTED: take_accepted(s); return;
    case WIRE_REFUSED: take_refused(s); return;
    case WIRE_ROUND_DONE: take_round_done(s); return;
    case WIRE_PREPARED: take_handoff(s, HANDOFF_PREPARED); return;
    case WIRE_RUNNING: take_handoff(s, HANDOFF_RUNNING); return;
    case WIRE_ABORTED: take_handoff(s, HANDOFF_ABORTED); return;
    case WIRE_UNKNOWN: take_handoff(s, HANDOFF_UNKNOWN); return;
    default:
        if (!(s->inbox.type & WIRE_OPTIONAL))
            bad_stream(s, "unknown record");
    }
}

static bool receive(struct source *s)
{
    bool worked = false;

    for (unsigned i = 0; i < STEP_BUDGET && s->connected && s->phase != SOURCE_CLOSING; i++) {
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
        else if (event == -EPROTO || event >= 0)
            bad_stream(s, "the destination's stream is damaged");
        else
            link_lost(s, WIRE_E_LINK);
    }
    return worked;
}

void source_say_keepalive(struct source *s)
{
    outbox_record(&s->outbox, WIRE_KEEPALIVE, &s->work, sizeof(s->work));
}

/* Time-outs and keepalive. */
static void watch(struct source *s)
{
    u64 time = source_now(s);

    if (!s->connected)
        return;
    if (s->phase == SOURCE_CLOSING) {
        if (time - s->phase_began > WIRE_KEEPALIVE_MS * NS_PER_MS)
            source_finish(s);
        return;
    }
    if (inbox_whole(&s->inbox))
        s->last_whole = time;
    /* A record that never ends is as bad as silence: its length was damaged. */
    if (time - MIN(s->last_heard, s->last_whole) > WIRE_DEAD_MS * NS_PER_MS)
        link_lost(s, WIRE_E_TIMEOUT);
    else if (s->phase == SOURCE_RESERVE && time - s->started > WIRE_SETUP_MS * NS_PER_MS)
        source_fail(s, WIRE_E_TIMEOUT, "the destination does not accept in time");
    else if (s->greeted && outbox_empty(&s->outbox) && time - s->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS) {
        source_say_keepalive(s);
        s->last_said = time;
    }
}

bool source_step(struct source *s)
{
    bool worked;

    if (s->phase == SOURCE_IDLE)
        return false;
    if (s->phase == SOURCE_CLOSING && !end_log(s))
        return true;
    if (s->phase == SOURCE_CLOSING && !s->connected) {
        source_finish(s);
        return false;
    }
    if (!s->connected)
        return source_connect(s);
    worked = receive(s);
    worked |= transmit(s);
    if (s->phase != SOURCE_IDLE)
        watch(s);
    return worked && s->phase != SOURCE_IDLE;
}

int source_cancel(struct source *s)
{
    if (s->phase == SOURCE_IDLE || s->phase == SOURCE_CLOSING)
        return -ENOENT;
    if (s->phase == SOURCE_COMMIT)
        return -EBUSY;
    source_fail(s, WIRE_E_CANCEL, "cancelled");
    return 0;
}

void source_limit(struct source *s, u32 downtime_limit, u64 max_bandwidth)
{
    if (s->phase == SOURCE_IDLE)
        return;
    s->settings.policy.downtime_limit = downtime_limit;
    s->settings.max_bandwidth = max_bandwidth;
    bucket_set_rate(&s->bucket, max_bandwidth, source_now(s));
}

int source_resolve(struct source *s, enum resolution resolution)
{
    static const enum handoff_event events[] = { HANDOFF_CANCEL, HANDOFF_FORCE_RESUME, HANDOFF_FORCE_GIVE_UP };

    if (s->phase != SOURCE_COMMIT && s->handoff.state != SOURCE_SUPERSEDED)
        return -ENOENT;
    if (resolution != RESOLUTION_ABORT && s->phase == SOURCE_COMMIT)
        note_failure(s, WIRE_E_CANCEL,
                     resolution == RESOLUTION_FORCE_RESUME ? "taken back by force" : "given up by force");
    if (resolution != RESOLUTION_ABORT)
        pr_warn("migrate: epoch %lu resolved by force: %s", (unsigned long)s->handoff.proposed,
                resolution == RESOLUTION_FORCE_RESUME ? "resume here" : "give up here");
    source_apply(s, handoff_source_event(&s->handoff, events[resolution], EPOCH_FORCE + s->owner % EPOCH_FORCE));
    return 0;
}

void source_heard(struct source *s, const struct wire_claim *claim, u64 age_ms)
{
    bool rival = claim->epoch == s->handoff.epoch && claim_prevails(claim, s->owner, age_ms);

    source_apply(s, handoff_source_event(&s->handoff, rival ? HANDOFF_RIVAL : HANDOFF_HIGHER_EPOCH, claim->epoch));
}

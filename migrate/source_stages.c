/* SPDX-License-Identifier: BSD-2-Clause */
/* What the source says, stage by stage. */
#include <errno.h>
#include <string.h>

#include "host/bits.h"
#include "config/digest.h"
#include "migrate/source_parts.h"

bool source_connect(struct source *s)
{
    int err;

    if (source_now(s) < s->next_try)
        return false;
    err = s->ops->connect(s->vm, &s->transport);
    if (err) {
        if (s->phase == SOURCE_COMMIT)
            s->next_try = err == -EAGAIN ? s->next_try : source_now(s) + WIRE_RETRY_MS * NS_PER_MS;
        else if (err != -EAGAIN || source_now(s) - s->started > WIRE_SETUP_MS * NS_PER_MS)
            source_fail(s, WIRE_E_LINK, "no connection to the destination");
        return false;
    }
    s->connected = true;
    s->greeted = s->answered = false;
    inbox_reset(&s->inbox);
    outbox_reset(&s->outbox);
    s->last_said = s->last_heard = s->last_whole = source_now(s);
    if (s->phase == SOURCE_COMMIT)
        source_apply(s, handoff_source_event(&s->handoff, HANDOFF_LINK_BACK, 0));
    else
        source_enter(s, SOURCE_RESERVE, &s->stats.phases.setup);
    return true;
}

static void produce_header(struct source *s)
{
    struct wire_header header = {
        .version_min = WIRE_VERSION_MIN,
        .version_max = WIRE_VERSION,
        .kind = s->phase == SOURCE_COMMIT ? WIRE_RESOLVE : WIRE_MOVE,
        .features = WIRE_FEATURES,
        .required = s->settings.verify ? WIRE_FEATURE_VERIFY : 0,
        .epoch = s->handoff.proposed,
    };

    memcpy(header.vm_id, s->vm_id, WIRE_ID);
    outbox_header(&s->outbox, &header);
    s->greeted = true;
    s->header_said = source_now(s);
}

static void produce_reserve(struct source *s)
{
    struct migrate_description *d = s->description;
    struct outbox *box = &s->outbox;

    d->head.flags = (s->settings.dry_run ? WIRE_DRY_RUN : 0) | (s->settings.verify ? WIRE_VERIFY : 0);
    d->head.memory = s->ram.pages * WIRE_PAGE;
    d->head.owner = s->owner;
    outbox_begin(box);
    codec_bytes(&box->body, &d->head, sizeof(d->head));
    codec_bytes(&box->body, d->range, d->head.nr_ranges * sizeof(d->range[0]));
    codec_bytes(&box->body, d->cpuid, d->head.nr_cpuid * sizeof(d->cpuid[0]));
    codec_bytes(&box->body, d->device, d->head.nr_devices * sizeof(d->device[0]));
    outbox_end(box, WIRE_RESERVE);
}

static void begin_round(struct source *s, enum source_phase phase, u64 *spent)
{
    source_enter(s, phase, spent);
    s->now = (struct policy_round){ 0 };
    s->digested = (struct digest_work){ 0 };
    s->round_began = s->phase_began;
}

static void end_setup(struct source *s, enum source_phase next)
{
    source_enter(s, next, &s->stats.phases.setup);
    s->stats.setup_time = s->stats.phases.setup;
}

void source_accepted(struct source *s)
{
    int err;

    if (s->settings.dry_run) { /* only the state is left to be tried */
        s->section = 0;
        end_setup(s, SOURCE_STATE);
        return;
    }
    source_ram_all(s);
    if (!s->settings.policy.max_rounds) {
        s->stats.status = MIGRATE_PRE_SWITCHOVER;
        end_setup(s, SOURCE_STOP);
        return;
    }
    err = s->ops->log_start(s->vm);
    if (err) {
        source_fail(s, err == -EBUSY ? WIRE_E_BUSY : WIRE_E_INTERNAL,
                    err == -EBUSY ? "its dirty log is in use" : "the dirty log does not start");
        return;
    }
    s->logging = true;
    s->stats.status = MIGRATE_ACTIVE;
    s->digesting = source_digest_due(s, POLICY_CONTINUE);
    end_setup(s, SOURCE_ROUND);
    begin_round(s, SOURCE_ROUND, NULL);
}

static void throttle_more(struct source *s)
{
    s->stats.cpu_throttle = policy_throttle_next(&s->settings.policy.throttle, s->stats.cpu_throttle);
    s->ops->throttle(s->vm, s->stats.cpu_throttle);
}

void source_round_done(struct source *s, const struct wire_round *answer)
{
    u64 most = (source_now(s) - s->round_began) / 1000;

    if (s->settings.dry_run) {
        source_complete(s);
        return;
    }
    /* A peer may say anything, but it has not digested for longer than the round took. */
    s->dest_digest_us = s->digesting ? (u32)MIN(answer->digest, most) : 0;
    s->phase = SOURCE_HARVEST;
}

static void note_round(struct source *s)
{
    s->now.dirtied = s->left;
    s->now.us = MAX((source_now(s) - s->round_began) / 1000, 1);
    source_digest_measure(s, s->dest_digest_us);
    s->stats.round[s->stats.rounds++] = s->now;
    s->stats.dirty_sync_count++;
    s->stats.remaining = s->left * WIRE_PAGE;
}

/* Ask the policy about the rounds so far. With verification, a live round with digests comes before the guest is
 * stopped. */
static enum policy_verdict ask_policy(struct source *s)
{
    struct migrate_stats *stats = &s->stats;
    struct policy_stats seen = { .round = stats->round, .total = s->ram.pages, .page = WIRE_PAGE };
    enum policy_verdict verdict;

    seen.rounds = stats->rounds;
    seen.throttle = stats->cpu_throttle;
    seen.digest_ns = s->page_ns;
    seen.fixed_us = s->settings.fixed_us + 2 * stats->rtt / 1000;
    verdict = policy_decide(&s->settings.policy, &seen, &stats->prediction);
    stats->downtime_limit = s->settings.policy.downtime_limit;
    stats->expected_downtime = stats->prediction.downtime_us * 1000;
    stats->dirty_pages_rate = migrate_dirty_rate(stats->round, stats->rounds);
    stats->bytes_per_second = stats->prediction.rate;
    stats->pages_per_second = stats->prediction.rate / WIRE_PAGE;
    if (!source_digest_due(s, verdict))
        return verdict;
    s->digesting = true;
    return verdict == POLICY_STOP ? POLICY_CONTINUE : verdict;
}

/* A live round is at the destination, and the pages of the next one are known: decide how to go on. */
static void round_decide(struct source *s)
{
    struct migrate_stats *stats = &s->stats;

    note_round(s);
    switch (ask_policy(s)) {
    case POLICY_ABORT: source_fail(s, WIRE_E_CONVERGE, "the guest writes faster than the link carries"); return;
    case POLICY_STOP:
        stats->status = MIGRATE_PRE_SWITCHOVER;
        source_enter(s, SOURCE_STOP, &stats->phases.precopy);
        return;
    case POLICY_THROTTLE: throttle_more(s); /* fallthrough */
    case POLICY_CONTINUE: begin_round(s, SOURCE_ROUND, &stats->phases.precopy);
    }
}

static bool stop_guest(struct source *s)
{
    int err;

    if (!s->stopped)
        s->stopped = source_now(s);
    s->paused = true;
    err = s->ops->pause(s->vm);
    if (err == -EAGAIN)
        return false;
    if (err)
        source_fail(s, WIRE_E_INTERNAL, "the guest does not stop");
    else if (s->logging)
        s->phase = SOURCE_HARVEST;
    else
        begin_round(s, SOURCE_FINAL_RAM, &s->stats.phases.stop);
    return !err;
}

/* Do a part of a harvest: for the next live round, or, when the guest stands, for the last one. */
static void produce_harvest(struct source *s)
{
    int err = source_ram_harvest(s);

    if (err == -EAGAIN)
        return;
    if (err)
        source_fail(s, WIRE_E_INTERNAL, "the dirty log failed");
    else if (s->paused)
        begin_round(s, SOURCE_FINAL_RAM, &s->stats.phases.stop);
    else
        round_decide(s);
}

static void produce_round_end(struct source *s, struct wire_round round)
{
    round.digest = s->digesting;
    outbox_record(&s->outbox, WIRE_ROUND, &round, sizeof(round));
    s->phase = SOURCE_ROUND_WAIT;
}

static bool produce_round(struct source *s)
{
    bool done;

    if (!source_ram_produce(s, &done))
        return false;
    if (!done)
        return true;
    if (s->phase == SOURCE_FINAL_RAM) {
        s->section = 0;
        s->stats.status = MIGRATE_DEVICE;
        source_enter(s, SOURCE_STATE, &s->stats.phases.final_ram);
        s->stats.stopped = s->now;
        s->stats.stopped.us = s->stats.phases.final_ram / 1000;
        return true;
    }
    produce_round_end(s, (struct wire_round){ s->stats.rounds, .pages = s->now.pages, .zero = s->now.zero });
    return true;
}

/* Save the next section of state. In a check the guest stands only while the section is saved, and then goes on at
 * once. */
static int save_section(struct source *s, struct wire_section *section, struct codec *bytes)
{
    int err;

    if (!s->settings.dry_run) {
        s->ops->section(s->vm, s->section, section, bytes);
        return bytes->err;
    }
    s->paused = true;
    err = s->ops->pause(s->vm);
    if (err == -EAGAIN)
        return err;
    if (!err) {
        s->ops->section(s->vm, s->section, section, bytes);
        err = bytes->err;
    }
    s->ops->resume(s->vm);
    s->paused = false;
    return err;
}

static bool produce_state(struct source *s)
{
    struct wire_section section = { .instance = 0 };
    struct outbox *box = &s->outbox;
    struct codec bytes;
    int err;

    outbox_begin(box);
    bytes = codec_saver(box->body.buf + sizeof(section), box->body.len - sizeof(section));
    err = save_section(s, &section, &bytes);
    if (err == -EAGAIN || err == -ENOENT)
        outbox_cancel(box);
    if (err == -EAGAIN)
        return false;
    if (err == -ENOENT && s->settings.dry_run) {
        produce_round_end(s, (struct wire_round){ 0 });
        return true;
    }
    if (err == -ENOENT) {
        s->phase = SOURCE_DIGEST;
        return true;
    }
    if (err) {
        outbox_cancel(box);
        source_fail(s, WIRE_E_INTERNAL, "state can't be saved");
        return false;
    }
    section.len = bytes.at;
    codec_bytes(&box->body, &section, sizeof(section));
    box->body.at += bytes.at;
    s->state_digest = digest_bytes(s->state_digest, &section, sizeof(section));
    s->state_digest = digest_bytes(s->state_digest, bytes.buf, bytes.at);
    outbox_end(box, WIRE_STATE);
    s->section++;
    return true;
}

static void produce_digest(struct source *s)
{
    if (s->settings.verify && !source_digest_part(s))
        return;
    s->stats.verify_time = s->digested.ns;
    s->stats.downtime_verify_bytes = s->digested.pages * WIRE_PAGE;
    source_apply(s, handoff_source_event(&s->handoff, HANDOFF_READY, 0));
    source_enter(s, SOURCE_PREPARE, &s->stats.phases.device_state);
}

/* --- Talking -------------------------------------------------------------------------------------------------- */

/*
 * How long the guest has stood: with PREPARE, by now; with other messages, when they are heard, half a round trip
 * later. The destination takes the larger of what PREPARE and COMMIT make. If both included a guess of a way that takes
 * now more time, now less, each move would set the guest's clocks forward by the difference.
 */
static u64 paused_for(const struct source *s, u32 type)
{
    u64 way = type == WIRE_PREPARE ? 0 : s->stats.rtt / 2;

    return s->stopped ? source_now(s) - s->stopped + way : 0;
}

/* Make one of the handoff messages that wait. */
static bool produce_say(struct source *s)
{
    static const struct {
        unsigned action;
        u32 type;
    } says[] = {
        { ACTION_SAY_PREPARE, WIRE_PREPARE },
        { ACTION_SAY_COMMIT, WIRE_COMMIT },
        { ACTION_SAY_QUERY, WIRE_QUERY },
        { ACTION_SAY_ABORT, WIRE_ABORT },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(says); i++) {
        struct wire_handoff message = {
            .epoch = s->stats.epoch,
            .code = s->stats.error,
            .wish = says[i].type == WIRE_QUERY ? WIRE_WISH_ABORT : 0,
            .paused_ns = paused_for(s, says[i].type),
            .state_digest = s->state_digest,
            .memory_digest = s->digest.sum,
        };

        if (!(s->say & says[i].action))
            continue;
        s->say &= ~says[i].action;
        outbox_record(&s->outbox, says[i].type, &message, sizeof(message));
        return true;
    }
    return false;
}

static bool produce_closing(struct source *s)
{
    if (source_forward(s))
        return true;
    if (s->forwarding || s->logging)
        return false;
    if (s->say_end)
        outbox_record(&s->outbox, WIRE_END, NULL, 0);
    else
        source_finish(s);
    s->say_end = false;
    return s->phase == SOURCE_CLOSING;
}

/* Make the next record, or get nearer to it. False if there is nothing to do now. */
bool source_produce(struct source *s)
{
    if (!s->greeted) {
        produce_header(s);
        return true;
    }
    /* RESERVE is said after the answer to the header, so that the round trip is measured without the time of the
     * reservation. */
    if (s->phase == SOURCE_RESERVE && s->answered && !s->reserve_said) {
        s->reserve_said = true;
        produce_reserve(s);
        return true;
    }
    if (produce_say(s))
        return true;
    switch (s->phase) {
    case SOURCE_ROUND:
    case SOURCE_FINAL_RAM: return produce_round(s);
    case SOURCE_ROUND_WAIT: return source_digest_live(s);
    case SOURCE_HARVEST:
        if (!source_digest_live(s))
            produce_harvest(s);
        return true;
    case SOURCE_STOP: return stop_guest(s);
    case SOURCE_STATE: return produce_state(s);
    case SOURCE_DIGEST: produce_digest(s); return true;
    case SOURCE_CLOSING: return produce_closing(s);
    default: return false;
    }
}

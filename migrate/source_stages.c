/* SPDX-License-Identifier: BSD-2-Clause */
/* What the source does in each stage of a move. The table is at the end. */
#include <errno.h>
#include <string.h>

#include "host/bits.h"
#include "config/digest.h"
#include "migrate/source_parts.h"

/* --- Setup ---------------------------------------------------------------------------------------------------- */

static u64 needs(const struct source *s)
{
    return (s->settings.verify ? WIRE_FEATURE_VERIFY : 0) | (s->handoff.split ? WIRE_FEATURE_POSTCOPY : 0) |
           (s->settings.cold ? WIRE_FEATURE_FILES : 0) | (s->settings.protect ? WIRE_FEATURE_PROTECT : 0);
}

void source_say_header(struct source *s, struct outbox *box, enum wire_kind kind)
{
    const struct greeting greeting = {
        .kind = kind, .vm_id = s->vm_id, .epoch = s->handoff.proposed, .features = WIRE_FEATURES, .required = needs(s)
    };

    outbox_greet(box, &greeting);
}

bool source_greet(struct source *s)
{
    enum wire_kind first = s->settings.image ? WIRE_IMAGE : WIRE_MOVE;

    if (s->link == LINK_GREETED)
        return false;
    source_say_header(s, &s->outbox, s->stage == STAGE_GREET ? first : WIRE_RESOLVE);
    s->link = LINK_GREETED;
    s->header_said = source_now(s);
    return true;
}

/* RESERVE is said after the answer to the header, so that the round trip is measured without the time of the
 * reservation. */
void source_answered(struct source *s)
{
    s->stats.rtt = source_now(s) - s->header_said;
    source_enter(s, STAGE_RESERVE);
}

static u32 reserve_flags(const struct migrate_settings *settings)
{
    return (settings->dry_run ? WIRE_DRY_RUN : 0) | (settings->verify ? WIRE_VERIFY : 0) |
           (settings->cold ? WIRE_COLD : 0) | (settings->stopped ? WIRE_STOPPED : 0) |
           (settings->follow ? WIRE_FOLLOW : 0) | (settings->demand ? WIRE_DEMAND : 0) |
           (settings->protect ? WIRE_GUARDED : 0) | (u32)field_set(WIRE_MODE, 0, settings->mode + 1);
}

static bool produce_reserve(struct source *s)
{
    struct migrate_description *d = s->description;
    struct outbox *box = &s->outbox;

    d->head.flags |= reserve_flags(&s->settings);
    d->head.memory = s->ram.pages * WIRE_PAGE;
    d->head.owner = s->owner;
    outbox_begin(box);
    codec_bytes(&box->body, &d->head, sizeof(d->head));
    codec_bytes(&box->body, d->range, d->head.nr_ranges * sizeof(d->range[0]));
    codec_bytes(&box->body, d->cpuid, d->head.nr_cpuid * sizeof(d->cpuid[0]));
    codec_bytes(&box->body, d->device, d->head.nr_devices * sizeof(d->device[0]));
    outbox_end(box, WIRE_RESERVE);
    source_enter(s, STAGE_ACCEPT);
    return true;
}

/* How the guest's stop begins. */
static enum stage stop_stage(const struct source *s)
{
    return s->handoff.split ? STAGE_WATCH : STAGE_STOP;
}

static void end_setup(struct source *s, enum stage next)
{
    source_enter(s, next);
    s->stats.setup_time = s->stats.phases.setup;
}

void source_accepted(struct source *s)
{
    source_ram_all(s);
    source_enter(s, s->protect ? STAGE_PROTECTING : STAGE_START_LOG);
}

/* A move by post-copy has no rounds. Its log is on for a moment all the same: the end of a log brings back the large
 * pages that are split to see what the guest uses. */
static void begin_rounds(struct source *s)
{
    int err;

    s->stats.logged[0] = *s->ops->log_counters(s->vm);
    err = s->ops->log_start(s->vm);
    if (err) {
        source_fail(s, err == -EBUSY ? WIRE_E_BUSY : WIRE_E_INTERNAL,
                    err == -EBUSY ? "its dirty log is in use" : "the dirty log does not start");
        return;
    }
    s->logging = true;
    s->digesting = source_digest_due(s, POLICY_CONTINUE);
    end_setup(s, s->settings.policy.max_rounds ? STAGE_ROUND : stop_stage(s));
}

static bool produce_round_end(struct source *s, struct wire_round round, enum stage next)
{
    round.digest = s->digesting;
    outbox_record(&s->outbox, WIRE_ROUND, &round, sizeof(round));
    source_enter(s, next);
    return true;
}

void source_measured(struct source *s)
{
    if (s->settings.dry_run) { /* only the state is left to be tried */
        end_setup(s, STAGE_TRY_STATE);
        return;
    }
    source_enter(s, STAGE_REHEARSE);
}

/* If a move that was cancelled left its log on, that one ends first, a part at a time. */
static bool produce_log(struct source *s)
{
    s->work++;
    if (!source_stop_log(s))
        return true;
    if (s->settings.cold && s->settings.dry_run) /* nothing is left to be tried */
        return produce_round_end(s, (struct wire_round){ 0 }, STAGE_TRIED);
    if (s->settings.cold)
        end_setup(s, STAGE_FILES);
    else if (s->settings.dry_run || s->settings.choose)
        source_enter(s, STAGE_MEASURE);
    else if (!s->settings.policy.max_rounds && !s->handoff.split)
        end_setup(s, STAGE_STOP);
    else
        source_enter(s, STAGE_REHEARSE);
    return true;
}

static void late_connect(struct source *s)
{
    source_fail(s, WIRE_E_LINK, "no connection to the destination");
}

static void late_setup(struct source *s)
{
    source_fail(s, WIRE_E_TIMEOUT, "the destination does not accept in time");
}

static void late_lane(struct source *s)
{
    source_fail(s, WIRE_E_TIMEOUT, "the destination does not take a second connection in time");
}

/* --- Rounds ---------------------------------------------------------------------------------------------------- */

static void enter_round(struct source *s)
{
    s->now = (struct policy_round){ 0 };
    s->digested = (struct digest_work){ 0 };
    s->round_began = s->stage_began;
}

/* The guest is slowed, or slowed more, for another round. */
static void throttle_more(struct source *s)
{
    struct migrate_stats *stats = &s->stats;

    policy_throttle(&s->settings.policy, stats->prediction.rate / WIRE_PAGE, &stats->cpu_throttle, &stats->write_limit);
    if (s->ops->throttle(s->vm, stats->cpu_throttle, stats->write_limit))
        source_fail(s, WIRE_E_INTERNAL, "its dirty log can't tell who writes");
    else
        source_enter(s, STAGE_ROUND);
}

void source_round_done(struct source *s, const struct wire_round *answer)
{
    u64 most = (source_now(s) - s->round_began) / 1000;

    /* What was sent before ROUND may prolong the way. But in setup, of a machine's first move, all code is cold. */
    s->stats.rtt = MIN(s->stats.rtt, source_now(s) - s->stage_began);
    if (s->stage == STAGE_TRIED) {
        source_end(s, outcome_completed);
        return;
    }
    /* A peer may say anything, but it has not digested for longer than the round took. */
    s->dest_digest_us = s->digesting ? (u32)MIN(answer->digest, most) : 0;
    source_enter(s, STAGE_HARVEST);
}

static void note_round(struct source *s)
{
    s->now.us = MAX((source_now(s) - s->round_began) / 1000, 1);
    s->now.throttle = s->stats.cpu_throttle;
    s->now.write_limit = s->stats.write_limit;
    source_digest_measure(s, s->dest_digest_us);
    s->stats.round[s->stats.rounds++] = s->now;
    s->stats.dirty_sync_count++;
    s->stats.remaining = (s->left + s->held) * WIRE_PAGE;
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
    seen.write_limit = stats->write_limit;
    seen.digest_ns = s->page_ns;
    seen.fixed_us = s->settings.fixed_us + 2 * stats->rtt / 1000;
    verdict = policy_decide(&s->settings.policy, &seen, &stats->prediction);
    stats->downtime_limit = s->settings.policy.downtime_limit;
    stats->expected_downtime = MIN(stats->prediction.downtime_us, ~0ULL / 1000) * 1000;
    stats->dirty_pages_rate = policy_dirty_rate(stats->round, stats->rounds);
    stats->bytes_per_second = stats->prediction.rate;
    stats->pages_per_second = stats->prediction.rate / WIRE_PAGE;
    if (s->switch_now)
        return POLICY_STOP;
    if (verdict == POLICY_SPLIT && !source_may_split(s)) {
        stats->prediction.over_limit = true;
        verdict = POLICY_STOP;
    }
    if (!source_digest_due(s, verdict))
        return verdict;
    s->digesting = true;
    return verdict == POLICY_STOP ? POLICY_CONTINUE : verdict;
}

/* A live round is at the destination, and the pages of the next one are known: decide how to go on. */
static void round_decide(struct source *s)
{
    note_round(s);
    switch (ask_policy(s)) {
    case POLICY_ABORT: source_fail(s, WIRE_E_CONVERGE, "the guest writes faster than the link carries"); return;
    case POLICY_SPLIT: s->handoff.split = true; /* fallthrough */
    case POLICY_STOP: source_enter(s, stop_stage(s)); return;
    case POLICY_THROTTLE: throttle_more(s); return;
    case POLICY_CONTINUE: source_enter(s, STAGE_ROUND);
    }
}

static bool produce_round(struct source *s)
{
    bool done;

    if (s->switch_now) /* what is not gathered yet stays behind */
        s->cursor = s->ram.pages;
    if (!source_ram_produce(s, &done))
        return false;
    if (done && s->switch_now)
        source_enter(s, STAGE_WATCH);
    else if (done)
        produce_round_end(s, (struct wire_round){ s->stats.rounds, .pages = s->now.pages, .zero = s->now.zero },
                          STAGE_ROUND_WAIT);
    return true;
}

/* Do a part of a harvest. Returns whether it is complete. What comes of a reset counts to the round that follows. */
static bool harvest(struct source *s)
{
    int err = source_ram_harvest(s);

    s->work++;
    if (err && err != -EAGAIN)
        source_fail(s, WIRE_E_INTERNAL, "the dirty log failed");
    if (err)
        return false;
    s->stats.harvests = s->stats.rounds + 1;
    s->stats.logged[s->stats.harvests] = *s->ops->log_counters(s->vm);
    return true;
}

static bool produce_harvest(struct source *s)
{
    if (!source_digest_live(s) && harvest(s))
        round_decide(s);
    return true;
}

/* --- The guest stands --------------------------------------------------------------------------------------------- */

/* The guest does not stand yet, for it is being reset: to bring it to that is work of this end, of which the
 * destination must know. Returns false: there is nothing else to do now. */
static bool not_yet(struct source *s)
{
    s->work++;
    return false;
}

/* What a reset has written is for a live round, if one is left. */
static bool goes_back(const struct source *s)
{
    return s->was_reset && s->stats.rounds < s->settings.policy.max_rounds;
}

/* The guest stands. */
static void stopped(struct source *s)
{
    if (goes_back(s)) {
        s->ops->resume(s->vm);
        source_enter(s, STAGE_RESET);
    } else {
        source_enter(s, s->settings.policy.max_rounds ? STAGE_LAST_HARVEST : STAGE_FINAL_RAM);
    }
}

static bool produce_stop(struct source *s)
{
    int err;

    s->stopped = source_now(s);
    err = s->ops->pause(s->vm);
    if (err == -EAGAIN) {
        s->was_reset = true;
        return not_yet(s);
    }
    if (!err && !goes_back(s))
        err = source_protect_stopped(s);
    if (err)
        source_fail(s, WIRE_E_INTERNAL, "the guest does not stop");
    else
        stopped(s);
    return !err;
}

static bool produce_reset(struct source *s)
{
    if (!harvest(s))
        return true;
    s->was_reset = false;
    source_enter(s, STAGE_ROUND);
    return true;
}

static bool produce_last_harvest(struct source *s)
{
    if (harvest(s))
        source_enter(s, STAGE_FINAL_RAM);
    return true;
}

static bool produce_final_ram(struct source *s)
{
    bool done;

    if (!(s->handoff.split ? source_say_missing(s, &done) : source_ram_produce(s, &done)))
        return false;
    if (done)
        source_enter(s, STAGE_STATE);
    return true;
}

static void enter_state(struct source *s)
{
    s->stats.stopped = s->now;
    s->stats.stopped.us = s->stats.phases.final_ram / 1000;
}

/* The guest lives: it stands only while a section is saved, and then goes on at once. */
static int try_section(struct source *s, struct wire_section *section, struct codec *bytes)
{
    int err = s->ops->pause(s->vm);

    if (err == -EAGAIN)
        return err;
    if (!err)
        s->ops->section(s->vm, s->section, section, bytes);
    s->ops->resume(s->vm);
    return err;
}

/* Begin a record with the next section of state. Returns 0; -EAGAIN: the guest does not stand yet; -ENOENT: there is
 * none left; or another -errno. Then there is no record. */
static int save_section(struct source *s, struct wire_section *section, struct codec *bytes)
{
    struct outbox *box = &s->outbox;
    int err = 0;

    outbox_begin(box);
    *bytes = codec_saver(box->body.buf + sizeof(*section), box->body.len - sizeof(*section));
    if (s->settings.cold)
        s->ops->definition(s->vm, s->section, section, bytes);
    else if (source_row(s)->stands)
        s->ops->section(s->vm, s->section, section, bytes);
    else
        err = try_section(s, section, bytes);
    err = err ? err : bytes->err;
    if (err)
        outbox_cancel(box);
    else
        s->section++;
    return err;
}

/* When the guest stands for the first time, what saves its state would run for the first time, too, and take many times
 * as long: caches are cold, and an emulator has to translate it. */
static bool produce_rehearsal(struct source *s)
{
    struct wire_section section = { .instance = 0 };
    struct codec bytes;
    int err = save_section(s, &section, &bytes);

    s->work++;
    outbox_cancel(&s->outbox);
    if (err == -EAGAIN)
        return false;
    if (err == -ENOENT) {
        s->section = 0;
        begin_rounds(s);
    } else if (err) {
        source_fail(s, WIRE_E_INTERNAL, "state can't be saved");
    }
    return true;
}

/* Send the next section of state. Contract: save_section. */
static int send_section(struct source *s)
{
    struct wire_section section = { .instance = 0 };
    struct outbox *box = &s->outbox;
    struct codec bytes;
    int err = save_section(s, &section, &bytes);

    if (err)
        return err;
    section.len = bytes.at;
    codec_bytes(&box->body, &section, sizeof(section));
    box->body.at += bytes.at;
    s->state_digest = digest_bytes(s->state_digest, &section, sizeof(section));
    s->state_digest = digest_bytes(s->state_digest, bytes.buf, bytes.at);
    outbox_end(box, WIRE_STATE);
    return 0;
}

static bool produce_state(struct source *s)
{
    int err = send_section(s);

    if (err == -EAGAIN)
        return not_yet(s);
    if (err == -ENOENT && s->stage == STAGE_TRY_STATE)
        return produce_round_end(s, (struct wire_round){ 0 }, STAGE_TRIED);
    if (err == -ENOENT)
        source_enter(s, STAGE_DIGEST);
    else if (err)
        source_fail(s, WIRE_E_INTERNAL, "state can't be saved");
    return !err || err == -ENOENT;
}

static bool produce_digest(struct source *s)
{
    if (s->settings.verify && !source_digest_part(s))
        return true;
    s->stats.verify_time = s->digested.ns;
    s->stats.downtime_verify_bytes = s->digested.pages * WIRE_PAGE;
    source_event(s, HANDOFF_READY, 0, outcome_completed);
    source_enter(s, STAGE_PREPARE);
    return true;
}

/* --- The table ---------------------------------------------------------------------------------------------- */

static void reconnect(struct source *s)
{
    source_event(s, HANDOFF_LINK_LOST, 0, outcome_completed);
}

static bool produce_serve(struct source *s)
{
    return source_say_doubt(s) || source_serve_produce(s);
}

static bool produce_follow(struct source *s)
{
    return source_greet(s) || source_say_file(s);
}

#define CLOCK(phase) offsetof(struct migrate_phases, phase)
#define SETUP .status = MIGRATE_SETUP, .clock = CLOCK(setup)
#define IN_SETUP SETUP, .limit_ms = WIRE_SETUP_MS, .late = late_setup
#define TRIAL .status = MIGRATE_SETUP, .clock = CLOCK(device_state)
#define LIVE .status = MIGRATE_ACTIVE, .clock = CLOCK(precopy)
#define STOPPED .stands = true
#define PROTECTED .status = MIGRATE_PROTECTED, .clock = CLOCK(protect), .lost = source_protect_lost, .cancel = -EBUSY
#define COMMITTED .lost = reconnect, .cancel = -EBUSY
#define OVER .limit_ms = WIRE_KEEPALIVE_MS, .cancel = -ENOENT

static const struct stage_row stages[NR_STAGES] = {
    [STAGE_IDLE] = { .cancel = -ENOENT },
    [STAGE_CONNECT] = { SETUP, .limit_ms = WIRE_SETUP_MS, .late = late_connect },
    [STAGE_GREET] = { IN_SETUP, .produce = source_greet },
    [STAGE_RESERVE] = { IN_SETUP, .produce = produce_reserve },
    [STAGE_ACCEPT] = { IN_SETUP },
    [STAGE_PROTECTING] = { IN_SETUP, .produce = source_protect_ask },
    [STAGE_START_LOG] = { SETUP, .produce = produce_log },
    [STAGE_MEASURE] = { IN_SETUP, .enter = source_measure_begin, .produce = source_measure_produce },
    [STAGE_REHEARSE] = { SETUP, .produce = produce_rehearsal },
    [STAGE_TRY_STATE] = { TRIAL, .produce = produce_state },
    [STAGE_TRIED] = { TRIAL, .waits = true },
    [STAGE_ROUND] = { LIVE, .enter = enter_round, .produce = produce_round },
    [STAGE_ROUND_WAIT] = { LIVE, .waits = true, .produce = source_digest_live },
    [STAGE_HARVEST] = { LIVE, .produce = produce_harvest },
    [STAGE_FILES] = { LIVE, .waits = true, .produce = source_say_file },
    [STAGE_SHUTDOWN] = { .status = MIGRATE_PRE_SWITCHOVER, .clock = CLOCK(stop), .produce = source_shut_down },
    [STAGE_RESET] = { LIVE, .produce = produce_reset },
    [STAGE_WATCH] = { LIVE, .enter = source_watch_begin, .produce = source_watch },
    [STAGE_LANE] = { LIVE, .produce = source_lane_open, .limit_ms = WIRE_SETUP_MS, .late = late_lane },
    [STAGE_STOP] = { STOPPED, .status = MIGRATE_PRE_SWITCHOVER, .clock = CLOCK(stop), .produce = produce_stop },
    [STAGE_LAST_HARVEST] = { STOPPED, .status = MIGRATE_PRE_SWITCHOVER, .clock = CLOCK(stop),
                             .produce = produce_last_harvest },
    [STAGE_FINAL_RAM] = { STOPPED, .status = MIGRATE_PRE_SWITCHOVER, .clock = CLOCK(final_ram), .enter = enter_round,
                          .produce = produce_final_ram },
    [STAGE_STATE] = { STOPPED, .status = MIGRATE_DEVICE, .clock = CLOCK(device_state), .enter = enter_state,
                      .produce = produce_state },
    [STAGE_DIGEST] = { STOPPED, .status = MIGRATE_DEVICE, .clock = CLOCK(device_state), .produce = produce_digest },
    [STAGE_PREPARE] = { STOPPED, .waits = true, .status = MIGRATE_DEVICE, .clock = CLOCK(device_state),
                        .produce = source_say },
    [STAGE_PROTECTED] = { PROTECTED, .produce = source_checkpoint },
    [STAGE_TAKE] = { PROTECTED, STOPPED },
    [STAGE_CHECKPOINT] = { PROTECTED, .enter = enter_round, .produce = source_say_checkpoint },
    [STAGE_ACKNOWLEDGE] = { PROTECTED, .waits = true },
    [STAGE_PARTING] = { .status = MIGRATE_IN_DOUBT,
                        .clock = CLOCK(protect),
                        .produce = source_say_doubt,
                        .lost = reconnect,
                        .cancel = -EBUSY },
    [STAGE_COMMIT] = { STOPPED, .waits = true, .status = MIGRATE_IN_DOUBT, .clock = CLOCK(commit),
                       .produce = source_say_doubt, COMMITTED },
    [STAGE_SERVE] = { .clock = CLOCK(postcopy), .enter = enter_round, .produce = produce_serve, COMMITTED },
    [STAGE_END_LOG] = { .cancel = -ENOENT }, /* looks at no connection */
    [STAGE_FORWARD] = { OVER, .late = source_cut_off, .lost = source_cut_off, .produce = source_forward },
    [STAGE_FOLLOW] = { .waits = true,
                       .produce = produce_follow,
                       .late = source_unfollowed,
                       .lost = source_unfollowed,
                       .cancel = -ENOENT },
    [STAGE_LAST_WORDS] = { OVER, .late = source_finish, .lost = source_finish, .produce = source_say_last_words },
};

const struct stage_row *source_row(const struct source *s)
{
    return &stages[s->stage];
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source of a protected guest. The move has come to PREPARED, and goes no further: the guest runs on, and once in
 * an interval it stands for as long as it takes to copy aside what it has written, and its state. That goes on in
 * parts, because others want the host loop, heartbeats above all: it is one checkpoint nevertheless, because the guest
 * stands all the time. That is sent while the guest runs on. What ends this is not decided here: see migrate/protect.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "stream/sections.h"
#include "stream/stash.h"
#include "migrate/source_parts.h"

#define ROOM_SHIFT 2      /* a checkpoint may have a quarter of the guest's pages */
#define STAND_FACTOR 5    /* the guest stands for a fifth of the time at most */
#define TAKE_NS NS_PER_MS /* in one go, */
#define TAKE_PAGES 16     /* and so many between two looks at the clock */

struct source_protect {
    struct stash stash;
    struct stash_memory memory;
    struct sections sections;
    u64 other;               /* the destination's number */
    u64 room;                /* pages that a checkpoint may have, at either end */
    u64 taken, acknowledged; /* numbers of checkpoints */
    u64 due;                 /* ns: when the next one begins */
    u64 pause, pause_max;    /* ns */
    u64 put;                 /* ns, at the destination */
    u64 pages, zero_pages, total_pages;
    bool harvested;     /* the bitmap has all that belongs to the one that is being taken, */
    u64 page;           /* and these are copied aside: those below this number */
    u64 entry;          /* what of it has been said: entries of the stash, */
    size_t section;     /* bytes of the sections */
    bool asked;         /* PROTECT is said */
    bool last, stands;  /* the last one is wanted; the guest stands on, for it or because it has to */
    bool parted, ended; /* no more are taken; the guest has ended */
    struct outcome why; /* of parting */
};

static int report(struct source *s, enum protect_event event, u64 number)
{
    return s->ops->protect(s->vm, event, number);
}

/* --- Beginning ------------------------------------------------------------------------------------------------ */

int source_protect_init(struct source *s)
{
    struct source_protect *p = calloc(1, sizeof(*p));

    s->protect = p;
    if (!p)
        return -ENOMEM;
    p->room = MAX(s->ram.pages >> ROOM_SHIFT, 1);
    p->memory = (struct stash_memory){ .vm = s->vm, .page = s->ops->page, .alike = s->ops->alike };
    return stash_init(&p->stash, &s->ram, p->room) ? -ENOMEM : sections_init(&p->sections);
}

void source_protect_fini(struct source *s)
{
    if (!s->protect)
        return;
    s->ops->reclaim(s->vm);
    stash_fini(&s->protect->stash);
    sections_fini(&s->protect->sections);
    free(s->protect);
    s->protect = NULL;
}

bool source_protect_ask(struct source *s)
{
    const struct wire_protect wish = { .interval_ms = s->settings.interval,
                                       .limit_ms = s->settings.limit,
                                       .room_pages = (u32)MIN(s->protect->room, ~0U) };

    if (s->protect->asked)
        return false;
    s->protect->asked = true;
    outbox_record(&s->outbox, WIRE_PROTECT, &wish, sizeof(wish));
    return true;
}

void source_take_protecting(struct source *s)
{
    struct wire_protecting answer;

    if (s->stage != STAGE_PROTECTING || inbox_body(&s->inbox, &answer, sizeof(answer)) || !answer.room_pages ||
        !answer.owner || answer.owner == s->owner) {
        source_bad_stream(s, "PROTECTING out of turn, malformed, or not another machine's");
        return;
    }
    s->protect->other = answer.owner;
    s->protect->room = MIN(s->protect->room, answer.room_pages);
    source_enter(s, STAGE_START_LOG);
}

int source_protect_stopped(struct source *s)
{
    return s->protect ? report(s, PROTECT_STOPPED, s->stats.epoch) : 0;
}

/* --- Parting -------------------------------------------------------------------------------------------------- */

/* No more checkpoints are taken under this epoch. */
static void part(struct source *s, enum handoff_event event, struct outcome why)
{
    struct source_protect *p = s->protect;

    if (!p->parted)
        p->why = why;
    p->parted = true;
    if (s->stage == STAGE_TAKE) /* of no use any more */
        s->ops->resume(s->vm);
    if (s->stage != STAGE_COMMIT && s->stage != STAGE_PARTING)
        source_enter(s, STAGE_PARTING);
    source_event(s, event, 0, why);
}

static void part_and_say(struct source *s, enum protect_event event, enum wire_code code, const char *reason)
{
    source_log(pr_warn, s, ", is not protected any more: %s", reason);
    part(s, HANDOFF_CANCEL, (struct outcome){ code, reason });
    report(s, event, s->protect->acknowledged);
}

void source_protect_lost(struct source *s)
{
    bool first = !s->protect->parted;

    part(s, HANDOFF_LINK_LOST, (struct outcome){ WIRE_E_LINK, "the connection to the copy was lost" });
    if (first)
        report(s, PROTECT_LINK_LOST, s->protect->acknowledged);
}

void source_protect_ended(struct source *s)
{
    if (s->handoff.state != SOURCE_PROTECTED || s->protect->ended)
        return;
    s->protect->ended = true;
    part_and_say(s, PROTECT_ENDED, WIRE_E_CANCEL, "the guest has ended");
}

/* --- Taking a checkpoint ---------------------------------------------------------------------------------------- */

static void note_pause(struct source *s)
{
    struct source_protect *p = s->protect;
    u64 time = source_now(s), interval = s->settings.interval * NS_PER_MS;

    p->pause = time - s->stopped;
    p->pause_max = MAX(p->pause_max, p->pause);
    /* From the time at which this one was due, so that late ones do not make all that follow later. */
    p->due = MAX(MAX(p->due + interval, time), s->stopped + STAND_FACTOR * p->pause);
}

/* The guest stands: note some of what it has written, or copy some of that aside. Returns 0: all is; -EAGAIN: more is
 * left; -ENOSPC: it is too much; or another -errno. */
static int take_memory(struct source *s)
{
    struct source_protect *p = s->protect;
    u64 next;
    int err;

    if (!p->harvested) {
        err = s->ops->harvest(s->vm, s->bitmap);
        p->harvested = !err;
        return err ? err : -EAGAIN;
    }
    next = stash_take(&p->stash, &p->memory, s->bitmap, p->page, TAKE_PAGES);
    if (next == p->page || p->stash.entries > p->room)
        return -ENOSPC;
    p->page = next;
    return next < s->ram.pages ? -EAGAIN : 0;
}

/* Contract: take_memory; and then all of its state. */
static int take_part(struct source *s)
{
    char reason[WIRE_REASON];
    int err = take_memory(s);

    return err ? err : sections_save(&s->protect->sections, s->ops->section, s->vm, reason);
}

static void taken(struct source *s)
{
    struct source_protect *p = s->protect;

    report(s, PROTECT_TAKEN, ++p->taken);
    p->entry = 0;
    p->section = 0;
    p->pages = p->stash.pages;
    p->zero_pages = p->stash.zero_pages;
    p->total_pages += p->pages;
    p->stands = p->last;
    if (!p->stands)
        s->ops->resume(s->vm);
    note_pause(s);
    source_enter(s, STAGE_CHECKPOINT);
}

static void not_taken(struct source *s, int err)
{
    if (err == -ENOSPC)
        part_and_say(s, PROTECT_NO_ROOM, WIRE_E_MEMORY, "it has written more than a checkpoint may have");
    else
        part_and_say(s, PROTECT_NO_ROOM, WIRE_E_INTERNAL, "a checkpoint can't be taken");
}

bool source_take(struct source *s)
{
    u64 ends = source_now(s) + TAKE_NS;
    int err;

    do
        err = take_part(s);
    while (err == -EAGAIN && source_now(s) < ends);
    if (!err)
        taken(s);
    else if (err != -EAGAIN)
        not_taken(s, err);
    return true;
}

bool source_protect_due(const struct source *s, u64 *due)
{
    bool waits = s->stage == STAGE_PROTECTED && !s->protect->stands;

    if (waits)
        *due = s->protect->last ? 0 : s->protect->due;
    return waits;
}

bool source_checkpoint(struct source *s)
{
    struct source_protect *p = s->protect;
    u64 due;
    int err;

    if (!source_protect_due(s, &due) || source_now(s) < due)
        return false;
    s->stopped = source_now(s);
    err = s->ops->pause(s->vm);
    if (err == -EAGAIN) /* it is being reset */
        return false;
    memset(s->bitmap, 0, ram_words(&s->ram) * sizeof(u64));
    stash_clear(&p->stash);
    p->harvested = false;
    p->page = 0;
    source_enter(s, STAGE_TAKE);
    if (err)
        not_taken(s, err);
    else
        source_take(s);
    return true;
}

/* --- Sending it ------------------------------------------------------------------------------------------------- */

/* Gather pages, or runs of zeros, of which one record is made. */
static void gather(struct source *s)
{
    struct source_protect *p = s->protect;

    while (p->entry < p->stash.entries && s->batch.pages < WIRE_BATCH && s->runs < WIRE_RUNS) {
        const struct stash_entry *entry = &p->stash.entry[p->entry++];

        if (entry->bytes) {
            s->batch.gpa[s->batch.pages] = entry->gpa;
            s->batch.page[s->batch.pages++] = entry->bytes;
        } else {
            s->run[s->runs++] = (struct wire_run){ entry->gpa, entry->pages };
        }
    }
}

static void say_checkpoint(struct source *s)
{
    const struct source_protect *p = s->protect;
    const struct wire_checkpoint checkpoint = { .epoch = s->stats.epoch,
                                                .number = p->taken,
                                                .paused_ns = source_now(s) - s->stopped,
                                                .state_digest = p->sections.digest,
                                                .pages = p->pages,
                                                .zero_pages = p->zero_pages };

    outbox_record(&s->outbox, WIRE_CHECKPOINT, &checkpoint, sizeof(checkpoint));
    source_enter(s, STAGE_ACKNOWLEDGE);
}

bool source_say_checkpoint(struct source *s)
{
    struct source_protect *p = s->protect;
    const void *body;
    size_t len;

    gather(s);
    if (s->batch.pages)
        return source_say_pages(s, &s->outbox, &s->batch);
    if (s->runs)
        return source_say_zero(s, &s->outbox, s->run, &s->runs);
    len = sections_next(&p->sections, &p->section, &body);
    if (len)
        outbox_record(&s->outbox, WIRE_STATE, body, len);
    else
        say_checkpoint(s);
    return true;
}

void source_take_checkpointed(struct source *s)
{
    struct source_protect *p = s->protect;
    struct wire_checkpointed answer;

    if (!p || s->stage < STAGE_PROTECTED || source_is_over(s) || inbox_body(&s->inbox, &answer, sizeof(answer)) ||
        answer.epoch != s->stats.epoch || answer.number > p->taken || answer.number < p->acknowledged ||
        (answer.number == p->taken && s->stage == STAGE_CHECKPOINT)) {
        source_bad_stream(s, "a checkpoint is acknowledged that was not sent");
        return;
    }
    p->acknowledged = answer.number;
    p->put = answer.us * 1000ULL;
    s->got_on = source_now(s);
    if (s->stage == STAGE_ACKNOWLEDGE && answer.number == p->taken)
        source_enter(s, STAGE_PROTECTED);
    report(s, p->stands && p->last && !p->parted ? PROTECT_LAST : PROTECT_CHECKPOINTED, answer.number);
}

/* --- Events and orders ------------------------------------------------------------------------------------------ */

void source_protected(struct source *s)
{
    struct source_protect *p = s->protect;

    source_unthrottle(s);
    s->ops->resume(s->vm);
    s->stats.downtime = source_now(s) - s->stopped;
    p->due = source_now(s) + s->settings.interval * NS_PER_MS;
    source_enter(s, STAGE_PROTECTED);
    report(s, PROTECT_PREPARED, s->stats.epoch);
}

void source_protect_answered(struct source *s, enum handoff_event event)
{
    if (!s->protect || s->stage < STAGE_PROTECTED)
        return;
    if (event == HANDOFF_ABORTED)
        report(s, PROTECT_ABORTED, 0);
    else if (event == HANDOFF_UNKNOWN)
        report(s, PROTECT_UNKNOWN, 0);
}

static const struct outcome ended_here = { WIRE_E_CANCEL, "its protection was ended" };

/* Contract: PROTECT_PAUSE. */
static int stand_still(struct source *s)
{
    struct source_protect *p = s->protect;
    int err = p->stands ? 0 : s->ops->pause(s->vm);

    p->stands = !err;
    return err;
}

/* Contract: PROTECT_HAND. */
static int hand_over(struct source *s)
{
    if (s->stage != STAGE_PROTECTED || !s->protect->stands)
        return -EBUSY;
    source_enter(s, STAGE_COMMIT);
    source_event(s, HANDOFF_READY, 0, outcome_completed);
    return 0;
}

/* Contract: PROTECT_STAND. What is known by others counts as if the destination had said it. */
static void stand(struct source *s, u64 epoch)
{
    const struct outcome why = { WIRE_E_REPLAY, "another machine has it" };

    source_event(s, HANDOFF_RUNNING, s->stats.epoch, why);
    source_event(s, HANDOFF_HIGHER_EPOCH, epoch, why);
}

int source_protect(struct source *s, enum protect_order order, u64 epoch)
{
    struct source_protect *p = s->protect;

    if (!p || source_is_over(s) || s->stage < STAGE_PROTECTED)
        return -ENOENT;
    switch (order) {
    case PROTECT_PART: part(s, HANDOFF_CANCEL, ended_here); return 0;
    case PROTECT_ALONE: source_event(s, HANDOFF_ALONE, 0, p->parted ? p->why : ended_here); return 0;
    case PROTECT_STAND: stand(s, epoch); return 0;
    case PROTECT_FINISH: p->last = !p->parted; return p->last ? 0 : -EBUSY;
    case PROTECT_HAND: return hand_over(s);
    case PROTECT_PAUSE: return p->parted ? stand_still(s) : -EBUSY;
    default: return -ENOENT;
    }
}

bool source_protect_info(const struct source *s, struct protect_info *info)
{
    const struct source_protect *p = s->protect;

    if (!p || source_is_over(s))
        return false;
    *info = (struct protect_info){
        .source = true,
        .linked = s->link != LINK_NONE,
        .epoch = s->stats.epoch,
        .other = p->other,
        .interval_ms = s->settings.interval,
        .limit_ms = s->settings.limit,
        .heard = s->last_heard,
        .taken = p->taken,
        .number = p->acknowledged,
        .pages = p->pages,
        .zero_pages = p->zero_pages,
        .room_pages = p->room,
        .interval = MAX(s->settings.interval * NS_PER_MS, STAND_FACTOR * p->pause),
        .pause = p->pause,
        .pause_max = p->pause_max,
        .put = p->put,
        .total_pages = p->total_pages,
    };
    return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A split move: the guest is handed over before all of its memory has moved. While it stands, the destination is told
 * which pages stay behind. When it runs there, these are sent: the ones that something waits for by a connection of
 * their own, the *lane*, and the others by the first one: the neighbours of the last that was wanted, then what the
 * guest used before it stopped (source_used.c), then the rest. A bit of s->bitmap is a page that stays behind and was
 * not given to either connection yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "migrate/source_parts.h"

#define LANE_ROOM 2048   /* bytes of a body: WANT, and the heads of its pages */
#define LANE_BUDGET 8    /* things done in one step */
#define SCAN_BUDGET 4096 /* stretches looked at in one go while the guest stands */
/* Pages sent unasked and not taken yet: what is wanted of them, or beside them, waits for them all. The most of it is
 * for a guest that wants nothing; each page that is wanted brings it down, each answer doubles it. */
#define AHEAD_LEAST 32
#define AHEAD_MOST 128
#define NEIGHBOURS 64 /* pages, on both sides of one that is wanted, that are sent next */
#define SPARE 4       /* pages of the bandwidth that a push leaves for what is wanted next */
#define BROKEN "the second connection broke"

bool source_may_split(const struct source *s)
{
    return !s->settings.verify && !s->protect && !s->settings.cold && (s->peer_features & WIRE_FEATURE_POSTCOPY);
}

/* --- The lane ----------------------------------------------------------------------------------------------------- */

static int lane_make(struct source *s)
{
    if (s->lane)
        return 0;
    s->lane = calloc(1, sizeof(*s->lane));
    if (!s->lane)
        return -ENOMEM;
    if (!inbox_init(&s->lane->inbox, LANE_ROOM, NULL, NULL) && !outbox_init(&s->lane->outbox, LANE_ROOM))
        return 0;
    source_lane_fini(s);
    return -ENOMEM;
}

void source_lane_close(struct source *s)
{
    if (!s->lane)
        return;
    if (s->lane->link != LINK_NONE)
        s->lane->transport.ops->close(&s->lane->transport);
    s->lane->link = LINK_NONE;
    s->lane->batch.pages = s->lane->runs = 0;
}

void source_lane_fini(struct source *s)
{
    if (!s->lane)
        return;
    source_lane_close(s);
    inbox_fini(&s->lane->inbox);
    outbox_fini(&s->lane->outbox);
    free(s->lane);
    s->lane = NULL;
}

/* Open the lane, if it is time for that. Returns 0: it is open; -EAGAIN: not yet; or another -errno. */
static int lane_open(struct source *s)
{
    struct source_lane *lane = s->lane;
    u64 time = source_now(s);
    int err;

    if (lane->link != LINK_NONE)
        return 0;
    if (time < lane->next_try)
        return -EAGAIN;
    err = s->ops->connect(s->vm, &lane->transport);
    if (err == -EAGAIN)
        return err;
    lane->next_try = time + WIRE_RETRY_MS * NS_PER_MS;
    if (err)
        return err;
    lane->link = LINK_OPEN;
    lane->answered = false;
    lane->last_said = lane->last_heard = time;
    inbox_reset(&lane->inbox);
    outbox_reset(&lane->outbox);
    source_say_header(s, &lane->outbox, WIRE_SERVE);
    return 0;
}

bool source_lane_open(struct source *s)
{
    int err = lane_make(s);

    if (!err)
        err = lane_open(s);
    if (err && err != -EAGAIN)
        source_fail(s, err == -ENOMEM ? WIRE_E_MEMORY : WIRE_E_LINK, "no second connection to the destination");
    else if (!err && s->lane->answered)
        source_enter(s, STAGE_STOP);
    else
        return false;
    return true;
}

/* Somebody waits for this page. If it is under way already, nothing is left to do. */
static void want(struct source *s, u64 index)
{
    struct source_lane *lane = s->lane;
    gpa_t gpa = ram_gpa(&s->ram, index);
    const void *page;

    s->stats.postcopy_requests++;
    if (!bitmap_test(s->bitmap, index))
        return;
    bitmap_clear(s->bitmap, index);
    s->left--;
    s->cursor = align_down(index, NEIGHBOURS); /* what is near it will be wanted next */
    s->near_end = s->cursor + NEIGHBOURS;
    page = s->ops->page(s->vm, gpa);
    if (!page || page_is_zero(page)) {
        lane->run[lane->runs++] = (struct wire_run){ .gpa = gpa, .pages = 1 };
        return;
    }
    lane->batch.gpa[lane->batch.pages] = gpa;
    lane->batch.page[lane->batch.pages++] = page;
}

/* WANT has come. Returns whether it is well-formed. */
static bool take_want(struct source *s)
{
    const struct inbox *box = &s->lane->inbox;
    u64 gpa[WIRE_BATCH];

    if (!source_committed(s) || box->len % sizeof(gpa[0]) || box->len > sizeof(gpa))
        return false;
    memcpy(gpa, box->body, box->len);
    s->ahead = AHEAD_LEAST;
    for (unsigned i = 0; i < box->len / sizeof(gpa[0]); i++) {
        u64 index = ram_index(&s->ram, gpa[i]);

        if (index == GUEST_PAGE_NONE)
            return false;
        want(s, index);
    }
    return true;
}

static bool take_header(struct source *s)
{
    const struct wire_header *header = &s->lane->inbox.header;

    s->lane->answered = header->kind == WIRE_REPLY && !memcmp(header->vm_id, s->vm_id, WIRE_ID) &&
                        header->epoch == s->stats.epoch;
    return s->lane->answered;
}

/* Something has come on the lane. Returns whether the lane is still good. */
static bool take(struct source *s, int event)
{
    const struct inbox *box = &s->lane->inbox;

    if (event == INBOX_HEADER)
        return take_header(s);
    if (event != INBOX_RECORD)
        return false;
    if (box->type == WIRE_WANT)
        return take_want(s);
    return box->type == WIRE_KEEPALIVE || (box->type & WIRE_OPTIONAL);
}

static bool lane_produce(struct source *s)
{
    struct source_lane *lane = s->lane;
    struct outbox *box = &lane->outbox;
    bool said = lane->batch.pages ? source_say_pages(s, box, &lane->batch)
                                  : lane->runs && source_say_zero(s, box, lane->run, &lane->runs);

    if (!said && lane->answered && source_now(s) - lane->last_said > WIRE_KEEPALIVE_MS * NS_PER_MS) {
        source_say_keepalive(s, box);
        said = true;
    }
    if (said)
        lane->last_said = source_now(s);
    return said;
}

/* Something at the destination waits for pages that are not sent yet. */
static bool owes(const struct source *s)
{
    return s->lane && (s->lane->batch.pages || s->lane->runs);
}

/* Do one thing. Returns 1: done; 0: there is nothing to do now; -1: the lane is broken. */
static int lane_turn(struct source *s)
{
    struct source_lane *lane = s->lane;
    int err = outbox_flush(&lane->outbox, &lane->transport), event;
    u64 before = lane->inbox.bytes;

    if (err && err != -EAGAIN)
        return -1;
    if (!err && lane_produce(s))
        return 1;
    if (err || owes(s)) { /* a WANT that came now would find no room; a dead peer shows on the first connection */
        lane->last_heard = source_now(s);
        return 0;
    }
    event = inbox_next(&lane->inbox, &lane->transport);
    if (lane->inbox.bytes != before)
        lane->last_heard = source_now(s);
    if (event == INBOX_NOTHING)
        return 0;
    return event > INBOX_NOTHING && take(s, event) ? 1 : -1;
}

bool source_lane_step(struct source *s)
{
    int done = 1;

    if (!s->lane || s->lane->link == LINK_NONE)
        return false;
    for (unsigned i = 0; i < LANE_BUDGET && done > 0; i++)
        done = lane_turn(s);
    if (done >= 0 && source_now(s) - s->lane->last_heard > WIRE_DEAD_MS * NS_PER_MS)
        done = -1;
    /* Before it was used nothing was lost with it, and when the guest runs there another one is opened. */
    if (done < 0 && s->stats.postcopy_requests)
        source_link_lost(s, WIRE_E_LINK, BROKEN);
    else if (done < 0)
        source_lane_close(s);
    return done || (owes(s) && outbox_empty(&s->lane->outbox)); /* the bandwidth allows it in a moment */
}

/* --- The guest stands: what stays behind -------------------------------------------------------------------------- */

/* The pages at gpa, which nobody has used, are zeros. */
static void add_untouched(struct source *s, gpa_t gpa, u64 pages)
{
    bitmap_clear_run(s->bitmap, s->cursor, pages);
    s->left -= pages;
    source_add_run(s, s->run, &s->runs, gpa, pages);
}

/* Look at stretches of the bitmap: what nobody has used is zeros, the rest stays behind. The guest stands meanwhile, so
 * this looks at no page of a stretch but the first. */
static void scan(struct source *s)
{
    struct source_lane *lane = s->lane;

    for (unsigned looked = 0; looked < SCAN_BUDGET && s->runs < WIRE_RUNS && lane->nr_missing < WIRE_RUNS; looked++) {
        const void *page;
        gpa_t gpa;
        u64 pages;

        s->cursor = bitmap_next(s->bitmap, s->ram.pages, s->cursor);
        if (s->cursor == s->ram.pages)
            return;
        gpa = ram_gpa(&s->ram, s->cursor);
        page = s->ops->page(s->vm, gpa);
        pages = bitmap_run(s->bitmap, s->ram.pages, s->cursor, s->ops->alike(s->vm, gpa) / WIRE_PAGE);
        s->work += pages;
        if (page)
            source_add_run(s, lane->missing, &lane->nr_missing, gpa, pages);
        else
            add_untouched(s, gpa, pages);
        s->cursor += pages;
    }
}

static void say_missing(struct source *s)
{
    struct source_lane *lane = s->lane;

    outbox_record(&s->outbox, WIRE_MISSING, lane->missing, lane->nr_missing * sizeof(lane->missing[0]));
    lane->nr_missing = 0;
}

bool source_say_missing(struct source *s, bool *done)
{
    scan(s);

    bool at_end = s->cursor == s->ram.pages;

    *done = false;
    if (s->runs == WIRE_RUNS || (at_end && s->runs)) {
        return source_say_zero(s, &s->outbox, s->run, &s->runs);
    } else if (s->lane->nr_missing == WIRE_RUNS || at_end) {
        say_missing(s); /* the last one may be empty, and says that the move is split */
        *done = at_end;
    } else if (s->work - s->said_work >= WIRE_KEEPALIVE_LOOKED) {
        source_say_keepalive(s, &s->outbox);
    }
    return true;
}

/* --- The guest runs there ----------------------------------------------------------------------------------------- */

static u64 pages_sent(const struct source *s)
{
    return s->stats.normal + s->stats.duplicate;
}

static void measure_pace(struct source *s)
{
    s->pace = (struct migrate_pace){ source_now(s), pages_sent(s) };
}

static u64 run_pages(const struct wire_run *runs, unsigned count)
{
    u64 pages = 0;

    while (count--)
        pages += runs[count].pages;
    return pages;
}

/* Those that were sent are not there before the destination says so. */
u64 source_missing(const struct source *s, u64 *ms)
{
    u64 pages = s->listens
                    ? s->missed
                    : s->left + s->batch.pages + run_pages(s->run, s->runs) + s->served - MIN(s->served, s->peer_work);

    if (s->lane)
        pages += s->lane->batch.pages + s->lane->runs;
    *ms = s->stats.status != MIGRATE_POSTCOPY_ACTIVE || s->listens ? LEFT_UNKNOWN
          : s->settings.demand                                     ? LEFT_UNASKED
                               : migrate_pace_left(&s->pace, source_now(s), pages_sent(s), pages);
    return pages * WIRE_PAGE;
}

/* When all places are taken, every second sample goes, and the others come half as often. */
static void thin_out(struct source *s)
{
    struct migrate_stats *stats = &s->stats;

    stats->samples /= 2;
    for (unsigned i = 1; i < stats->samples; i++)
        stats->progress[i] = stats->progress[2 * i];
    s->sample_ns *= 2;
}

static void note_progress(struct source *s)
{
    struct migrate_stats *stats = &s->stats;
    u64 time = source_now(s);

    if (stats->samples == POSTCOPY_SAMPLES)
        thin_out(s);
    stats->progress[stats->samples++] = (struct postcopy_sample){ time - s->stopped - stats->downtime, pages_sent(s),
                                                                  stats->postcopy_requests };
    s->next_sample = time + s->sample_ns;
}

void source_serve_note(struct source *s)
{
    s->stats.status = source_serve_status(s); /* it depends on the connection */
    if (source_now(s) >= s->next_sample)
        note_progress(s);
}

void source_serve(struct source *s)
{
    s->ops->depart(s->vm);
    s->stats.downtime = source_now(s) - s->stopped;
    s->cursor = 0;
    s->sample_ns = NS_PER_MS;
    note_progress(s);
    source_enter(s, STAGE_SERVE);
}

/* The destination counts what it takes anew, too. */
void source_served(struct source *s)
{
    s->stats.recoveries += s->recovering;
    s->recovering = false;
    s->served = s->peer_work = 0;
    s->ahead = AHEAD_LEAST;
    measure_pace(s);
}

void source_serve_answered(struct source *s)
{
    s->ahead = MIN(2 * s->ahead, AHEAD_MOST);
}

enum migrate_status source_serve_status(const struct source *s)
{
    if (s->link == LINK_NONE)
        return MIGRATE_POSTCOPY_PAUSED;
    return s->recovering ? MIGRATE_POSTCOPY_RECOVER : MIGRATE_POSTCOPY_ACTIVE;
}

/* What was given to a connection that broke may not have come: the destination says what it misses. */
void source_serve_again(struct source *s)
{
    s->missed = source_missing(s, &(u64){ 0 }) / WIRE_PAGE;
    memset(s->bitmap, 0, ram_words(&s->ram) * sizeof(u64));
    s->left = s->batch.pages = s->runs = 0;
    s->cursor = s->served = 0;
    s->recovering = s->listens = true;
}

bool source_take_missing(struct source *s)
{
    const struct inbox *box = &s->inbox;
    struct wire_run run;
    gpa_t end = 0;

    if (s->stage != STAGE_SERVE || box->len % sizeof(run) || box->len > WIRE_RUNS * sizeof(run))
        return false;
    for (size_t at = 0; at < box->len; at += sizeof(run)) {
        memcpy(&run, box->body + at, sizeof(run));
        if (!ram_take_run(&s->ram, &run, &end))
            return false;
        bitmap_set_run(s->bitmap, ram_index(&s->ram, run.gpa), run.pages);
    }
    s->left = bitmap_count(s->bitmap, s->ram.pages);
    s->listens &= box->len != 0; /* an empty record ends the list */
    return true;
}

/* Send what nobody has asked for yet. */
static bool push(struct source *s)
{
    bool done;

    if (s->cursor >= s->ram.pages && s->left)
        s->cursor = 0;
    if (s->settings.demand && !s->batch.pages && !s->runs)
        return false;
    if (owes(s) || s->served >= s->peer_work + s->ahead)
        return false;
    if (s->runs) /* a page that is kept for a fuller record might be wanted */
        return source_say_zero(s, &s->outbox, s->run, &s->runs);
    /* Nobody else gets what is gathered: until all of it can go, it had better be there for who wants it. */
    if (!bucket_holds(&s->bucket, (PUSH_BATCH + SPARE) * (WIRE_PAGE + sizeof(struct wire_page)), source_now(s)))
        return false;
    /* If it has come to the end of memory, it goes on at the beginning, and at once. */
    return (s->left || s->batch.pages) && source_ram_produce(s, &done) && (!done || s->left);
}

bool source_serve_produce(struct source *s)
{
    if (!s->listens) /* what is wanted must be known to be missing */
        lane_open(s);
    if (source_frames_come(s) && source_frame(s))
        return true;
    return push(s);
}

int source_pull(struct source *s)
{
    if (s->stage != STAGE_SERVE)
        return -ENOENT;
    if (s->settings.demand)
        measure_pace(s);
    s->settings.demand = false;
    return 0;
}

/* --- The operator wants it ---------------------------------------------------------------------------------------- */

int source_start_postcopy(struct source *s)
{
    if (s->stage < STAGE_CONNECT || source_is_over(s) || s->settings.dry_run)
        return -ENOENT;
    if (s->stage < STAGE_RESERVE && !s->settings.verify)
        return -EAGAIN;
    if (!source_may_split(s))
        return -ENOTSUP;
    if (s->stage > STAGE_RESET)
        return -EBUSY;
    s->switch_now = s->handoff.split = true;
    return 0;
}

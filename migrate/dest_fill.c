/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that runs here before all of its memory has come: which pages are missing, which of them somebody waits for,
 * and what comes of them, by its first connection (SESSION_FILL) and by a second one for the pages that are wanted, the
 * lane (SESSION_LANE).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "stream/crc32c.h"
#include "migrate/dest_parts.h"

#define LIST_BUDGET 16384 /* pages looked at in one go */
#define LIST_OVER ~0ULL   /* all is said */

/* --- Before the guest runs ---------------------------------------------------------------------------------------- */

/* A page that came before and was written since counts as received: it will come again. */
static enum wire_code expect(struct dest_session *session, const struct wire_run *run)
{
    struct incoming *in = session->incoming;
    u64 first = ram_index(&in->ram, run->gpa);

    bitmap_set_run(in->seen, first, run->pages);
    bitmap_clear_run(in->suspect, first, run->pages);
    return session->dest->ops->expect(in->vm, run->gpa, run->pages) ? WIRE_E_MEMORY : WIRE_OK;
}

void receive_missing(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    const struct inbox *box = &session->inbox;
    struct wire_run run;
    gpa_t end = 0;

    in->handoff.split = true;
    if (in->cold || in->description->head.flags & (WIRE_VERIFY | WIRE_GUARDED) || box->len % sizeof(run) ||
        box->len > WIRE_RUNS * sizeof(run)) {
        dest_refuse(session, WIRE_E_STREAM, "malformed MISSING, or MISSING in a move that has none");
        return;
    }
    for (size_t at = 0; at < box->len; at += sizeof(run)) {
        memcpy(&run, box->body + at, sizeof(run));
        if (!ram_take_run(&in->ram, &run, &end)) {
            dest_refuse(session, WIRE_E_STREAM, "MISSING of what isn't RAM");
            return;
        }
        if (expect(session, &run)) {
            dest_refuse(session, WIRE_E_MEMORY, "no memory to note which pages are missing");
            return;
        }
    }
    in->stats.missing = session->dest->ops->missing(in->vm);
    receive_got_on(session, box->len / sizeof(run));
}

/* May pages be missing to the guest of this attempt, now or soon, and is its source there? */
static bool may_miss(const struct incoming *in)
{
    if (!in || !in->vm || !in->session)
        return false;
    return in->handoff.split ? attempt_under_way(in) || in->handoff.state == DEST_INCOMPLETE
                             : in->handoff.state == DEST_RECEIVING;
}

void lane_attach(struct dest_session *session, const struct wire_header *header)
{
    struct incoming *in = attempt_of(session, header);

    if (!may_miss(in)) {
        dest_refuse(session, WIRE_E_STREAM, "no guest of this move is on its way there");
        return;
    }
    if (in->lane)
        session_close(in->lane);
    lane_detach(in->lane);
    in->lane = session;
    session->lane_of = in;
    session->stage = SESSION_LANE;
    if (in->handoff.state == DEST_INCOMPLETE)
        session->dest->ops->ask_again(in->vm);
}

void lane_detach(struct dest_session *session)
{
    if (session && session->lane_of)
        session->lane_of->lane = NULL;
    if (session)
        session->lane_of = NULL;
}

/* --- The guest runs here ------------------------------------------------------------------------------------------ */

void fill_lost(struct incoming *in)
{
    u64 left = in->stats.missing - in->stats.filled;

    if (!left || in->session)
        return;
    in->error = WIRE_E_LINK;
    snprintf(in->reason, sizeof(in->reason),
             "it has ended or started anew without %lu pages: only its source has them, and was not connected", left);
    dest_log(pr_warn, in, ": %s", in->reason);
}

/* If that was the last page, the source may free its memory. */
void fill_end(struct dest *dest, struct incoming *in)
{
    if (!in->used || in->handoff.state != DEST_INCOMPLETE || dest->ops->missing(in->vm))
        return;
    fill_lost(in);
    dest_log(pr_info, in, ", misses nothing any more");
    dest_event(dest, in, HANDOFF_WHOLE, 0, outcome_completed);
}

static void measure_pace(struct dest *dest, struct incoming *in)
{
    in->pace = (struct migrate_pace){ dest_now(dest), in->stats.filled };
}

void fill_begin(struct dest_session *session)
{
    struct incoming *in = session->incoming;

    if (in->handoff.state != DEST_INCOMPLETE || session->stage == SESSION_FILL)
        return;
    /* A source that has connected anew does not know what has come. */
    session->list = session->stage == SESSION_ASKED ? 0 : LIST_OVER;
    in->stats.recoveries += session->stage == SESSION_ASKED;
    session->stage = SESSION_FILL;
    in->work = in->said_work = 0; /* from now on these are the missing pages that have come */
    measure_pace(session->dest, in);
    fill_end(session->dest, in);
}

/* One of the pages that were missing has come: bytes, or NULL for zeros. Returns false if the connection is of no more
 * use. The guest may have ended meanwhile. */
static bool supply(struct dest_session *session, gpa_t gpa, const void *bytes)
{
    struct incoming *in = session_attempt(session);
    int err = in->handoff.state == DEST_INCOMPLETE ? session->dest->ops->supply(in->vm, gpa, bytes) : -EEXIST;

    if (err == -ENOMEM) {
        dest_refuse(session, WIRE_E_MEMORY, "no memory for a page that was missing");
        return false;
    }
    if (in->demand && session->incoming) { /* this page was not asked for */
        in->demand = false;
        measure_pace(session->dest, in);
    }
    in->stats.filled += !err;
    fill_end(session->dest, in);
    return true;
}

void fill_page(struct dest_session *session)
{
    const struct inbox *box = &session->inbox;
    struct incoming *in = session_attempt(session);

    in->stats.pages++;
    if (crc32c(0, session->page, WIRE_PAGE) != box->page.crc)
        dest_refuse(session, WIRE_E_DAMAGED, "a page arrived damaged");
    else
        supply(session, box->page.gpa, session->page);
}

bool fill_zero(struct dest_session *session, gpa_t gpa)
{
    session_attempt(session)->stats.zero++;
    return supply(session, gpa, NULL);
}

void fill_watch(struct dest_session *session)
{
    if ((session->stage != SESSION_FILL && session->stage != SESSION_LANE) || may_miss(session_attempt(session)))
        return;
    session->stage = SESSION_FILLED;
    session->since = dest_now(session->dest);
}

/* --- What is said of it ------------------------------------------------------------------------------------------- */

static bool say_want(struct dest_session *session)
{
    const struct migrate_dest_ops *ops = session->dest->ops;
    struct incoming *in = session->lane_of;
    u64 gpa[WIRE_BATCH];
    unsigned n = 0;

    while (n < WIRE_BATCH && ops->wanted(in->vm, &gpa[n]))
        n++;
    in->stats.wanted += n;
    if (n)
        outbox_record(&session->outbox, WIRE_WANT, gpa, n * sizeof(gpa[0]));
    return n;
}

/* How many pages are missing from that one on, in its range and before `end`? */
static u64 missing_run(struct dest_session *session, u64 index, u64 end)
{
    struct incoming *in = session->incoming;
    gpa_t gpa = ram_gpa(&in->ram, index);
    u64 n = 0;

    while (index + n < end && ram_contains(&in->ram, gpa, n + 1) &&
           session->dest->ops->is_missing(in->vm, gpa + n * WIRE_PAGE))
        n++;
    return n;
}

/* Put into the record which of some more pages are missing. Returns the number of runs. */
static unsigned put_missing(struct dest_session *session)
{
    struct incoming *in = session->incoming;
    u64 end = MIN(session->list + LIST_BUDGET, in->ram.pages);
    unsigned runs = 0;

    while (session->list < end && runs < WIRE_RUNS) {
        struct wire_run run = { ram_gpa(&in->ram, session->list), missing_run(session, session->list, end) };

        session->list += MAX(run.pages, 1);
        if (!run.pages)
            continue;
        codec_bytes(&session->outbox.body, &run, sizeof(run));
        runs++;
    }
    return runs;
}

/* Say of some more pages which are missing. When all is said, an empty record says that. */
static bool say_missing(struct dest_session *session)
{
    bool over = session->list == session->incoming->ram.pages;

    if (session->list == LIST_OVER)
        return false;
    outbox_begin(&session->outbox);
    if (put_missing(session) || over) {
        outbox_end(&session->outbox, WIRE_MISSING);
    } else {
        outbox_cancel(&session->outbox);
        say_keepalive(session);
    }
    if (over)
        session->list = LIST_OVER;
    return true;
}

/* Let the source send more. */
static bool say_taken(struct dest_session *session)
{
    if (session->incoming->work - session->incoming->said_work < WIRE_KEEPALIVE_FILLED)
        return false;
    say_keepalive(session);
    return true;
}

/* The operator wants what the source does not send by itself. */
static bool say_pull(struct dest_session *session)
{
    if (session->pulled || !session->incoming->pull || !session->incoming->demand)
        return false;
    session->pulled = true;
    outbox_record(&session->outbox, WIRE_PULL, NULL, 0);
    return true;
}

bool fill_say(struct dest_session *session)
{
    const struct incoming *in = session_attempt(session);

    if (!in || in->handoff.state != DEST_INCOMPLETE)
        return false;
    if (session->stage == SESSION_LANE)
        return say_want(session);
    return session->stage == SESSION_FILL && (say_pull(session) || say_taken(session) || say_missing(session));
}

/* --- For people --------------------------------------------------------------------------------------------------- */

u64 dest_missing(const struct dest *dest, const struct incoming *in, u64 *ms)
{
    u64 pages = dest->ops->missing(in->vm);

    *ms = !in->session ? LEFT_UNKNOWN
          : in->demand ? LEFT_UNASKED
                       : migrate_pace_left(&in->pace, dest_now(dest), in->stats.filled, pages);
    return pages * WIRE_PAGE;
}

enum migrate_status dest_fill_status(const struct incoming *in)
{
    if (!in->session)
        return MIGRATE_POSTCOPY_PAUSED;
    return session_fills(in->session) && in->session->list == LIST_OVER ? MIGRATE_POSTCOPY_ACTIVE
                                                                        : MIGRATE_POSTCOPY_RECOVER;
}

int dest_pull(struct dest *dest, const void *vm)
{
    const struct incoming *in = dest_find(dest, vm, DEST_INCOMPLETE);

    if (!in)
        return -ENOENT;
    dest->incoming[in - dest->incoming].pull = true;
    return 0;
}

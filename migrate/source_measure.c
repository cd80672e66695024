/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known before a move: the guest is watched by its dirty log in four windows, which tell how much it writes,
 * and by what it writes in more of them than one to how many pages; for how long its processors run meanwhile tells
 * whether it sleeps; one page in so many is looked at, which tells how many have contents; and zeros are sent, which
 * the destination skips, and which tell what the link carries.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/log.h"
#include "migrate/source_parts.h"

#define WINDOWS 4
#define WINDOW_MS 50
#define SEEN 3      /* maps of pages: written in one window, in two, in three, or in more than these */
#define SAMPLE 4096 /* pages to look at, about */
#define LOOKS 64    /* in one go */
#define PROBE_BODY (15 * WIRE_PAGE)
#define PROBE_LARGE (4 * PROBE_BODY) /* of a volley that is more than a burst */
#define PROBE_MOST MiB(8)            /* of the largest volley, about */

/* If somebody else has the log, or there is no memory, the guest is not watched. */
void source_measure_begin(struct source *s)
{
    struct source_measure *m = &s->measure;

    *m = (struct source_measure){
        .since = source_now(s), .ran = s->ops->ran(s->vm), .stride = s->ram.pages / SAMPLE + 1, .volley = sizeof(u64)
    };
    s->stats.known = (struct predict_known){ .pages = s->ram.pages, .page = WIRE_PAGE + sizeof(struct wire_page) };
    m->seen = calloc(SEEN * ram_words(&s->ram), sizeof(u64));
    s->logging = m->seen && s->ops->log_start(s->vm) == 0;
    s->stats.known.unwatched = !s->logging;
    m->windows = s->logging ? 0 : WINDOWS;
    memset(s->bitmap, 0, ram_words(&s->ram) * sizeof(u64));
    s->round_began = source_now(s);
}

static void look(struct source *s)
{
    struct source_measure *m = &s->measure;

    for (unsigned i = 0; i < LOOKS && m->cursor < s->ram.pages; i++, m->cursor += m->stride) {
        const void *page = s->ops->page(s->vm, ram_gpa(&s->ram, m->cursor));

        if (page && !page_is_zero(page))
            s->stats.known.used += MIN(m->stride, s->ram.pages - m->cursor);
    }
}

static bool window_over(const struct source *s)
{
    return s->measure.windows < WINDOWS && source_now(s) - s->round_began >= WINDOW_MS * NS_PER_MS;
}

/* The pages of the bitmap were written in one window more. */
static void note_window(struct source *s)
{
    u64 n = ram_words(&s->ram), *once = s->measure.seen, *twice = once + n, *more = twice + n;

    for (u64 i = 0; i < n; i++) {
        more[i] |= twice[i] & s->bitmap[i];
        twice[i] |= once[i] & s->bitmap[i];
        once[i] |= s->bitmap[i];
        s->bitmap[i] = 0;
    }
}

static void end_window(struct source *s)
{
    int err = s->ops->harvest(s->vm, s->bitmap);

    if (err && err != -EAGAIN)
        source_fail(s, WIRE_E_INTERNAL, "the dirty log failed");
    if (err)
        return;
    note_window(s);
    s->measure.windows++;
    s->measure.watched += source_now(s) - s->round_began;
    s->round_began = source_now(s);
}

/* What was seen in all windows. */
static struct policy_watch seen(const struct source *s)
{
    const struct source_measure *m = &s->measure;
    u64 pages[SEEN];

    for (unsigned i = 0; i < SEEN; i++)
        pages[i] = bitmap_count(m->seen + i * ram_words(&s->ram), s->ram.pages);
    return (struct policy_watch){
        .us = MAX(m->watched / 1000, 1),
        .windows = WINDOWS,
        .pages = pages[0],
        .once = pages[0] - pages[1],
        .twice = pages[1] - pages[2],
    };
}

/* Send what is next of the volley, and with the last of it ask for the answer. Returns false if the bandwidth is used
 * up now. */
static bool probe(struct source *s)
{
    struct source_measure *m = &s->measure;
    struct codec *body = &s->outbox.body;
    u64 bytes = MIN(m->volley - m->sent, (u64)PROBE_BODY), ask = m->sent + bytes == m->volley;

    if (!bucket_take(&s->bucket, bytes, source_now(s)))
        return false;
    if (!m->sent)
        m->began = source_now(s);
    outbox_begin(&s->outbox);
    codec_bytes(body, &ask, sizeof(ask));
    memset(body->buf + body->at, 0, bytes - sizeof(ask));
    body->at += bytes - sizeof(ask);
    outbox_end(&s->outbox, WIRE_PROBE);
    m->sent += bytes;
    return true;
}

/* All of a volley has arrived. The first one is the smallest there is, and tells the round trip; each other one tells
 * the rate, and the next, of twice its size, tells more. Of the large ones the best counts: a machine that was busy
 * meanwhile says nothing of the link. */
void source_probe_answered(struct source *s)
{
    struct source_measure *m = &s->measure;
    u64 ns = source_now(s) - m->began, rate;

    if (s->stage != STAGE_MEASURE || !m->sent || m->sent < m->volley)
        return;
    rate = MAX(policy_share(m->sent, 1000 * NS_PER_MS, MAX(ns - MIN(s->stats.rtt, ns / 2), 1)), 1);
    if (m->volley < PROBE_BODY)
        s->stats.rtt = MIN(s->stats.rtt, ns);
    else
        m->rate = m->volley < PROBE_LARGE ? rate : MAX(m->rate, rate);
    m->volley = MAX(2 * m->volley, (u64)PROBE_BODY);
    m->sent = 0;
}

/* Is a volley under way, or to be sent? */
static bool probes(const struct source *s)
{
    const struct source_measure *m = &s->measure;

    return (s->peer_features & WIRE_FEATURE_PROBE) &&
           (m->sent || !m->rate || (m->windows < WINDOWS && m->volley < PROBE_MOST));
}

/* Take the mode that the forecast is for. */
static void choose(struct source *s)
{
    struct policy_settings *policy = &s->settings.policy;
    enum migrate_mode mode = predict_choose(s->stats.forecast, source_may_split(s));

    s->stats.chosen = mode;
    migrate_choice(&s->stats, policy->downtime_limit);
    if (mode != MODE_LIVE) {
        policy->max_rounds = mode == MODE_HYBRID ? policy->postcopy_rounds : 0;
        policy->on_stall = POLICY_STALL_POSTCOPY;
        s->handoff.split = s->settings.split = true;
    }
    source_log(pr_info, s, ": %s", s->stats.choice);
}

static void finish(struct source *s)
{
    const struct source_measure *m = &s->measure;
    struct predict_known *known = &s->stats.known;
    u64 bandwidth = s->settings.max_bandwidth ? s->settings.max_bandwidth : ~0ULL;

    known->busy = MIN(policy_share(s->ops->ran(s->vm) - m->ran, 1000000, MAX(source_now(s) - m->since, 1)), 1000000);
    known->paced = m->rate >= bandwidth;
    known->rate = MIN(m->rate, bandwidth);
    known->rtt_us = s->stats.rtt / 1000;
    known->fixed_us = s->settings.fixed_us;
    if (!known->unwatched) {
        const struct policy_watch watch = seen(s);

        policy_measure(&watch, known->used, &known->dirty_rate, &known->working_set);
    }
    if (known->rate)
        predict_modes(&s->settings.policy, known, s->stats.round, s->stats.forecast); /* no round is made yet */
    source_ram_all(s);
    if (s->settings.choose)
        choose(s);
    source_measured(s);
}

bool source_measure_produce(struct source *s)
{
    struct source_measure *m = &s->measure;

    s->work++;
    if (m->cursor < s->ram.pages)
        look(s);
    else if (window_over(s))
        end_window(s);
    else if (probes(s))
        return m->sent < m->volley && probe(s);
    else if (m->windows < WINDOWS)
        return false;
    else if (source_stop_log(s))
        finish(s);
    return true;
}

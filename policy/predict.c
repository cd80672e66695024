/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is not modelled: pages of zeros, which cost next to nothing; reads, which a guest in two halves waits for, too;
 * and what the guest would have slept through. So of a guest that reads a lot the time that it loses in post-copy is
 * too low, and of one that sleeps a lot too high.
 */
#include "policy/predict.h"

#include "host/bits.h"

#define US_PER_S 1000000ULL
#define WRITE_NS 1000 /* of the guest's time for the first write to a page in a round: a fault or its like */
#define AHEAD 16      /* pages that are on the way before one that is asked for: half of what may be (source_serve.c) */

static u64 send_us(const struct predict_known *known, u64 pages)
{
    return policy_share(pages * known->page, US_PER_S, known->rate);
}

static u64 fixed_us(const struct predict_known *known)
{
    return known->fixed_us + 2 * known->rtt_us;
}

/* Play one live round, of a guest that is throttled as `stats` says. `before`: the one before it; NULL: none. */
static void play_round(const struct policy_settings *settings, const struct predict_known *known,
                       const struct policy_stats *stats, struct policy_round *now, const struct policy_round *before)
{
    u64 writes = known->dirty_rate * (100 - stats->throttle) / 100;
    u64 pages = before ? policy_left(before) - before->hot : known->used, held = before ? before->hot : 0;
    u64 set = MAX(known->working_set, 1);

    *now = (struct policy_round){ .pages = pages, .bytes = pages * known->page };
    now->us = send_us(known, pages) + known->rtt_us + 1;
    now->throttle = stats->throttle;
    now->write_limit = stats->write_limit;
    now->dirtied = policy_dirtied(known->working_set, writes, now->us);
    if (stats->write_limit)
        now->dirtied = MIN(now->dirtied, policy_share(stats->write_limit, now->us, US_PER_S));
    if (!settings->hot_last || !before)
        return;
    /* Each page of the set is as likely written as any other, in this round as in the one before. */
    now->hot = policy_share(now->dirtied, before->dirtied, set);
    now->kept = held - MIN(policy_share(held, now->dirtied, set), held);
}

/* A guest whose writes are limited loses the time for the others. */
static void count_round(struct forecast *row, const struct predict_known *known, const struct policy_round *round)
{
    u64 writes = known->dirty_rate, limit = round->write_limit ? MIN(round->write_limit, writes) : writes;

    row->rounds++;
    row->bytes += round->bytes;
    row->total_us += round->us;
    row->lost_us += round->us * round->throttle / 100 + round->dirtied * WRITE_NS / 1000;
    if (limit < writes)
        row->lost_us += policy_share(round->us, writes - limit, writes);
}

/* The guest stands for so long, and `pages` are sent meanwhile. */
static void count_stop(struct forecast *row, const struct predict_known *known, u64 us, u64 pages)
{
    row->downtime_us = us;
    row->total_us += us;
    row->lost_us += us;
    row->bytes += pages * known->page;
}

/* The guest runs there, and misses so many pages: half of those that it touches until all have come it waits for. */
static void count_missing(struct forecast *row, const struct predict_known *known, u64 missing)
{
    u64 us = send_us(known, missing), latency = known->rtt_us + send_us(known, AHEAD);
    u64 touched = MIN(policy_dirtied(known->working_set, known->dirty_rate, us), missing);

    row->total_us += us;
    row->bytes += missing * known->page;
    row->lost_us += MIN(touched / 2 * latency, us);
}

static void predict_stop_copy(const struct predict_known *known, struct forecast *row)
{
    count_stop(row, known, fixed_us(known) + send_us(known, known->used), known->used);
}

static void predict_postcopy(const struct predict_known *known, struct forecast *row)
{
    count_stop(row, known, fixed_us(known), 0);
    count_missing(row, known, known->used);
}

/* A page that is asked for comes alone. Lost is what the guest waits for until it has all that it writes. */
static void predict_demand(const struct predict_known *known, struct forecast *row)
{
    u64 touched = MIN(known->working_set, known->used);

    count_stop(row, known, fixed_us(known), touched);
    row->lost_us += touched * (known->rtt_us + send_us(known, 1));
    row->total_us = ~0ULL;
}

static void predict_hybrid(const struct policy_settings *settings, const struct predict_known *known,
                           struct policy_round *room, struct forecast *row)
{
    const struct policy_stats unthrottled = { .round = NULL };
    u64 left = known->used;

    for (u32 i = 0; i < settings->postcopy_rounds; i++) {
        play_round(settings, known, &unthrottled, &room[i], i ? &room[i - 1] : NULL);
        count_round(row, known, &room[i]);
        left = policy_left(&room[i]);
    }
    count_stop(row, known, fixed_us(known), 0);
    count_missing(row, known, left);
}

static void predict_live(const struct policy_settings *settings, const struct predict_known *known,
                         struct policy_round *room, struct forecast *row)
{
    struct policy_stats stats = { .round = room, .total = known->pages, .page = known->page };
    enum policy_verdict verdict = settings->max_rounds ? POLICY_CONTINUE : POLICY_STOP;
    struct policy_prediction p = { .downtime_us = fixed_us(known) + send_us(known, known->used) };
    u64 left = known->used;

    stats.fixed_us = fixed_us(known);
    while (verdict == POLICY_CONTINUE || verdict == POLICY_THROTTLE) {
        struct policy_round *now = &room[stats.rounds];

        if (verdict == POLICY_THROTTLE)
            policy_throttle(settings, p.rate / known->page, &stats.throttle, &stats.write_limit);
        play_round(settings, known, &stats, now, stats.rounds ? now - 1 : NULL);
        stats.rounds++;
        count_round(row, known, now);
        left = policy_left(now);
        verdict = policy_decide(settings, &stats, &p);
    }
    row->fails = verdict == POLICY_ABORT;
    if (verdict == POLICY_STOP) {
        count_stop(row, known, p.downtime_us, left);
    } else if (verdict == POLICY_SPLIT) {
        count_stop(row, known, fixed_us(known), 0);
        count_missing(row, known, left);
    }
}

void predict_modes(const struct policy_settings *settings, const struct predict_known *known, struct policy_round *room,
                   struct forecast row[NR_FORECASTS])
{
    for (unsigned mode = 0; mode < NR_FORECASTS; mode++)
        row[mode] = (struct forecast){ 0 };
    predict_live(settings, known, room, &row[MODE_LIVE]);
    predict_stop_copy(known, &row[MODE_STOP_COPY]);
    predict_postcopy(known, &row[MODE_POSTCOPY]);
    predict_hybrid(settings, known, room, &row[MODE_HYBRID]);
    predict_demand(known, &row[MODE_DEMAND]);
    for (unsigned mode = 0; mode < NR_FORECASTS; mode++)
        row[mode].over_limit = row[mode].downtime_us > MAX(settings->downtime_limit * 1000ULL, fixed_us(known) * 9 / 8);
}

enum migrate_mode predict_choose(const struct forecast row[NR_FORECASTS], bool may_split)
{
    const struct forecast *live = &row[MODE_LIVE];

    if (!may_split || (!live->fails && !live->over_limit))
        return MODE_LIVE;
    return row[MODE_HYBRID].lost_us < row[MODE_POSTCOPY].lost_us ? MODE_HYBRID : MODE_POSTCOPY;
}

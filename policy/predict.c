/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest in two halves. It works for `busy` of each second, writes r pages, and sleeps for the rest. Of the pages that
 * it writes the part f is missing; each of these it waits for, L long. So what it does in a second takes busy + r f L.
 * Up to a second nothing is lost, for it sleeps less; beyond that it gets on at the pace 1 / (busy + r f L). The push
 * goes on behind the last page that was wanted, and what a guest writes lies together: so each page that comes is taken
 * for one of these, and f falls by the link's rate until none of them is missing.
 *
 * What is not modelled: pages of zeros, which cost next to nothing; what the guest only reads, which it waits for, too,
 * and which nobody sees before; and that a processor's caches and translations are cold there.
 */
#include "policy/predict.h"

#include "host/bits.h"

#define US_PER_S 1000000ULL
#define WRITE_NS 1000 /* of the guest's time for the first write to a page in a round: a fault or its like */
#define AHEAD 16      /* pages that are on the way before one that is asked for: half of what may be (source_serve.c) */
#define STEPS 64      /* of the time in which pages come */
#define PARTS 1024    /* of a page */

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

/* How long a page takes from the access that waits for it. */
static u64 wait_us(const struct predict_known *known)
{
    return known->rtt_us + (known->paced ? 0 : send_us(known, AHEAD));
}

/* A guest that misses `missing` of the pages that it writes runs for `us`. Returns how many of them it waits for. Both
 * are in parts of a page. */
static u64 run_in_halves(struct forecast *row, const struct predict_known *known, u64 missing, u64 us)
{
    u64 wants = policy_share(known->dirty_rate, missing, MAX(known->working_set, 1)); /* parts a second */
    u64 waiting = MIN(policy_share(wants, wait_us(known), PARTS), 1ULL << 40);
    u64 takes = MAX(known->busy + waiting, US_PER_S);

    row->lost_us += policy_share(us, takes - US_PER_S, takes);
    return MIN(policy_share(policy_share(wants, us, US_PER_S), US_PER_S, takes), missing);
}

/* The guest runs there, and misses so many pages, of which it writes to `missing`, until all have come. */
static void count_missing(struct forecast *row, const struct predict_known *known, u64 pages, u64 missing)
{
    u64 us = send_us(known, missing), waits = 0;

    row->missing = pages;
    for (unsigned i = 0; i < STEPS; i++) {
        u64 left = policy_share(missing * PARTS, 2 * (STEPS - i) - 1, 2 * STEPS);

        waits += run_in_halves(row, known, left, us / STEPS);
    }
    row->waits = waits / PARTS;
    row->total_us += send_us(known, pages);
    row->bytes += pages * known->page;
}

static void predict_stop_copy(const struct predict_known *known, struct forecast *row)
{
    count_stop(row, known, fixed_us(known) + send_us(known, known->used), known->used);
}

static void predict_postcopy(const struct predict_known *known, struct forecast *row)
{
    count_stop(row, known, fixed_us(known), 0);
    count_missing(row, known, known->used, MIN(known->working_set, known->used));
}

/* What is asked for comes, and nothing else. */
static void predict_demand(const struct predict_known *known, struct forecast *row)
{
    u64 touched = MIN(known->working_set, known->used), missing = touched * PARTS;

    count_stop(row, known, fixed_us(known), touched);
    for (unsigned i = 0; i < STEPS; i++)
        missing -= run_in_halves(row, known, missing, DEMAND_US / STEPS);
    row->waits = touched - missing / PARTS;
    row->total_us = ~0ULL;
    row->missing = known->used;
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
    count_missing(row, known, left, left);
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
        count_missing(row, known, left, left);
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
    const struct forecast *live = &row[MODE_LIVE], *hybrid = &row[MODE_HYBRID], *postcopy = &row[MODE_POSTCOPY];
    u64 slack = hybrid->missing <= postcopy->missing / 2 ? postcopy->lost_us / 8 : 0;

    if (!may_split || (!live->fails && !live->over_limit))
        return MODE_LIVE;
    return hybrid->lost_us < postcopy->lost_us + slack ? MODE_HYBRID : MODE_POSTCOPY;
}

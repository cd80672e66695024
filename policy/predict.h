/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a move would be in each of its modes, before it is made: a pure function of what is known of the guest and of
 * the link. A live move is played by policy_decide itself, against a guest that writes as the predictor of policy.h
 * says. No clock, no machine, no floating point.
 */
#pragma once

#include "host/bits.h"
#include "policy/policy.h"

/* How memory moves: while the guest runs; while it stands; after it runs there, at once or with some rounds before, or
 * only what is asked for; not at all, for the guest starts anew; as one of the first that a forecast chooses. */
enum migrate_mode {
    MODE_LIVE,
    MODE_STOP_COPY,
    MODE_POSTCOPY,
    MODE_HYBRID,
    MODE_DEMAND,
    MODE_COLD,
    MODE_AUTO,
    NR_MODES,
};

#define NR_FORECASTS (MODE_DEMAND + 1) /* the modes by which memory moves */
#define DEMAND_US 3000000ULL           /* the time after the hand-over for which a forecast of demand looks */

/* What is known of a guest that is to move, and of the way. */
struct predict_known {
    u64 pages, used;             /* of RAM; of these, pages with contents */
    u64 dirty_rate, working_set; /* r, pages/s; W, pages */
    u64 rate, rtt_us;            /* R, bytes/s; the round trip */
    u64 fixed_us;                /* the part of the downtime that is neither memory nor round trips */
    u64 busy;                    /* of a million us, those in which a processor of it runs: what is left, it sleeps */
    u32 page;                    /* bytes of a page on the wire */
    bool unwatched;              /* nobody could watch the guest: r and W are taken for 0 */
    bool paced;                  /* it is max-bandwidth that holds R down: no page waits behind others on the way */
};

struct forecast {
    u64 total_us;    /* until the guest is whole there, setup apart; ~0: not before somebody asks for all (demand) */
    u64 downtime_us; /* for which the guest stands */
    u64 lost_us;     /* of the guest's own time until then, the downtime included; demand: in DEMAND_US */
    u64 missing;     /* pages that are not there when the guest is handed over */
    u64 waits;       /* for those of them that it writes */
    u64 bytes;       /* of pages, on the wire; demand: those that the guest asks for */
    u32 rounds;      /* live ones */
    bool fails;      /* on-stall = abort would end it */
    bool over_limit; /* the guest stands for longer than downtime-limit */
};

/* Fill a row for each of these modes. `room` is scratch space for max(settings->max_rounds, settings->postcopy_rounds)
 * rounds. */
void predict_modes(const struct policy_settings *settings, const struct predict_known *known, struct policy_round *room,
                   struct forecast row[NR_FORECASTS]);

/* The part of its own time that the guest loses meanwhile, in percent, rounded up. */
static inline u64 forecast_slowdown(const struct forecast *row)
{
    u64 us = row->total_us == ~0ULL ? row->downtime_us + DEMAND_US : row->total_us;

    return us ? MIN((row->lost_us * 100 + us - 1) / us, 100) : 0;
}

/*
 * The mode to choose: live, if it keeps the downtime limit, or if nothing else is possible (a move that verifies, a
 * destination that does not know post-copy); else of post-copy and hybrid the one in which the guest loses less of its
 * time. But nobody sees what it reads: if hybrid loses about as little, and leaves at most half as much behind, it is
 * hybrid. Stop-and-copy is never better than a live move, which stops early where that is enough; demand is for an
 * operator to choose.
 */
enum migrate_mode predict_choose(const struct forecast row[NR_FORECASTS], bool may_split);

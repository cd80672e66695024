/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to stop the guest: a pure function of what the rounds so far have shown. No clock, no machine, no floating
 * point.
 *
 * The predictor: a guest that writes uniformly, r pages/s, to a working set of W pages has dirtied
 * U(t) = W (1 - exp(-r t / W)) of them after t seconds. Sending them at R bytes/s takes U b / R seconds, in which the
 * next U is dirtied; with rho = r b / R the rounds converge to the root of x = 1 - exp(-rho x), as a part of W: none of
 * it up to rho 1, 0.797 of it at rho 2. So the second or third round already tells where it will end.
 */
#pragma once

#include "host/types.h"

/* What the policy does about a round that brought no gain. */
enum policy_stall {
    POLICY_STALL_STOP,     /* stop the guest and accept a longer downtime than the limit */
    POLICY_STALL_ABORT,    /* break the move off */
    POLICY_STALL_THROTTLE, /* keep the guest from running for a growing part of the time; stop it if the most is not
                              enough */
    POLICY_STALL_POSTCOPY, /* hand it over, with the rest of its memory behind it */
    POLICY_STALL_WRITERS,  /* let it write to ever fewer new pages a second; stop it if that is not enough */
};

/* Percent of the time that the guest does not run: at the first stall, added at each further one, and at most. */
struct policy_throttle {
    u32 initial, increment, max; /* 1 to 99 */
};

struct policy_settings {
    u32 downtime_limit;  /* ms */
    u32 max_rounds;      /* at most so many live rounds; 0: plain stop-and-copy */
    u32 postcopy_rounds; /* live rounds of a hybrid move */
    bool hot_last;       /* pages that two rounds in a row have written wait for the last one */
    enum policy_stall on_stall;
    struct policy_throttle throttle;
};

/* One live round. */
struct policy_round {
    u64 pages, zero; /* pages sent with contents; pages sent as runs of zeros */
    u64 dirtied;     /* pages that the guest wrote meanwhile */
    u64 kept;        /* pages that it held back, and that the guest did not write meanwhile: they are left, too */
    u64 hot;         /* of all that are left, pages that the next round holds back: they wait for the last one */
    u64 bytes, us;   /* bytes on the wire; us from the round's beginning to the destination's ROUND_DONE */
    u32 throttle;    /* percent, in force meanwhile */
    u64 write_limit; /* new pages a second that the guest might write to meanwhile; 0: any */
    u64 digest_us;   /* part of us: the time for digests at the end that took longer for them */
};

struct policy_stats {
    const struct policy_round *round; /* oldest first */
    unsigned rounds;
    u64 total;       /* pages of the guest */
    u32 page;        /* bytes of one, without its head on the wire */
    u64 digest_ns;   /* ns that both ends together take for the digests of a page while the guest stands; 0: no
                        verification */
    u64 fixed_us;    /* the part of the downtime that doesn't depend on memory: stop, state, two round trips, resume */
    u32 throttle;    /* percent, at present */
    u64 write_limit; /* new pages a second, at present; 0: any */
};

/* POLICY_THROTTLE: go on with live rounds, the guest throttled as policy_throttle says. */
enum policy_verdict { POLICY_CONTINUE, POLICY_STOP, POLICY_ABORT, POLICY_THROTTLE, POLICY_SPLIT };

struct policy_prediction {
    u64 downtime_us; /* if the guest stopped now: expected-downtime */
    u64 rate;        /* R, bytes/s */
    u64 dirty_rate;  /* r, pages/s */
    u64 working_set; /* W, pages; all pages of the guest as long as no bound shows */
    u64 next;        /* pages that would be left after one more round, those held back included */
    u64 converged;   /* pages left in the end, however many rounds */
    bool stalled;    /* more rounds bring nothing */
    bool over_limit; /* the verdict is POLICY_STOP or POLICY_ABORT though downtime_us is above the limit */
};

/* Decide after stats->rounds live rounds. *prediction is filled in any case. */
enum policy_verdict policy_decide(const struct policy_settings *settings, const struct policy_stats *stats,
                                  struct policy_prediction *prediction);

/* The throttle that follows `percent`; 0: there was no throttle yet. */
u32 policy_throttle_next(const struct policy_throttle *throttle, u32 percent);

/* After POLICY_THROTTLE: the throttle that follows. Writes are limited to half of the pages that the link carries a
 * second (`link`), so that each round leaves half of what the round before left, then to half as many each time. */
void policy_throttle(const struct policy_settings *settings, u64 link, u32 *percent, u64 *write_limit);

/* The arithmetic below, in units of 2^-32; public for tests and for reports. */
#define FX_ONE (1ULL << 32)

/* Pages that are left to be sent after a round. */
static inline u64 policy_left(const struct policy_round *round)
{
    return round->dirtied + round->kept;
}

/* exp(-x). */
u64 fx_exp_neg(u64 x);

/* The root x > 0 of x = 1 - exp(-rho x); 0 up to rho 1. */
u64 fx_converged(u64 rho);

/* a * b / c, saturating, and if c is 0. */
u64 policy_share(u64 a, u64 b, u64 c);

/* A guest was watched in some windows of one length. */
struct policy_watch {
    u64 us;                 /* all windows together */
    unsigned windows;       /* 3 or more */
    u64 pages, once, twice; /* that it wrote; of these, in just one window; in just two */
};

/* r and W, from that. The guest writes to `most` pages at most, as far as is known. */
void policy_measure(const struct policy_watch *seen, u64 most, u64 *rate, u64 *set);

/* U(t): pages dirtied after `us` by a guest that writes `rate` pages/s to `set` pages. */
u64 policy_dirtied(u64 set, u64 rate, u64 us);

/* Pages a second that the guest wrote in the last live rounds which together make a tenth of a second: a shorter round
 * tells only of a moment. A page that was written twice in a round counts once. 0 before the first round. */
u64 policy_dirty_rate(const struct policy_round *round, unsigned rounds);

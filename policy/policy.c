/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

#include "host/bits.h"

#define FX_LN2 2977044472ULL /* ln 2 */
#define FX_MAX (40 * FX_ONE) /* exp of its negative is 0 here */
#define RATE_BYTES KiB(256)  /* a round of fewer bytes tells of round trips, not of the link */
#define RATE_US 100000       /* a shorter time tells only of a moment */
#define RATE_UNKNOWN MiB(10) /* bytes/s, before any round */
#define WRITERS_LEAST 64     /* writes are limited to this part of what the link carries at least */
#define US_PER_S 1000000ULL

static u64 fx_mul(u64 a, u64 b)
{
    return (u64)((unsigned __int128)a * b >> 32);
}

/* The quotient is found bit by bit since 128-bit division would need a library. */
u64 policy_share(u64 a, u64 b, u64 c)
{
    unsigned __int128 rest = (unsigned __int128)a * b;
    u64 quotient = 0;

    if (!c || rest >> 64 >= c)
        return ~0ULL;
    for (int bit = 63; bit >= 0; bit--)
        if (rest >> bit >= c) {
            rest -= (unsigned __int128)c << bit;
            quotient |= BIT(bit);
        }
    return quotient;
}

/* a / b as a fixed-point number, saturating at FX_MAX. */
static u64 fx_ratio(u64 a, u64 b)
{
    return MIN(policy_share(a, FX_ONE, b), FX_MAX);
}

u64 fx_exp_neg(u64 x)
{
    u64 fraction = x % FX_LN2, value = FX_ONE;

    if (x >= FX_MAX)
        return 0;
    /* Horner's form of the series for exp(-f), f < ln 2: the term after the twelfth is below 2^-38. */
    for (unsigned i = 12; i >= 1; i--)
        value = FX_ONE - fx_mul(fraction, value) / i;
    return value >> (x / FX_LN2);
}

/* The x in [0, high] where the growing function f(x, parameter) reaches target. */
static u64 bisect(u64 (*f)(u64 x, u64 parameter), u64 parameter, u64 target, u64 high)
{
    u64 low = 0;

    while (high - low > 1) {
        u64 middle = low + (high - low) / 2;

        if (f(middle, parameter) < target)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* x - (1 - exp(-rho x)), shifted up by one so that it is never below 0; it grows where it is above 1. */
static u64 above_root(u64 x, u64 rho)
{
    return FX_ONE + x - (FX_ONE - fx_exp_neg(fx_mul(rho, x)));
}

u64 fx_converged(u64 rho)
{
    if (rho <= FX_ONE)
        return 0;
    /* The function is below 1 between 0 and the root, above 1 beyond it. */
    return bisect(above_root, MIN(rho, FX_MAX), FX_ONE, FX_ONE);
}

static u64 saturation(u64 y, u64 unused)
{
    (void)unused;
    return FX_ONE - fx_exp_neg(y);
}

/* (1 - exp(-y)) / (1 - exp(-k y)): from 1/k at small y to 1. */
static u64 saturation_ratio(u64 y, u64 k)
{
    return fx_ratio(saturation(y, 0), MAX(saturation(MIN(fx_mul(k, y), FX_MAX), 0), 1));
}

u64 policy_dirtied(u64 set, u64 rate, u64 us)
{
    u64 writes = policy_share(rate, us, US_PER_S);

    return set ? fx_mul(set, saturation(fx_ratio(writes, set), 0)) : 0;
}

/* r, from one round and W: U = W (1 - exp(-r t / W)) solved for r. */
static u64 rate_of(const struct policy_round *round, u64 set)
{
    u64 y = bisect(saturation, 0, fx_ratio(round->dirtied, MAX(set, 1)), FX_MAX);

    return policy_share(fx_mul(set, y), US_PER_S, MAX(round->us, 1));
}

/*
 * W, from two rounds of different length: the longer round's set of dirty pages lags behind proportion, and by how much
 * tells how near it is to saturation. If it doesn't lag, W is all of the guest.
 */
static u64 working_set(u64 total, const struct policy_round *a, const struct policy_round *b)
{
    const struct policy_round *shorter = a->us < b->us ? a : b, *longer = a->us < b->us ? b : a;
    u64 k = fx_ratio(longer->us, MAX(shorter->us, 1));
    u64 ratio = fx_ratio(shorter->dirtied, MAX(longer->dirtied, 1));
    u64 y, part;

    if (k < FX_ONE + FX_ONE / 8 || !shorter->dirtied)
        return total;
    if (fx_mul(ratio, k) <= FX_ONE + FX_ONE / 64)
        return total;
    if (ratio >= FX_ONE)
        return MAX(longer->dirtied, shorter->dirtied);
    y = bisect(saturation_ratio, k, ratio, FX_MAX / 2);
    part = MAX(saturation(MIN(fx_mul(k, y), FX_MAX), 0), 1);
    return MIN(policy_share(longer->dirtied, FX_ONE, part), total);
}

/*
 * W as one counts the animals of a wood that step into few traps: how many were never seen follows from those that were
 * seen once and twice (Chao's estimator, in the form that is defined without any seen twice). Pages that are written
 * all the time, stacks and counters, are in more windows than two, and are not taken for a sign of a small set.
 */
void policy_measure(const struct policy_watch *seen, u64 most, u64 *rate, u64 *set)
{
    const struct policy_round all = { .us = seen->us, .dirtied = seen->pages };
    u64 unseen = seen->once ? policy_share((seen->windows - 1) * seen->once, seen->once - 1,
                                           2 * seen->windows * (seen->twice + 1))
                            : 0;

    *set = MAX(MIN(seen->pages + unseen, most), seen->pages);
    *rate = rate_of(&all, *set);
}

/*
 * R: the rate of the last round that was long enough to tell, else the best of all rounds. A round with digests tells
 * less than one without: the time of the digests is known, but not the time for which both ends waited for their turns
 * in between.
 */
static u64 link_rate(const struct policy_stats *stats)
{
    u64 best = 0, digesting = 0;

    for (unsigned i = stats->rounds; i-- > 0;) {
        const struct policy_round *round = &stats->round[i];
        u64 us = round->us - MIN(round->digest_us, round->us);
        u64 rate = MAX(policy_share(round->bytes, US_PER_S, MAX(us, 1)), 1);
        bool tells = round->bytes >= RATE_BYTES;

        if (tells && !round->digest_us)
            return rate;
        if (tells && !digesting)
            digesting = rate;
        best = round->bytes ? MAX(best, rate) : best;
    }
    return digesting ? digesting : best ? best : RATE_UNKNOWN;
}

/* a + b, saturating. */
static u64 add(u64 a, u64 b)
{
    return a + MIN(b, ~a);
}

static u64 transfer_us(const struct policy_stats *stats, u64 pages, u64 rate)
{
    return policy_share(pages * stats->page, US_PER_S, rate);
}

static void predict(const struct policy_stats *stats, struct policy_prediction *p)
{
    const struct policy_round *last = stats->round + stats->rounds - (stats->rounds ? 1 : 0);
    u64 remaining = stats->rounds ? policy_left(last) : stats->total;

    *p = (struct policy_prediction){ .rate = link_rate(stats), .working_set = stats->total };
    p->downtime_us = add(stats->fixed_us,
                         add(transfer_us(stats, remaining, p->rate), policy_share(remaining, stats->digest_ns, 1000)));
    if (!stats->rounds)
        return;
    if (stats->rounds >= 2)
        p->working_set = working_set(stats->total, last - 1, last);
    p->working_set = MAX(p->working_set, remaining);
    p->dirty_rate = rate_of(last, p->working_set);
    p->next = policy_dirtied(p->working_set, p->dirty_rate,
                             transfer_us(stats, remaining - MIN(last->hot, remaining), p->rate));
    /* Of those held back the guest writes the same part as of all others. */
    p->next += last->hot - MIN(policy_share(last->hot, p->next, MAX(p->working_set, 1)), last->hot);
    p->next = MIN(p->next, p->working_set);
    p->converged = fx_mul(p->working_set, fx_converged(fx_ratio(policy_share(p->dirty_rate, stats->page, 1), p->rate)));
}

/* Is `now` no less than `before`, but for a sixteenth? */
static bool no_less(u64 now, u64 before)
{
    return now >= before - before / 16;
}

/* Is there no gain? Another round then leaves as much as this one did, by prediction and by what happened in the last
 * two rounds. A page that is held back for nothing is sent a round later: so the pages that were written count, too. */
static bool stalled(const struct policy_stats *stats, const struct policy_prediction *p)
{
    const struct policy_round *last = &stats->round[stats->rounds - 1];

    if (stats->rounds < 2 || !last->dirtied)
        return false;
    return no_less(p->next, policy_left(last)) && no_less(policy_left(last), policy_left(&last[-1])) &&
           no_less(last->dirtied, last[-1].dirtied);
}

/* Is the expected downtime within the limit? If the fixed cost alone is above the limit, it must be so near that cost
 * that memory hardly matters. */
static bool is_short_enough(const struct policy_settings *settings, const struct policy_stats *stats,
                            const struct policy_prediction *p)
{
    u64 limit_us = settings->downtime_limit * 1000ULL;

    if (p->downtime_us <= limit_us)
        return true;
    return stats->fixed_us >= limit_us && p->downtime_us - stats->fixed_us <= stats->fixed_us / 8;
}

u32 policy_throttle_next(const struct policy_throttle *throttle, u32 percent)
{
    return MIN(percent ? percent + throttle->increment : throttle->initial, throttle->max);
}

void policy_throttle(const struct policy_settings *settings, u64 link, u32 *percent, u64 *write_limit)
{
    if (settings->on_stall == POLICY_STALL_WRITERS)
        *write_limit = MAX((*write_limit ? *write_limit : link) / 2, 1);
    else
        *percent = policy_throttle_next(&settings->throttle, *percent);
}

/* Can the guest be slowed any further? */
static bool may_throttle(const struct policy_settings *settings, const struct policy_stats *stats,
                         const struct policy_prediction *p)
{
    if (settings->on_stall == POLICY_STALL_WRITERS)
        return !stats->write_limit || stats->write_limit > p->rate / stats->page / WRITERS_LEAST;
    return settings->on_stall == POLICY_STALL_THROTTLE && stats->throttle < settings->throttle.max;
}

/* The move does not converge, and is not to be throttled any further. */
static enum policy_verdict stall(const struct policy_settings *settings, struct policy_prediction *prediction)
{
    if (settings->on_stall == POLICY_STALL_POSTCOPY)
        return POLICY_SPLIT;
    prediction->over_limit = true;
    return settings->on_stall == POLICY_STALL_ABORT ? POLICY_ABORT : POLICY_STOP;
}

enum policy_verdict policy_decide(const struct policy_settings *settings, const struct policy_stats *stats,
                                  struct policy_prediction *prediction)
{
    predict(stats, prediction);
    if (!settings->max_rounds)
        return POLICY_STOP;
    if (!stats->rounds)
        return POLICY_CONTINUE;
    if (is_short_enough(settings, stats, prediction))
        return POLICY_STOP;
    prediction->stalled = stalled(stats, prediction);
    if (stats->rounds >= settings->max_rounds)
        return stall(settings, prediction);
    if (!prediction->stalled)
        return POLICY_CONTINUE;
    if (may_throttle(settings, stats, prediction))
        return POLICY_THROTTLE;
    return stall(settings, prediction);
}

u64 policy_dirty_rate(const struct policy_round *round, unsigned rounds)
{
    u64 dirtied = 0, us = 0;

    while (rounds-- > 0 && us < RATE_US) {
        dirtied += round[rounds].dirtied;
        us += round[rounds].us;
    }
    return us ? dirtied * 1000000 / us : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A policy to begin with (docs/labs/4-policy.md): it stops when the rest fits into the limit, or after two rounds.
 * Its contract is policy_decide's of policy/policy.h.
 *
 *     cc -shared -fPIC -I. -o build/lab/mine.so docs/labs/policy.c
 */
#include "policy/policy.h"

#define US_PER_S 1000000ULL

enum policy_verdict policy_decide(const struct policy_settings *settings, const struct policy_stats *stats,
                                  struct policy_prediction *prediction)
{
    const struct policy_round *last;

    *prediction = (struct policy_prediction){ 0 };
    if (!stats->rounds) /* nothing was sent yet */
        return POLICY_CONTINUE;
    last = &stats->round[stats->rounds - 1];
    prediction->rate = last->us ? last->bytes * US_PER_S / last->us : 1;
    prediction->downtime_us = stats->fixed_us;
    if (prediction->rate)
        prediction->downtime_us += policy_left(last) * stats->page * US_PER_S / prediction->rate;
    if (prediction->downtime_us <= settings->downtime_limit * 1000ULL)
        return POLICY_STOP;
    return stats->rounds < 2 ? POLICY_CONTINUE : POLICY_STOP;
}

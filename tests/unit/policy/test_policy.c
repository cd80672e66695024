/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: policy/policy.c policy/predict.c net/bucket.c */
/* The predictor against tables, the verdicts, and the token bucket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "net/bucket.h"
#include "migrate/stats.h"
#include "policy/policy.h"

#define FX(milli) ((milli)*FX_ONE / 1000)

/* Within a thousandth. */
static void near(u64 value, u64 milli)
{
    assert_in_range(value, FX(milli) - FX_ONE / 1000, FX(milli) + FX_ONE / 1000);
}

static void test_exp(void **state)
{
    (void)state;
    assert_int_equal(fx_exp_neg(0), FX_ONE);
    near(fx_exp_neg(FX_ONE), 368);
    near(fx_exp_neg(FX_ONE / 2), 607);
    near(fx_exp_neg(FX_ONE * 3), 50);
    assert_int_equal(fx_exp_neg(FX_ONE * 50), 0);
    for (u64 x = 0; x < 20 * FX_ONE; x += FX_ONE / 37)
        assert_true(fx_exp_neg(x) >= fx_exp_neg(x + FX_ONE / 37));
}

/* Roots of x = 1 - exp(-rho x). */
static void test_converged(void **state)
{
    (void)state;
    assert_int_equal(fx_converged(0), 0);
    assert_int_equal(fx_converged(FX_ONE / 2), 0);
    assert_int_equal(fx_converged(FX_ONE), 0);
    near(fx_converged(FX(1200)), 314);
    near(fx_converged(FX(1500)), 583);
    near(fx_converged(FX(2000)), 797);
    near(fx_converged(FX(3000)), 941);
    near(fx_converged(FX(1000000)), 1000);
}

static void test_dirtied(void **state)
{
    (void)state;
    assert_int_equal(policy_dirtied(0, 1000, 1000), 0);
    assert_in_range(policy_dirtied(10000, 10000, 1000000), 6320, 6322); /* 1 - 1/e */
    assert_in_range(policy_dirtied(1 << 20, 1000, 1000000), 998, 1000); /* far from saturation */
    assert_in_range(policy_dirtied(500, 1000000, 1000000), 499, 500);
    assert_in_range(policy_dirtied(~0ULL >> 8, ~0ULL, ~0ULL), 0, ~0ULL >> 8); /* saturates, no overflow */
}

/* A link of R bytes/s and a guest with W and r: rounds as they would go, until the policy has enough. */
static enum policy_verdict simulate(const struct policy_settings *settings, u64 total, u64 set, u64 rate, u64 link,
                                    unsigned *rounds, struct policy_prediction *p)
{
    struct policy_round round[64] = { { 0 } };
    struct policy_stats stats = { .round = round, .total = total, .page = 4096, .fixed_us = 1000 };
    u64 pages = total;
    enum policy_verdict verdict = policy_decide(settings, &stats, p);

    while (verdict == POLICY_CONTINUE) {
        struct policy_round *now = &round[stats.rounds++];

        now->pages = pages;
        now->bytes = pages * 4096;
        now->us = now->bytes * 1000000 / link + 1;
        now->dirtied = pages = policy_dirtied(set, rate, now->us);
        verdict = policy_decide(settings, &stats, p);
        assert_true(stats.rounds <= settings->max_rounds);
    }
    *rounds = stats.rounds;
    return verdict;
}

static void test_verdicts(void **state)
{
    struct policy_settings settings = { .downtime_limit = 20, .max_rounds = 30, .on_stall = POLICY_STALL_ABORT };
    struct policy_prediction p;
    unsigned rounds;

    (void)state;
    /* Idle: one round. 64 MiB at 40 MiB/s = 10240 pages/s. */
    assert_int_equal(simulate(&settings, 16384, 1000, 10, MiB(40), &rounds, &p), POLICY_STOP);
    assert_int_equal(rounds, 1);
    assert_in_range(p.downtime_us, 1000, 20000);
    /* rho 0.5: halves each round. */
    assert_int_equal(simulate(&settings, 16384, 16384, 5120, MiB(40), &rounds, &p), POLICY_STOP);
    assert_in_range(rounds, 3, 7);
    assert_in_range(p.downtime_us, 1000, 20000);
    assert_in_range(p.dirty_rate, 4600, 5700);
    /* rho 2 of a large set: noticed long before max_rounds, and predicted. */
    assert_int_equal(simulate(&settings, 16384, 8000, 20480, MiB(40), &rounds, &p), POLICY_ABORT);
    assert_true(p.stalled);
    assert_in_range(rounds, 2, 8);
    assert_in_range(p.converged, 8000 * 797 / 1000 * 9 / 10, 8000 * 797 / 1000 * 11 / 10);
    settings.on_stall = POLICY_STALL_STOP;
    assert_int_equal(simulate(&settings, 16384, 8000, 20480, MiB(40), &rounds, &p), POLICY_STOP);
    assert_in_range(p.downtime_us, 500000, 700000); /* 6376 pages at 10240/s */
    assert_true(p.over_limit);
    /* rho 2 of a set that fits the limit: no stall. */
    assert_int_equal(simulate(&settings, 16384, 150, 20480, MiB(40), &rounds, &p), POLICY_STOP);
    assert_false(p.stalled || p.over_limit);
    /* Plain stop-and-copy. */
    settings.max_rounds = 0;
    assert_int_equal(simulate(&settings, 16384, 150, 0, MiB(40), &rounds, &p), POLICY_STOP);
    assert_int_equal(rounds, 0);
    assert_false(p.over_limit);
}

/* Asked for at a stall, up to the most; then it stops. */
static void test_throttle(void **state)
{
    struct policy_settings settings = { .max_rounds = 9,
                                        .on_stall = POLICY_STALL_THROTTLE,
                                        .throttle = { .initial = 20, .increment = 50, .max = 90 } };
    const struct policy_round same = { .pages = 1000, .bytes = 4096000, .us = 100000, .dirtied = 1000 };
    const struct policy_round round[] = { same, same };
    struct policy_stats stats = { .round = round, .rounds = 2, .total = 1 << 20, .page = 4096 };
    struct policy_prediction p;

    (void)state;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_THROTTLE);
    assert_true(p.stalled);
    stats.throttle = 89;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_THROTTLE);
    stats.throttle = 90;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_STOP);
    stats.throttle = 20;
    settings.max_rounds = 2;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_STOP);
    assert_int_equal(policy_throttle_next(&settings.throttle, 0), 20);
    assert_int_equal(policy_throttle_next(&settings.throttle, 20), 70);
    assert_int_equal(policy_throttle_next(&settings.throttle, 70), 90);
    settings.throttle.max = 5;
    assert_int_equal(policy_throttle_next(&settings.throttle, 0), 5);
}

/* Writers are held to half of what the link carries, then to half as much, down to about a 64th; then it stops. */
static void test_writers(void **state)
{
    struct policy_settings settings = { .max_rounds = 9, .on_stall = POLICY_STALL_WRITERS };
    const struct policy_round same = { .pages = 1000, .bytes = 4096000, .us = 100000, .dirtied = 1000 };
    const struct policy_round round[] = { same, same };
    struct policy_stats stats = { .round = round, .rounds = 2, .total = 1 << 20, .page = 4096 };
    struct policy_prediction p;
    unsigned times = 0;

    (void)state;
    for (; policy_decide(&settings, &stats, &p) == POLICY_THROTTLE; times++) {
        assert_int_equal(p.rate / 4096, 10000);
        policy_throttle(&settings, 10000, &stats.throttle, &stats.write_limit);
        assert_int_equal(stats.write_limit, 5000 >> times);
    }
    assert_int_equal(times, 6);
    assert_int_equal(stats.throttle, 0);
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_STOP);
    assert_true(p.over_limit);
}

static void test_max_rounds(void **state)
{
    struct policy_settings settings = { .downtime_limit = 0, .max_rounds = 4, .on_stall = POLICY_STALL_ABORT };
    struct policy_prediction p;
    unsigned rounds;

    (void)state;
    assert_int_equal(simulate(&settings, 1 << 20, 1 << 20, 9000, MiB(40), &rounds, &p), POLICY_ABORT);
    assert_int_equal(rounds, 4);
}

/* Where the fixed cost alone is beyond the limit, rounds end when memory hardly adds to it. */
static void test_limit_out_of_reach(void **state)
{
    const struct policy_settings settings = { .downtime_limit = 5, .max_rounds = 20, .on_stall = POLICY_STALL_ABORT };
    struct policy_round round = { .pages = 20000, .dirtied = 5, .bytes = 20000 * 4096, .us = 1000000 };
    struct policy_stats stats = { .round = &round, .rounds = 1, .total = 65536, .page = 4096, .fixed_us = 20000 };
    struct policy_prediction p;

    (void)state;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_STOP);
    round.dirtied = 500;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_CONTINUE);
}

/* Pages that wait for the last round are sent in the downtime, but not in another round. A page that is left over from
 * before is no stall as long as less is written. */
static void test_hot_pages(void **state)
{
    const struct policy_settings settings = { .downtime_limit = 15, .max_rounds = 20, .on_stall = POLICY_STALL_ABORT };
    struct policy_round round[] = {
        { .pages = 4000, .dirtied = 2000, .bytes = 4000 * 4096, .us = 400000 },
        { .pages = 2000, .dirtied = 1000, .hot = 800, .bytes = 2000 * 4096, .us = 200000 },
    };
    struct policy_stats stats = { .round = round, .rounds = 2, .total = 65536, .page = 4096, .fixed_us = 1000 };
    struct policy_prediction p;

    (void)state;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_CONTINUE);
    assert_int_equal(p.downtime_us, 101000);
    assert_in_range(p.next, 800, 900); /* it takes 20 ms to send 200, in which at most 100 are written */
    round[1] = (struct policy_round){ .pages = 2000, .dirtied = 100, .kept = 1900, .bytes = 2000 * 4096, .us = 200000 };
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_CONTINUE);
    assert_int_equal(p.downtime_us, 201000);
    round[1] = (struct policy_round){ .pages = 2000, .dirtied = 2000, .hot = 100, .bytes = 2000 * 4096, .us = 200000 };
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_ABORT);
}

/* What digests of the last pages take is a part of the downtime; the time in which a live round has digested is none of
 * the link's. */
static void test_digests_count(void **state)
{
    const struct policy_settings settings = { .downtime_limit = 15, .max_rounds = 20, .on_stall = POLICY_STALL_ABORT };
    struct policy_round round = { .pages = 1000, .dirtied = 100, .bytes = 4096000, .us = 100000 };
    struct policy_stats stats = { .round = &round, .rounds = 1, .total = 65536, .page = 4096, .fixed_us = 1000 };
    struct policy_prediction p;

    (void)state;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_STOP);
    assert_int_equal(p.downtime_us, 11000);
    stats.digest_ns = 50000;
    assert_int_equal(policy_decide(&settings, &stats, &p), POLICY_CONTINUE);
    assert_int_equal(p.downtime_us, 16000);
    round.us = 400000;
    round.digest_us = 300000;
    policy_decide(&settings, &stats, &p);
    assert_int_equal(p.downtime_us, 16000);
    round.digest_us = 500000; /* a destination may say anything */
    policy_decide(&settings, &stats, &p);
    assert_int_equal(p.downtime_us, 6000);
}

/* Of a round with digests nobody knows how long both ends have waited for their turns: the rate is that of one before.
 */
static void test_a_round_with_digests_tells_no_rate(void **state)
{
    const struct policy_settings settings = { .downtime_limit = 15, .max_rounds = 20, .on_stall = POLICY_STALL_ABORT };
    struct policy_round round[] = {
        { .pages = 1000, .dirtied = 500, .bytes = 4096000, .us = 100000 },
        { .pages = 500, .dirtied = 100, .bytes = 2048000, .us = 900000, .digest_us = 300000 }
    };
    struct policy_stats stats = { .round = round, .rounds = 2, .total = 65536, .page = 4096, .fixed_us = 1000 };
    struct policy_prediction p;

    (void)state;
    policy_decide(&settings, &stats, &p);
    assert_int_equal(p.rate, 40960000);
    round[0].bytes = 4096; /* too short to tell */
    policy_decide(&settings, &stats, &p);
    assert_int_equal(p.rate, 2048000 * 10 / 6);
}

/* What the prediction says of the rounds that it was made from, however wild these are. */
static void assert_sensible(const struct policy_settings *settings, const struct policy_stats *stats,
                            const struct policy_prediction *p, enum policy_verdict verdict)
{
    const struct policy_round *last = &stats->round[stats->rounds - 1];
    u64 limit_us = settings->downtime_limit * 1000ULL, most = MAX(MAX(stats->total, last[-1].dirtied), last->dirtied);

    assert_true(p->downtime_us >= stats->fixed_us);
    /* It is enough to send what was written last, at the rate that it says. */
    assert_true((unsigned __int128)(p->downtime_us - stats->fixed_us + 1) * p->rate >=
                    (unsigned __int128)last->dirtied * stats->page * 1000000 ||
                p->downtime_us == ~0ULL);
    assert_true(p->working_set >= last->dirtied && p->working_set <= most);
    assert_true(p->next <= p->working_set && p->converged <= p->working_set);
    /* A stop that nobody is warned of keeps the limit, or comes as near as the cost without memory allows. */
    if (verdict == POLICY_STOP && !p->over_limit)
        assert_true(p->downtime_us <= limit_us || p->downtime_us - stats->fixed_us <= stats->fixed_us / 8);
    if (stats->rounds >= settings->max_rounds)
        assert_true(verdict == POLICY_STOP || verdict == POLICY_ABORT);
    assert_true(verdict != POLICY_ABORT || settings->on_stall == POLICY_STALL_ABORT);
    assert_true(verdict != POLICY_THROTTLE || settings->on_stall == POLICY_STALL_THROTTLE);
}

/* Nothing that a guest, a link or a clock can do makes the policy promise what cannot be. */
static void test_extremes(void **state)
{
    static const u64 values[] = { 0, 1, 4096, 1 << 20, 1ULL << 40, ~0ULL >> 13 };
    static const u64 fixed[] = { 0, 900, 5000, ~0ULL >> 13 };
    unsigned n = ARRAY_SIZE(values), seen[4] = { 0 };

    (void)state;
    for (unsigned i = 0; i < n * n * n * n; i++) {
        const struct policy_settings settings = {
            .downtime_limit = i % 5,
            .max_rounds = 2 + i % 7,
            .on_stall = i % 3,
            .throttle = { .initial = 1, .increment = 1, .max = 99 },
        };
        const struct policy_round round[2] = {
            { .dirtied = values[i % n], .bytes = values[i / n % n], .us = values[i / n / n % n] },
            { .dirtied = values[i / n / n / n], .bytes = values[i % n], .us = values[i / n % n] },
        };
        const struct policy_stats stats = {
            .round = round,
            .rounds = 2,
            .total = values[i / n % n],
            .page = 4096,
            .fixed_us = fixed[i % 4],
            .digest_ns = values[i % 3],
        };
        struct policy_prediction p;
        enum policy_verdict verdict = policy_decide(&settings, &stats, &p);

        assert_sensible(&settings, &stats, &p, verdict);
        seen[verdict]++;
    }
    assert_true(seen[POLICY_CONTINUE] && seen[POLICY_STOP] && seen[POLICY_ABORT] && seen[POLICY_THROTTLE]);
}

static void test_bucket(void **state)
{
    struct bucket b;
    u64 now = 5, taken = 0;

    (void)state;
    bucket_init(&b, 1000, 100, now);
    assert_true(bucket_take(&b, 100, now));
    assert_false(bucket_take(&b, 1, now));
    assert_false(bucket_take(&b, 10, now + 9000000));
    assert_true(bucket_take(&b, 10, now + 10000000));
    now += 10000000;
    /* Asked often, at a rate that gives a fraction of a byte each time: none is lost. */
    for (unsigned i = 0; i < 100000; i++) {
        now += 100000;
        taken += bucket_take(&b, 1, now);
    }
    assert_in_range(taken, 9999, 10001);
    /* After a long sleep only the burst is there. */
    now += 1000000000000;
    assert_true(bucket_take(&b, 100, now));
    assert_false(bucket_take(&b, 1, now));
    bucket_set_rate(&b, 0, now);
    assert_true(bucket_take(&b, 1 << 30, now));
}

/* A burst in a round of a few milliseconds is no rate. */
static void test_dirty_rate(void **state)
{
    const struct policy_round round[] = {
        { .dirtied = 900, .us = 2000000 },
        { .dirtied = 40, .us = 90000 },
        { .dirtied = 60, .us = 20000 },
        { .dirtied = 100, .us = 5000 },
    };

    (void)state;
    assert_int_equal(policy_dirty_rate(round, 0), 0);
    assert_int_equal(policy_dirty_rate(round, 1), 450);
    assert_int_equal(policy_dirty_rate(round, 3), 909);
    assert_int_equal(policy_dirty_rate(round, 4), 1739);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_converged),
        cmocka_unit_test(test_dirtied),
        cmocka_unit_test(test_throttle),
        cmocka_unit_test(test_writers),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_max_rounds),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_limit_out_of_reach),
        cmocka_unit_test(test_hot_pages),
        cmocka_unit_test(test_digests_count),
        cmocka_unit_test(test_a_round_with_digests_tells_no_rate),
        cmocka_unit_test(test_dirty_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

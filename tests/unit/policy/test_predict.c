/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: policy/policy.c policy/predict.c */
/* What is said of a move before it is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/predict.h"

#define PAGE 4112
#define LINK 10000 /* pages/s */
#define USED 10000

static struct policy_round room[64];
static struct forecast row[NR_FORECASTS];

static const struct policy_settings settings = { .downtime_limit = 50, .max_rounds = 20, .postcopy_rounds = 1 };

/* A guest that writes rho times what the link carries, to a set of 8000 pages. */
static struct predict_known guest(u64 rho_milli)
{
    return (struct predict_known){
        .pages = 65536,
        .used = USED,
        .dirty_rate = LINK * rho_milli / 1000,
        .working_set = 8000,
        .rate = (u64)LINK * PAGE,
        .rtt_us = 1000,
        .fixed_us = 3000,
        .busy = 1000000,
        .page = PAGE,
    };
}

static void predict(u64 rho_milli)
{
    const struct predict_known known = guest(rho_milli);

    predict_modes(&settings, &known, room, row);
}

/* Each way has its price. */
static void test_an_idle_guest(void **state)
{
    (void)state;
    predict(0);
    assert_int_equal(row[MODE_LIVE].rounds, 1);
    assert_int_equal(row[MODE_LIVE].downtime_us, 5000);
    assert_in_range(row[MODE_LIVE].total_us, 1000000, 1010000);
    assert_int_equal(row[MODE_STOP_COPY].downtime_us, 1005000);
    assert_int_equal(forecast_slowdown(&row[MODE_STOP_COPY]), 100);
    for (enum migrate_mode mode = MODE_LIVE; mode <= MODE_HYBRID; mode++)
        assert_int_equal(row[mode].bytes, USED * PAGE);
    assert_int_equal(row[MODE_DEMAND].bytes, 8000 * PAGE); /* it may touch so many */
    assert_true(row[MODE_DEMAND].total_us == ~0ULL);
    assert_int_equal(row[MODE_POSTCOPY].downtime_us, 5000);
    assert_int_equal(predict_choose(row, true), MODE_LIVE);
}

/* The order of the course's notes: the more a guest writes, the longer it stands by live, and not by post-copy. */
static void test_the_more_it_writes(void **state)
{
    u64 live, postcopy;

    (void)state;
    predict(500);
    assert_true(row[MODE_LIVE].rounds > 3 && !row[MODE_LIVE].over_limit);
    assert_true(row[MODE_LIVE].bytes > row[MODE_STOP_COPY].bytes * 5 / 4);
    assert_int_equal(predict_choose(row, true), MODE_LIVE);
    live = row[MODE_LIVE].downtime_us;
    postcopy = row[MODE_POSTCOPY].downtime_us;
    predict(2000);
    assert_in_range(row[MODE_LIVE].downtime_us, 600000, 700000); /* about 0.797 of 8000 pages */
    assert_true(row[MODE_LIVE].over_limit && row[MODE_LIVE].downtime_us > live);
    assert_int_equal(row[MODE_POSTCOPY].downtime_us, postcopy);
    assert_true(row[MODE_LIVE].downtime_us < row[MODE_STOP_COPY].downtime_us);
    assert_true(row[MODE_LIVE].bytes > row[MODE_HYBRID].bytes && row[MODE_HYBRID].bytes > row[MODE_POSTCOPY].bytes);
    assert_int_equal(row[MODE_HYBRID].rounds, 1);
    assert_true(predict_choose(row, true) == MODE_POSTCOPY || predict_choose(row, true) == MODE_HYBRID);
    assert_int_equal(predict_choose(row, false), MODE_LIVE);
}

/* If most of memory is never written, a live round before the guest is handed over leaves it less to wait for. */
static void test_hybrid_where_a_round_helps(void **state)
{
    struct predict_known known = guest(20000);

    (void)state;
    known.working_set = 1000;
    predict_modes(&settings, &known, room, row);
    assert_true(row[MODE_LIVE].over_limit);
    assert_int_equal(predict_choose(row, true), MODE_HYBRID);
}

/* What on-stall does is in the forecast. */
static void test_on_stall(void **state)
{
    const struct predict_known known = guest(2000);
    struct policy_settings other = settings;

    (void)state;
    other.on_stall = POLICY_STALL_ABORT;
    predict_modes(&other, &known, room, row);
    assert_true(row[MODE_LIVE].fails && row[MODE_LIVE].downtime_us == 0);
    assert_true(predict_choose(row, true) != MODE_LIVE);
    other.on_stall = POLICY_STALL_POSTCOPY;
    predict_modes(&other, &known, room, row);
    assert_false(row[MODE_LIVE].over_limit);
    other.on_stall = POLICY_STALL_THROTTLE;
    other.throttle = (struct policy_throttle){ .initial = 20, .increment = 10, .max = 99 };
    predict_modes(&other, &known, room, row);
    assert_true(row[MODE_LIVE].rounds > 8 && row[MODE_LIVE].lost_us > row[MODE_LIVE].total_us / 5);
}

/* Moves that were made (docs/lab-modes.md, "What a quiet machine says"): a guest that works for 8 % of the time writes
 * to 4101 pages, over a link of 2000 pages a second. Medians of waits and of the percent of its time that it lost. */
static void test_measured_moves(void **state)
{
    static const struct {
        u64 rate;
        enum migrate_mode mode;
        u64 waits, slowdown;
    } move[] = {
        { 0, MODE_POSTCOPY, 4, 1 },        { 0, MODE_HYBRID, 1, 0 },          { 1000, MODE_POSTCOPY, 939, 4 },
        { 1000, MODE_HYBRID, 143, 1 },     { 2400, MODE_POSTCOPY, 1987, 12 }, { 2400, MODE_HYBRID, 1055, 3 },
        { 4000, MODE_POSTCOPY, 1834, 40 }, { 4000, MODE_HYBRID, 1714, 15 },   { 2400, MODE_DEMAND, 3406, 2 },
        { 4000, MODE_DEMAND, 3691, 24 },
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(move) / sizeof(move[0]); i++) {
        const struct predict_known known = {
            .pages = 6144,
            .used = 4122,
            .dirty_rate = move[i].rate,
            .working_set = 4101,
            .rate = 2000 * PAGE,
            .rtt_us = 700,
            .fixed_us = 3000,
            .busy = 80000,
            .page = PAGE,
            .paced = true,
        };
        const struct forecast *said = &row[move[i].mode];

        predict_modes(&settings, &known, room, row);
        assert_in_range(said->waits + 5, move[i].waits * 3 / 4, move[i].waits * 4 / 3 + 5);
        assert_in_range(forecast_slowdown(said) + 12, move[i].slowdown, move[i].slowdown + 24);
    }
}

/* What a guest would have slept it may wait instead; and on a link without a limit it waits for more. */
static void test_what_a_wait_costs(void **state)
{
    struct predict_known known = guest(500);

    (void)state;
    predict(500);
    assert_in_range(forecast_slowdown(&row[MODE_POSTCOPY]), 30, 70); /* it never sleeps */
    known.busy = 100000;
    known.paced = true;
    predict_modes(&settings, &known, room, row);
    assert_in_range(forecast_slowdown(&row[MODE_POSTCOPY]), 20, 50); /* r L is 5 */
    known.dirty_rate = 800;
    predict_modes(&settings, &known, room, row);
    assert_in_range(row[MODE_POSTCOPY].lost_us, 0, 2 * row[MODE_POSTCOPY].downtime_us);
    assert_true(row[MODE_POSTCOPY].waits > 100);
}

/* Watch a guest that writes `rate` pages a second to `pages` pages, and `hot` others all the time, for four times 50
 * ms. */
static void watch(u64 pages, u64 hot, u64 rate, u64 *found_rate, u64 *found_set)
{
    static u8 written[8192];
    static u64 random = 1;
    struct policy_watch seen = { .us = 200000, .windows = 4, .pages = hot };

    memset(written, 0, sizeof(written));
    for (unsigned i = 0; i < 4; i++)
        for (u64 n = 0; n < rate / 20; n++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            written[(random >> 33) % pages] |= (u8)(1U << i);
        }
    for (u64 i = 0; i < pages; i++) {
        unsigned times = (unsigned)__builtin_popcount(written[i]);

        seen.pages += times > 0;
        seen.once += times == 1;
        seen.twice += times == 2;
    }
    policy_measure(&seen, 65536, found_rate, found_set);
}

/* r and W, of guests that write uniformly: the more often they come back to a page, the better is W known. What they
 * write all the time besides does not make it smaller. */
static void test_measure(void **state)
{
    u64 rate, set, sum = 0;

    (void)state;
    watch(8000, 0, 40000, &rate, &set);
    assert_in_range(set, 7500, 8500);
    assert_in_range(rate, 38000, 42000);
    for (unsigned i = 0; i < 100; i++) { /* some 20 pages in two windows */
        watch(4096, 9, 2400, &rate, &set);
        assert_in_range(set, 2000, 11000);
        assert_in_range(rate, 2250, 2650);
        sum += set;
    }
    assert_in_range(sum / 100, 3800, 4700);
    watch(100, 0, 4000, &rate, &set);
    assert_in_range(set, 98, 100);
    watch(1, 0, 0, &rate, &set);
    assert_int_equal(rate, 0);
}

/* Whatever was measured, nothing overflows or goes on for ever. */
static void test_extremes(void **state)
{
    static const u64 values[] = { 0, 1, 4096, 1ULL << 32, ~0ULL >> 16 };
    unsigned n = sizeof(values) / sizeof(values[0]);

    (void)state;
    for (unsigned i = 0; i < n * n * n * n; i++) {
        const struct predict_known known = {
            .pages = values[i % n],
            .used = values[i % n] / 2,
            .dirty_rate = values[i / n % n],
            .working_set = values[i / n / n % n],
            .rate = values[i / n / n / n],
            .rtt_us = values[i % 3],
            .page = PAGE,
        };

        predict_modes(&settings, &known, room, row);
        for (enum migrate_mode mode = 0; mode < NR_FORECASTS; mode++)
            assert_true(row[mode].rounds <= settings.max_rounds && forecast_slowdown(&row[mode]) <= 100);
        assert_true(predict_choose(row, true) < NR_FORECASTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_idle_guest),
        cmocka_unit_test(test_the_more_it_writes),
        cmocka_unit_test(test_hybrid_where_a_round_helps),
        cmocka_unit_test(test_on_stall),
        cmocka_unit_test(test_measured_moves),
        cmocka_unit_test(test_what_a_wait_costs),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_extremes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

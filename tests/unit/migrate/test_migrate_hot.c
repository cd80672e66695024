/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Pages that two rounds in a row have written wait for the last one (hot-pages). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 200000
#define HOT 50 /* pages that the guest writes in every round */

static struct world world;

static struct migrate_settings settings(bool last)
{
    struct migrate_settings settings = world_settings();

    settings.policy.hot_last = last;
    settings.verify = false;
    settings.policy.max_rounds = 6;
    settings.policy.on_stall = POLICY_STALL_THROTTLE; /* by so little that all rounds are made */
    settings.policy.throttle = (struct policy_throttle){ .initial = 1, .increment = 1, .max = 99 };
    return settings;
}

/* Move a guest that writes to few pages all the time; returns the pages that have crossed. Its memory is compared when
 * it begins to run there. */
static u64 moved(const struct migrate_settings *settings)
{
    u64 pages;

    world_init(&world);
    world.writes = 40;
    world.working_set = HOT;
    assert_int_equal(source_start(&world.source, settings), 0);
    world_run(&world, STEPS);
    assert_int_equal(world.source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(&world), 2);
    assert_int_equal(world.source.stats.remaining, 0);
    pages = world.source.stats.normal;
    world_fini(&world);
    return pages;
}

/* What remains to be sent after each round is sent in the next one, or waits, and in the end all is. */
static void assert_nothing_is_forgotten(const struct migrate_stats *stats)
{
    u64 held = 0;

    for (unsigned i = 0; i < stats->rounds; i++) {
        const struct policy_round *round = &stats->round[i];

        assert_true(round->hot <= policy_left(round) && round->kept <= held);
        if (i + 1 < stats->rounds)
            assert_int_equal(round[1].pages + round[1].zero, policy_left(round) - round->hot);
        held = round->hot;
    }
    assert_true(stats->stopped.pages >= held);
}

static void test_they_cross_once_more_and_not_each_round(void **state)
{
    const struct migrate_settings last = settings(true), each = settings(false);
    u64 pages = moved(&each), fewer;

    (void)state;
    for (unsigned i = 0; i < world.source.stats.rounds; i++)
        assert_int_equal(world.source.stats.round[i].hot, 0);
    fewer = moved(&last);
    assert_nothing_is_forgotten(&world.source.stats);
    assert_true(world.source.stats.rounds > 3);
    assert_in_range(world.source.stats.round[1].hot, 1, HOT);
    assert_true(fewer <= pages - 2 * HOT);
}

/* Of a guest that is handed over with its memory behind it they are missing there, too. */
static void test_hybrid(void **state)
{
    struct migrate_settings hybrid = settings(true);

    (void)state;
    hybrid.policy.max_rounds = 3;
    hybrid.policy.on_stall = POLICY_STALL_POSTCOPY;
    hybrid.split = true;
    moved(&hybrid);
    assert_true(world.source.stats.round[world.source.stats.rounds - 1].hot > 0);
    assert_true(world.source.stats.postcopy_bytes >= world.source.stats.round[1].hot * PAGE_SIZE);
}

/* The digests at both ends are of the same memory, though pages that wait were digested while the guest ran. */
static void test_verified(void **state)
{
    struct migrate_settings verified = settings(true);

    (void)state;
    verified.verify = true;
    moved(&verified);
    assert_nothing_is_forgotten(&world.source.stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_cross_once_more_and_not_each_round),
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_verified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

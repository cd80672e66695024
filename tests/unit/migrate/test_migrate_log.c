/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* The dirty log of a move that has ended is ended, too, whatever follows, and a part at a time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 60000

static void move(struct world *w, struct migrate_settings settings)
{
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
}

/* A move was cancelled, and another one is about to begin: the log is still on. */
static void leave_log_on(struct world *w)
{
    struct migrate_settings settings = world_settings();

    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stage != STAGE_ROUND)
        world_step(w);
    assert_int_equal(source_cancel(&w->source), 0);
    assert_true(source_settle(&w->source) && w->source_vm.logging);
}

/* What each round says of the log is what the log has counted, no matter what it had counted before. */
static void test_rounds_have_the_counters(void **state)
{
    struct migrate_settings settings = world_settings();
    struct world *w = malloc(sizeof(*w));
    struct migrate_stats *stats = &w->source.stats;
    struct dirty_counters sum = { 0 };

    (void)state;
    world_init(w);
    w->writes = 3;
    w->source_vm.logged = (struct dirty_counters){ .harvested = 1000, .by_dbit = 2000, .by_fault = 3000 };
    move(w, settings);
    assert_int_equal(stats->status, MIGRATE_COMPLETED);
    assert_true(stats->rounds > 0);
    assert_int_equal(stats->harvests, stats->rounds + 1);
    for (unsigned i = 0; i < stats->rounds; i++) {
        struct dirty_counters round = { 0 };

        migrate_logged(stats, i, i + 1, &round);
        assert_int_equal(round.harvested, stats->round[i].dirtied);
    }
    migrate_logged(stats, 0, stats->harvests, &sum);
    assert_int_equal(sum.harvested, w->source_vm.logged.harvested - 1000);
    assert_int_equal(sum.by_dbit, sum.harvested);
    assert_int_equal(sum.by_fault, 0);
    world_fini(w);
    free(w);
}

/* A move of any kind ends the old log, a part at a time, before it does anything to the guest. */
static void test_old_log_ends_before_a_move_of_any_kind(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    for (int check = 0; check < 2; check++) {
        struct migrate_settings settings = world_settings();
        unsigned parts;

        settings.dry_run = check;
        settings.policy.max_rounds = 0;
        leave_log_on(w);
        assert_int_equal(source_start(&w->source, &settings), 0);
        do {
            parts = w->source_vm.parts;
            world_step(w);
            assert_true(w->source_vm.parts <= parts + 1);
        } while (w->source.stage != (check ? STAGE_TRY_STATE : STAGE_STOP));
        assert_false(w->source_vm.logging);
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        world_fini(w);
    }
    free(w);
}

/* If the next move can not begin, the old log ends all the same, a part at a time. */
static void test_old_log_ends_without_a_move(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    leave_log_on(w);
    w->no_memory = -ENOMEM;
    assert_int_equal(source_start(&w->source, &settings), -ENOMEM);
    assert_int_equal(w->source_vm.parts, 0);
    for (unsigned part = 1; part <= 3; part++) {
        assert_true(source_active(&w->source) && w->source_vm.logging);
        assert_int_equal(source_cancel(&w->source), -ENOENT);
        world_step(w);
        assert_int_equal(w->source_vm.parts, part);
    }
    assert_false(source_active(&w->source) || w->source_vm.logging);
    w->no_memory = 0;
    move(w, settings);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* The log of a move that was cancelled is ended by the next move; cancelled meanwhile, that one ends it, too. */
static void test_cancelled_before_the_old_log_has_ended(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    leave_log_on(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stage != STAGE_START_LOG)
        world_step(w);
    assert_true(w->source_vm.logging);
    assert_int_equal(source_cancel(&w->source), 0);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.status, MIGRATE_CANCELLED);
    assert_true(world_where(w) == 1 && !w->source_vm.logging);
    move(w, settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancelled_before_the_old_log_has_ended),
        cmocka_unit_test(test_old_log_ends_before_a_move_of_any_kind),
        cmocka_unit_test(test_old_log_ends_without_a_move),
        cmocka_unit_test(test_rounds_have_the_counters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

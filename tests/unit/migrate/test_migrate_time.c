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
/* What a guest is told that it stood, when it moves, is what it stood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 100000

/* COMMIT takes its time. */
static void test_the_way_of_commit_is_time(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings;

    (void)state;
    world_init(w);
    w->delay = 40000000;
    w->cap = 1 << 20;
    w->writes = 2;
    settings = world_settings();
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 2);
    assert_in_range(w->source.stats.rtt, 80000000, 82000000);
    assert_in_range(w->dest_vm.paused_ns + 2000000 - (w->dest_vm.ran_at - w->source.stopped), 0, 4000000);
    world_fini(w);
    free(w);
}

/* The first answer came late, as where an emulator or a cache meets all code for the first time: rounds tell better
 * what the switch-over will take. */
static void test_a_round_trip_is_measured_again(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    const struct migrate_stats *stats = &w->source.stats;

    (void)state;
    world_init(w);
    w->delay = 40000000;
    settings.verify = false;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < STEPS && w->source.stage != STAGE_ROUND; i++)
        world_step(w);
    assert_in_range(stats->rtt, 80000000, 82000000);
    w->pipe[0].delay = 4000000;
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 2);
    assert_in_range(stats->rtt, 8000000, 12000000);
    assert_in_range(stats->expected_downtime / 1000, settings.fixed_us + 16000, settings.fixed_us + 26000);
    assert_in_range(stats->downtime, 16000000, 30000000);
    assert_in_range(w->dest_vm.paused_ns + 2000000 - (w->dest_vm.ran_at - w->source.stopped), 0, 4000000);
    world_fini(w);
    free(w);
}

/* Before its log starts, the state of the living guest is saved once, for nothing: the destination sees nothing of it,
 * and when the guest stands, the code for it is warm. */
static void test_the_state_is_rehearsed(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    w->writes = 2;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < STEPS && w->source.stage != STAGE_REHEARSE; i++)
        world_step(w);
    assert_true(w->source_vm.running && !w->source_vm.logging);
    for (unsigned i = 0; i < STEPS && w->source.stage == STAGE_REHEARSE; i++)
        world_step(w);
    assert_true(w->source_vm.running && w->source_vm.logging && w->source_vm.saved == 2);
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 2);
    assert_true(w->source_vm.saved == 4 && w->dest_vm.restored == 2);
    world_fini(w);
    free(w);
}

/* COMMIT gets lost, and TCP says it again after seconds: the guest's clocks go on by them, too. */
static void test_a_late_commit_is_time(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct pipe_direction *way = &w->pipe[0].way[0];

    (void)state;
    world_to_commit(w);
    assert_true(way->used > 0);
    pipe_arrives(way, w->now + 4000000000);
    for (unsigned i = 0; i < STEPS && !w->dest_vm.running; i++)
        world_step(w);
    assert_true(w->dest_vm.running);
    assert_true(w->dest_vm.ran_at - w->source.stopped > 3900000000);
    assert_in_range(w->dest_vm.paused_ns + 2000000 - (w->dest_vm.ran_at - w->source.stopped), 0, 4000000);
    world_run(w, STEPS);
    world_fini(w);
    free(w);
}

/* A way that takes now more time, now less, is no gain for the guest's clocks: PREPARE is there at once, COMMIT is not.
 */
static void test_a_quick_prepare_is_no_time(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct pipe_direction *way = &w->pipe[0].way[0];
    struct migrate_settings settings;

    (void)state;
    world_init(w);
    w->delay = 40000000;
    settings = world_settings();
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < STEPS && (w->source.handoff.state != SOURCE_PREPARING || w->source.say); i++)
        world_step(w);
    assert_true(way->used > 0);
    pipe_arrives(way, w->now);
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 2);
    assert_in_range(w->dest_vm.paused_ns + 2000000 - (w->dest_vm.ran_at - w->source.stopped), 0, 4000000);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_way_of_commit_is_time),  cmocka_unit_test(test_a_round_trip_is_measured_again),
        cmocka_unit_test(test_the_state_is_rehearsed),     cmocka_unit_test(test_a_late_commit_is_time),
        cmocka_unit_test(test_a_quick_prepare_is_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

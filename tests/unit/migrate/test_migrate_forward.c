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
/* Frames that reach the source while the guest stands, or has left, follow it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 60000

/* A frame in every step, so that some come while the guest stands and when it has left: it has each one, once. */
static void test_frames_follow(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    unsigned after = 0;

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (source_active(&w->source)) {
        after += w->source_vm.exists ? 0 : 1;
        if (w->source_vm.end < 200)
            world_frame(w);
        world_step(w);
    }
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_in_range(after, WIRE_FORWARD_MS - 10, WIRE_FORWARD_MS + 10); /* steps of a ms */
    for (unsigned i = 0; i < w->source_vm.end; i++)
        assert_int_equal(w->source_vm.given[i] + w->dest_vm.given[i], 1);
    assert_true(w->source_vm.given[0] && w->dest_vm.given[w->source_vm.end - 1]);
    assert_int_equal(w->source.stats.forwarded, w->dest.incoming[0].stats.frames);
    assert_int_equal(w->source.stats.forwarded, w->dest.incoming[0].stats.delivered);
    /* Its time is that of the move, without what came after it. */
    assert_true(w->source.stats.total_time < w->now - 1000000000 - (WIRE_FORWARD_MS - 10) * 1000000ULL);
    world_fini(w);
    free(w);
}

/* Kept frames are the guest's if it stays after all, and nothing of them is said before RUNNING. */
static void test_frames_come_back(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stage < STAGE_PREPARE) {
        world_step(w);
        world_frame(w);
    }
    assert_true(w->source_vm.first < w->source_vm.end);
    assert_int_equal(source_cancel(&w->source), 0);
    world_run(w, STEPS);
    assert_int_equal(w->source_vm.first, w->source_vm.end);
    for (unsigned i = 0; i < w->source_vm.end; i++)
        assert_int_equal(w->source_vm.given[i], 1);
    assert_int_equal(w->source.stats.forwarded, 0);
    world_fini(w);
    free(w);
}

/* However many frames come, they cost the destination no more than so many records. */
static void test_frames_are_bounded(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (source_active(&w->source)) {
        for (unsigned i = 0; !w->source_vm.exists && i < 100; i++)
            world_frame(w);
        world_step(w);
    }
    assert_int_equal(w->source.stats.forwarded, WIRE_FRAMES);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* A destination that says RUNNING, but whose TCP does not acknowledge what it has got: the source would go on sending
 * it from where the guest's RAM was. It lets go of the connection first, and of the guest's frames with it. */
static void test_memory_that_is_not_acknowledged(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source_vm.exists) {
        w->pipe[0].silent = true;
        world_step(w);
    }
    assert_true(w->pipe[0].closed[0]);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_follow),
        cmocka_unit_test(test_frames_come_back),
        cmocka_unit_test(test_frames_are_bounded),
        cmocka_unit_test(test_memory_that_is_not_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

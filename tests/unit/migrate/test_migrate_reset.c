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
/* A guest that is reset just as it is to stop: what the reset has written goes in a live round, if one is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 60000
#define MAX_ROUNDS 5

static struct world world;

/* Move a guest that asks for a reset when it is about to stop, at most so many times. Returns how many pages were sent
 * while it stood. */
static u64 move(unsigned resets, bool verify)
{
    struct migrate_settings settings = world_settings();
    const struct migrate_stats *stats = &world.source.stats;
    enum stage before = STAGE_IDLE;
    u64 in_rounds = 0;

    world_init(&world);
    settings.policy.max_rounds = MAX_ROUNDS;
    settings.verify = verify;
    assert_int_equal(source_start(&world.source, &settings), 0);
    while (source_active(&world.source)) {
        if (world.source.stage == STAGE_STOP && before != STAGE_STOP && resets > 0 && world_reset(&world))
            resets--;
        before = world.source.stage;
        world_step(&world);
    }
    assert_int_equal(stats->status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(&world), 2);
    assert_int_equal(stats->dirty_sync_count, stats->rounds);
    for (unsigned i = 0; i < stats->rounds; i++)
        in_rounds += stats->round[i].pages + stats->round[i].zero;
    assert_int_equal(in_rounds + stats->stopped.pages + stats->stopped.zero, stats->normal + stats->duplicate);
    return stats->stopped.pages + stats->stopped.zero;
}

static void test_what_a_reset_writes_goes_live(void **state)
{
    (void)state;
    for (int verify = 0; verify < 2; verify++) {
        unsigned rounds;
        u64 pages = move(0, verify);

        rounds = world.source.stats.rounds;
        assert_true(pages < FAKE_PAGES / 4 && rounds < MAX_ROUNDS);
        world_fini(&world);
        assert_true(move(1, verify) < FAKE_PAGES / 4);
        assert_int_equal(world.dest_vm.resets, 1);
        assert_int_equal(world.source.stats.rounds, rounds + 1);
        assert_int_equal(world.source.stats.round[rounds].pages + world.source.stats.round[rounds].zero, FAKE_PAGES);
        world_fini(&world);
    }
}

/* But a guest that is reset for ever does not keep the move going. */
static void test_rounds_are_limited(void **state)
{
    (void)state;
    assert_int_equal(move(100, false), FAKE_PAGES);
    assert_int_equal(world.source.stats.rounds, MAX_ROUNDS);
    assert_in_range(world.dest_vm.resets, 2, MAX_ROUNDS);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_reset_writes_goes_live),
        cmocka_unit_test(test_rounds_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
/* A guest that writes more than the link carries is kept from running until the rounds gain; afterwards it runs freely.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 200000

static struct world world;

static struct migrate_settings throttling(u32 initial, u32 increment, u32 max)
{
    struct migrate_settings settings = world_settings();

    settings.policy.max_rounds = MIGRATE_ROUNDS;
    settings.policy.on_stall = POLICY_STALL_THROTTLE;
    settings.policy.throttle = (struct policy_throttle){ .initial = initial, .increment = increment, .max = max };
    return settings;
}

/* Begin to move a guest whose rounds bring no gain. */
static void begin(const struct migrate_settings *settings)
{
    world_init(&world);
    world.writes = 40;
    world.working_set = 300;
    assert_int_equal(source_start(&world.source, settings), 0);
}

/* Move it; returns the bytes that were left for its downtime. */
static u64 moved(const struct migrate_settings *settings)
{
    u64 bytes;

    begin(settings);
    world_run(&world, STEPS);
    assert_int_equal(world.source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(&world), 2);
    assert_int_equal(world.dest_vm.throttle, 0);
    bytes = world.source.stats.downtime_bytes;
    world_fini(&world);
    return bytes;
}

static void test_it_gains(void **state)
{
    const struct migrate_settings settings = throttling(50, 20, 99);
    struct migrate_settings stop = settings;
    u64 bytes;

    (void)state;
    stop.policy.on_stall = POLICY_STALL_STOP;
    bytes = moved(&stop);
    assert_int_equal(world.source.stats.cpu_throttle, 0);
    assert_true(moved(&settings) < bytes / 2);
    assert_in_range(world.source.stats.cpu_throttle, 50, 99);
}

/* If only writers are held up, the guest runs all the time, and each round shows what it might write. */
static void test_writers_wait(void **state)
{
    struct migrate_settings settings = throttling(20, 10, 99);
    u64 stopped;

    (void)state;
    settings.policy.on_stall = POLICY_STALL_STOP;
    stopped = moved(&settings);
    settings.policy.on_stall = POLICY_STALL_WRITERS;
    assert_true(moved(&settings) < stopped / 3);
    assert_int_equal(world.source.stats.cpu_throttle, 0);
    assert_true(world.source.stats.write_limit > 0);
    assert_int_equal(world.source.stats.round[0].write_limit, 0);
    assert_int_equal(world.source.stats.round[world.source.stats.rounds - 1].write_limit,
                     world.source.stats.write_limit);
    assert_int_equal(world.dest_vm.write_limit, 0);
}

/* Where even the most brings no gain it is stopped all the same. */
static void test_the_most_is_not_enough(void **state)
{
    const struct migrate_settings settings = throttling(1, 2, 3);

    (void)state;
    moved(&settings);
    assert_int_equal(world.source.stats.cpu_throttle, 3);
    assert_true(world.source.stats.prediction.stalled);
}

static void test_cancel_gives_its_time_back(void **state)
{
    const struct migrate_settings settings = throttling(1, 1, 99);

    (void)state;
    begin(&settings);
    for (unsigned i = 0; i < STEPS && !world.source_vm.throttle; i++)
        world_step(&world);
    assert_int_equal(world.source_vm.throttle, 1);
    assert_int_equal(source_cancel(&world.source), 0);
    assert_int_equal(world.source_vm.throttle, 0);
    world_run(&world, STEPS);
    assert_int_equal(world.source.stats.status, MIGRATE_CANCELLED);
    assert_int_equal(world_where(&world), 1);
    world_fini(&world);
}

static void test_cancel_lets_them_write(void **state)
{
    struct migrate_settings settings = throttling(20, 10, 99);

    (void)state;
    settings.policy.on_stall = POLICY_STALL_WRITERS;
    begin(&settings);
    for (unsigned i = 0; i < STEPS && !world.source_vm.write_limit; i++)
        world_step(&world);
    assert_true(world.source_vm.write_limit > 0);
    assert_int_equal(source_cancel(&world.source), 0);
    assert_int_equal(world.source_vm.write_limit, 0);
    world_run(&world, STEPS);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_gains),
        cmocka_unit_test(test_writers_wait),
        cmocka_unit_test(test_the_most_is_not_enough),
        cmocka_unit_test(test_cancel_gives_its_time_back),
        cmocka_unit_test(test_cancel_lets_them_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

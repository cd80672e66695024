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
/* A check and a move of mode auto measure guest and link first; the move takes the mode that suits them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/world.h"

#define STEPS 200000
#define BUSY_PAGES 200 /* that a busy guest writes again and again */

static struct world world;

static struct migrate_settings auto_settings(void)
{
    struct migrate_settings settings = world_settings();

    settings.verify = false;
    settings.choose = true;
    settings.policy.downtime_limit = 10;
    settings.max_bandwidth = 1000 * (WIRE_PAGE + sizeof(struct wire_page)); /* a page in each step */
    return settings;
}

/* Begin to move a guest that has written to BUSY_PAGES pages, and writes so many a step from now on. */
static void begin(const struct migrate_settings *settings, unsigned writes)
{
    world_init(&world);
    world.writes = 20;
    world.working_set = BUSY_PAGES;
    world.busy = 30;
    for (unsigned i = 0; i < 100; i++)
        world_step(&world);
    world.writes = writes;
    assert_int_equal(source_start(&world.source, settings), 0);
}

static void moved(const struct migrate_settings *settings, unsigned writes)
{
    begin(settings, writes);
    world_run(&world, STEPS);
    assert_int_equal(world.source.stats.status, MIGRATE_COMPLETED);
    world_fini(&world);
}

static void test_a_quiet_guest_moves_live(void **state)
{
    const struct migrate_settings settings = auto_settings();
    const struct migrate_stats *stats = &world.source.stats;

    (void)state;
    moved(&settings, 0);
    assert_int_equal(world_where(&world), 2);
    assert_int_equal(stats->chosen, MODE_LIVE);
    assert_true(stats->rounds == 1 && stats->postcopy_bytes == 0);
    assert_non_null(strstr(stats->choice, "live: a downtime of "));
    assert_in_range(stats->known.used, BUSY_PAGES, BUSY_PAGES + 80);
    assert_int_equal(stats->known.dirty_rate, 0);
}

/* What was measured is what it does; and the bytes and the downtime that were said before are those that come. */
static void test_a_busy_guest_is_handed_over(void **state)
{
    const struct migrate_settings settings = auto_settings();
    const struct migrate_stats *stats = &world.source.stats;
    const struct forecast *row;

    (void)state;
    moved(&settings, 4);
    assert_int_equal(world_where(&world), 2);
    assert_true(stats->chosen == MODE_POSTCOPY || stats->chosen == MODE_HYBRID);
    assert_true(stats->postcopy_bytes > 0);
    assert_in_range(stats->known.working_set, BUSY_PAGES * 8 / 10, BUSY_PAGES * 12 / 10);
    assert_in_range(stats->known.dirty_rate, 2500, 6000); /* 4 in each ms */
    assert_in_range(stats->known.rate, 2000000, settings.max_bandwidth);
    assert_true(stats->known.paced);
    assert_in_range(stats->known.busy, 280000, 320000);
    row = &stats->forecast[stats->chosen];
    assert_in_range(stats->transferred, row->bytes * 9 / 10, row->bytes * 11 / 10);
    assert_true(stats->forecast[MODE_LIVE].over_limit && !row->over_limit);
    assert_non_null(strstr(stats->choice, "above the limit of 10"));
}

static void test_verify_leaves_no_choice(void **state)
{
    struct migrate_settings settings = auto_settings();

    (void)state;
    settings.verify = true;
    moved(&settings, 4);
    assert_int_equal(world.source.stats.chosen, MODE_LIVE);
    assert_int_equal(world.source.stats.postcopy_bytes, 0);
}

/* A check says what each mode would be, and leaves guest, log and destination as they were. */
static void test_check(void **state)
{
    struct migrate_settings settings = auto_settings();
    const struct migrate_stats *stats = &world.source.stats;

    (void)state;
    settings.choose = false;
    settings.dry_run = true;
    moved(&settings, 4);
    assert_true(world_where(&world) == 1 && !world.source_vm.logging && !world.dest_vm.exists);
    assert_true(stats->known.rate > 0 && stats->choice[0] == '\0');
    assert_true(stats->forecast[MODE_LIVE].over_limit && !stats->forecast[MODE_POSTCOPY].over_limit);
    assert_int_equal(stats->transferred, 0);
}

/* If somebody else has the log, the check says that it could not watch. */
static void test_the_log_is_in_use(void **state)
{
    struct migrate_settings settings = auto_settings();

    (void)state;
    settings.dry_run = true;
    begin(&settings, 4);
    world.source_vm.logging = true;
    world_run(&world, STEPS);
    assert_int_equal(world.source.stats.status, MIGRATE_COMPLETED);
    assert_true(world.source.stats.known.unwatched && world.source_vm.logging);
    assert_int_equal(world.source.stats.known.dirty_rate, 0);
    world_fini(&world);
}

/* At every step of the measurement the move can be cancelled, and the link break: the guest goes on, without a log. */
static void test_it_ends_at_any_time(void **state)
{
    const struct migrate_settings settings = auto_settings();
    unsigned measured = 0;

    (void)state;
    for (unsigned n = 0; n < 300; n += 7) {
        begin(&settings, 4);
        for (unsigned i = 0; i < n; i++)
            world_step(&world);
        measured += world.source.stage == STAGE_MEASURE;
        if (n % 2)
            world_crash_dest(&world);
        else
            source_cancel(&world.source);
        world.dest_down = n % 2;
        for (unsigned i = 0; i < 8000 && source_active(&world.source); i++)
            world_step(&world);
        if (world.source.stage == STAGE_IDLE)
            assert_true(world_where(&world) != 0 && !world.source_vm.logging);
        world_fini(&world);
    }
    assert_true(measured > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quiet_guest_moves_live), cmocka_unit_test(test_a_busy_guest_is_handed_over),
        cmocka_unit_test(test_verify_leaves_no_choice),  cmocka_unit_test(test_check),
        cmocka_unit_test(test_the_log_is_in_use),        cmocka_unit_test(test_it_ends_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

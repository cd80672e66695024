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
/* What the operator of the destination is told of an attempt: why it has ended, and of a connection that has ended
 * while the copy stays. Each step of a world asserts that who did not come to run here has a reason, and nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/stubs.h"
#include "tests/unit/world.h"

#define STEPS 60000
#define UNKNOWN 0x1234 /* a record that nobody knows */

static struct world world;
static const struct incoming *const in = &world.dest.incoming[0];

/* Begin a move, and go on until the destination is there. */
static void come_to(enum dest_state state, bool check)
{
    struct migrate_settings settings = world_settings();

    settings.dry_run = check;
    world_init(&world);
    assert_int_equal(source_start(&world.source, &settings), 0);
    while (!in->used || in->handoff.state < state)
        world_step(&world);
}

/* The source says this, too. */
static void say(u32 type, const void *body, size_t len)
{
    struct outbox *box = &world.source.outbox;

    while (outbox_flush(box, &world.source.transport))
        dest_step(&world.dest);
    outbox_record(box, type, body, len);
    while (outbox_flush(box, &world.source.transport))
        dest_step(&world.dest);
}

/* The connection of a complete copy ends: one line says so, and the copy has not failed. */
static void test_wrong_record_of_a_complete_copy(void **state)
{
    static const enum dest_state complete[] = { DEST_PREPARED, DEST_RUNNING };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        enum dest_state at = complete[i];
        unsigned lines;

        come_to(at, false);
        lines = stub_log_lines;
        say(UNKNOWN, NULL, 0);
        while (in->session)
            dest_step(&world.dest);
        assert_int_equal(stub_log_lines, lines + 1);
        assert_int_equal(in->handoff.state, at);
        world_run(&world, STEPS);
        assert_int_equal(world_where(&world), 2);
        assert_int_equal(in->error, WIRE_OK);
        world_fini(&world);
    }
}

static void test_prepared_and_idle(void **state)
{
    unsigned lines;
    u64 work = 0;

    (void)state;
    come_to(DEST_PREPARED, false);
    lines = stub_log_lines;
    for (unsigned i = 0; in->session; i++) {
        assert_true(i < 12000);
        world_tick(&world);
        if (i % 1000 == 0)
            say(WIRE_KEEPALIVE, &work, sizeof(work));
        dest_step(&world.dest);
    }
    assert_int_equal(stub_log_lines, lines + 1);
    assert_int_equal(in->handoff.state, DEST_PREPARED);
    world_run(&world, STEPS);
    assert_int_equal(world_where(&world), 2);
    world_fini(&world);
}

/* What happens then is the reason, not what came before. */
static void test_the_last_word_counts(void **state)
{
    (void)state;
    come_to(DEST_PREPARED, false);
    say(UNKNOWN, NULL, 0);
    while (in->session)
        dest_step(&world.dest);
    world.now += 3000000000;
    world_claim(&world, 7, WORLD_OWNER);
    assert_int_equal(in->handoff.state, DEST_ABORTED);
    world_run(&world, STEPS);
    assert_string_equal(in->reason, "its source runs it again");
    world_fini(&world);
}

static void test_higher_epoch(void **state)
{
    (void)state;
    for (enum dest_state at = DEST_RECEIVING; at <= DEST_PREPARED; at++) {
        come_to(at, false);
        world_claim(&world, 20, WORLD_OWNER + 1);
        assert_int_equal(in->handoff.state, DEST_ABORTED);
        assert_string_equal(in->reason, "another machine owns it under a higher epoch");
        world_run(&world, STEPS);
        world_fini(&world);
    }
}

static void test_commit_too_early(void **state)
{
    struct wire_handoff commit = { .epoch = 8 };

    (void)state;
    come_to(DEST_RECEIVING, false);
    say(WIRE_COMMIT, &commit, sizeof(commit));
    while (in->handoff.state == DEST_RECEIVING)
        dest_step(&world.dest);
    assert_int_equal(in->error, WIRE_E_STREAM);
    world_run(&world, STEPS);
    assert_int_equal(world_where(&world), 1);
    world_fini(&world);
}

/* A check that has not come to its end has not found that the guest would be taken. */
static void test_broken_check(void **state)
{
    (void)state;
    come_to(DEST_RECEIVING, true);
    world.pipe[0].broken = true;
    world_run(&world, STEPS);
    assert_true(in->dry_run);
    assert_int_equal(in->error, WIRE_E_LINK);
    world_fini(&world);
}

/* By which mode it moves: as the source was asked. What no source says is not taken for one. */
static void test_mode(void **state)
{
    static const char *const names[] = { "live", "stop-copy", "post-copy", "hybrid", "demand", "cold", "auto" };

    (void)state;
    for (unsigned mode = 0; mode < NR_MODES; mode++) {
        struct migrate_settings settings = world_settings();

        settings.mode = mode;
        world_init(&world);
        assert_int_equal(source_start(&world.source, &settings), 0);
        world_run(&world, STEPS);
        assert_string_equal(migrate_said_mode_name(in->mode), names[mode]);
        assert_int_equal(in->stats.rounds, world.source.stats.rounds);
        world_fini(&world);
    }
    assert_string_equal(migrate_said_mode_name(migrate_said_mode(WIRE_MODE)), "restore");
    assert_string_equal(migrate_said_mode_name(migrate_said_mode(~WIRE_MODE)), "unknown");
    assert_string_equal(migrate_said_mode_name(migrate_said_mode((NR_MODES + 1) << 8)), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_record_of_a_complete_copy),
        cmocka_unit_test(test_prepared_and_idle),
        cmocka_unit_test(test_the_last_word_counts),
        cmocka_unit_test(test_higher_epoch),
        cmocka_unit_test(test_commit_too_early),
        cmocka_unit_test(test_broken_check),
        cmocka_unit_test(test_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

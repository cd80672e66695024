/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c */
/* sources: migrate/dest_stages.c migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c */
/* sources: stream/stash.c stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c dev/sha256.c */
/* sources: tests/unit/world_cold.c tests/unit/fake_kept.c migrate/source_digest.c stream/ram_digest.c */
/* sources: migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c migrate/source_forward.c */
/* sources: migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c stream/record.c stream/crc32c.c */
/* sources: stream/ram.c policy/policy.c policy/predict.c net/bucket.c owners/handoff.c migrate/stats.c */
/* sources: dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c tests/unit/world_memory.c */
/* Whole migrations of a writing guest: it arrives as it was, and whatever breaks, it lives exactly once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "tests/unit/world.h"

#define STEPS 60000

static void move(struct world *w, struct migrate_settings settings)
{
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
}

static void test_live(void **state)
{
    struct world *w = malloc(sizeof(*w));
    const struct migrate_stats *stats = &w->source.stats;

    (void)state;
    world_init(w);
    w->writes = 2;
    move(w, world_settings());
    assert_int_equal(stats->status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    assert_false(w->source_vm.exists);
    assert_true(w->dest_vm.gate_open);
    assert_int_equal(w->announced, 1);
    assert_int_equal(w->dest_vm.paused_ns > 0, 1);
    assert_true(stats->rounds >= 2 && stats->rounds <= 10);
    assert_int_equal(stats->dirty_sync_count, stats->rounds);
    assert_true(stats->duplicate >= FAKE_PAGES - 80 - 50);
    assert_true(stats->round[0].pages + stats->round[0].zero == FAKE_PAGES);
    assert_true(stats->normal >= 80 && stats->normal_bytes == stats->normal * PAGE_SIZE);
    assert_true(stats->wire_bytes < stats->normal_bytes + stats->normal_bytes / 50 + 2000);
    assert_true(stats->downtime > 0 && stats->downtime < stats->total_time);
    /* Small buffers and a writing guest: pages did change on their way, and were sent again. */
    assert_true(w->dest.incoming[0].stats.suspects > 0);
    assert_int_equal(w->source.handoff.epoch, 8);
    world_fini(w);
    free(w);
}

static void test_modes(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    w->writes = 1;
    settings.dry_run = true;
    move(w, settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 1);
    assert_false(w->dest_vm.exists);
    settings.dry_run = false;
    settings.policy.max_rounds = 0; /* stop-and-copy */
    settings.verify = false;
    move(w, settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(w->source.stats.rounds, 0);
    assert_int_equal(world_where(w), 2);
    assert_int_equal(source_start(&w->source, &settings), -EPERM);
    world_fini(w);
    free(w);
}

/* A check does all of a move that may be refused, on the living guest, and leaves nothing behind. */
static void test_check_is_what_a_move_is(void **state)
{
    static const struct {
        enum wire_code create, error;
        bool refuse_restore;
    } cases[] = { { WIRE_OK, WIRE_OK, false },
                  { WIRE_E_MEMORY, WIRE_E_MEMORY, false },
                  { WIRE_OK, WIRE_E_STATE, true } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct world *w = malloc(sizeof(*w));
        struct migrate_settings settings = world_settings();

        world_init(w);
        w->writes = 1;
        w->refuse_create = cases[i].create;
        w->refuse_restore = cases[i].refuse_restore;
        settings.dry_run = true;
        move(w, settings);
        assert_int_equal(w->source.stats.status, cases[i].error ? MIGRATE_FAILED : MIGRATE_COMPLETED);
        assert_int_equal(w->source.stats.error, cases[i].error);
        assert_int_equal(world_where(w), 1);
        assert_true(w->source_vm.running && w->source_vm.gate_open);
        assert_false(w->dest_vm.exists);
        assert_int_equal(w->dest_vm.restored, cases[i].error ? 0 : 2);
        assert_int_equal(w->epochs_noted, 0);
        world_fini(w);
        free(w);
    }
}

/* Epochs are noted, which logs them, when no guest waits for it: COMMIT, or the way back, comes first. */
static void test_no_guest_waits_for_the_log(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    for (unsigned comes_back = 0; comes_back < 2; comes_back++) {
        if (comes_back) {
            world_to_commit(w);
            w->pipe[0].way[0].used = 0; /* and is lost */
            w->pipe[0].broken = true;
            assert_int_equal(source_resolve(&w->source, RESOLUTION_FORCE_RESUME), 0);
            world_run(w, 1000);
        } else {
            world_init(w);
            move(w, world_settings());
        }
        assert_int_equal(world_where(w), comes_back ? 1 : 2);
        assert_true(w->epochs_noted);
        assert_int_equal(w->noted_standing, 0);
        world_fini(w);
    }
    free(w);
}

/* Rounds and phases leave nothing out. */
static void check_sums(const struct migrate_stats *stats)
{
    const struct migrate_phases *p = &stats->phases;
    struct policy_round sum = stats->stopped;

    for (unsigned i = 0; i < stats->rounds; i++) {
        sum.pages += stats->round[i].pages;
        sum.zero += stats->round[i].zero;
        sum.bytes += stats->round[i].bytes;
    }
    assert_int_equal(sum.pages, stats->normal);
    assert_int_equal(sum.zero, stats->duplicate);
    assert_int_equal(sum.bytes, stats->transferred);
    assert_int_equal(p->setup + p->precopy + p->stop + p->final_ram + p->device_state + p->commit, stats->total_time);
    assert_int_equal(stats->setup_time, p->setup);
}

/* What a person who waits is shown: what is left, exactly, and how fast it goes, from the first round on. */
static void test_progress(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    unsigned seen = 0;

    (void)state;
    for (settings.policy.max_rounds = 0; settings.policy.max_rounds < 2; settings.policy.max_rounds++) {
        world_init(w);
        assert_int_equal(source_start(&w->source, &settings), 0);
        while (source_active(&w->source)) {
            const struct migrate_stats *stats = &w->source.stats;

            world_step(w);
            if (w->source.stage != STAGE_ROUND && w->source.stage != STAGE_FINAL_RAM)
                continue;
            seen++;
            if (stats->transferred && !stats->rounds) {
                assert_int_equal(stats->remaining, bitmap_count(w->source.bitmap, FAKE_PAGES) * PAGE_SIZE);
                assert_true(stats->bytes_per_second > 0 && stats->pages_per_second > 0);
            }
        }
        assert_int_equal(w->source.stats.remaining, 0);
        assert_true(w->source.stats.bytes_per_second > 0);
        check_sums(&w->source.stats);
        world_fini(w);
    }
    assert_true(seen > 4);
    free(w);
}

static void test_policy_gives_up(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    char warning[200];

    (void)state;
    world_init(w);
    w->writes = 40;
    w->working_set = 300;
    settings.policy.on_stall = POLICY_STALL_ABORT;
    move(w, settings);
    assert_int_equal(w->source.stats.error, WIRE_E_CONVERGE);
    assert_false(migrate_stall_warning(&w->source.stats, warning, sizeof(warning))); /* it has not stopped */
    assert_int_equal(world_where(w), 1);
    assert_false(w->source_vm.logging || w->dest_vm.exists);
    settings.policy.on_stall = POLICY_STALL_STOP;
    move(w, settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_true(migrate_stall_warning(&w->source.stats, warning, sizeof(warning)));
    assert_non_null(strstr(warning, " ms of downtime expected, above the limit of "));
    assert_non_null(strstr(warning, "on-stall = abort lets it stay, throttle slows it first"));
    world_fini(w);
    world_init(w);
    move(w, settings); /* it writes nothing: that converges */
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_false(migrate_stall_warning(&w->source.stats, warning, sizeof(warning)));
    world_fini(w);
    free(w);
}

/* Where no number could say it, the largest one does. */
static void test_endless_downtime(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    settings.fixed_us = 1ULL << 61; /* times 1000, it is 0 in 64 bits */
    move(w, settings);
    assert_true(w->source.stats.prediction.downtime_us >= settings.fixed_us);
    assert_int_equal(w->source.stats.expected_downtime, ~0ULL - ~0ULL % 1000);
    world_fini(w);
    free(w);
}

static void test_bandwidth(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    const struct migrate_stats *stats = &w->source.stats;

    (void)state;
    world_init(w);
    settings.max_bandwidth = 1000000;
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
    move(w, settings);
    assert_int_equal(stats->status, MIGRATE_COMPLETED);
    /* All but the first burst at that rate. */
    assert_in_range(stats->total_time / 1000000, (stats->transferred - 540000) / 1000, stats->transferred / 1000);
    world_fini(w);
    free(w);
}

/* A limit that is raised during a move is heeded by it. */
static void test_bandwidth_changes(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    settings.max_bandwidth = 1000;
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < 500; i++)
        world_step(w);
    assert_int_equal(w->source.stage, STAGE_ROUND);
    source_limit(&w->source, 20, 1000000000);
    world_run(w, 500);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    source_limit(&w->source, 20, 5); /* of no move */
    world_fini(w);
    free(w);
}

/* What the destination warns of stops nothing and is kept with the move; but it has to be well-formed. */
static void test_warnings(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->accepted = (struct wire_accepted){ .count = 2, .warning = { "a stranger's files", "another clock" } };
    memset(w->accepted.warning[1], 'x', WIRE_REASON); /* without an end */
    move(w, world_settings());
    assert_int_equal(world_where(w), 2);
    assert_int_equal(w->source.stats.accepted.count, 2);
    assert_string_equal(w->source.stats.accepted.warning[0], "a stranger's files");
    assert_int_equal(strlen(w->source.stats.accepted.warning[1]), WIRE_REASON - 1);
    world_fini(w);

    world_init(w);
    w->accepted.count = WIRE_WARNINGS + 1;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_STREAM);
    assert_string_equal(w->source.stats.reason, "malformed acceptance");
    assert_int_equal(world_where(w), 1);
    w->accepted.count = 0;
    move(w, world_settings());
    assert_int_equal(world_where(w), 2);
    assert_int_equal(w->source.stats.accepted.count, 0);
    world_fini(w);
    free(w);
}

static void test_refusals(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->refuse_check = WIRE_E_CPU;
    move(w, world_settings());
    assert_int_equal(w->source.stats.status, MIGRATE_FAILED);
    assert_int_equal(w->source.stats.error, WIRE_E_CPU);
    assert_string_equal(w->source.stats.reason, "the test says so");
    w->refuse_check = WIRE_OK;
    w->refuse_create = WIRE_E_MEMORY;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_MEMORY);
    w->refuse_create = WIRE_OK;
    w->link_down = true;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_LINK);
    w->link_down = false;
    assert_int_equal(world_where(w), 1);
    move(w, world_settings());
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* A move of a guest that writes, n steps after its begin. Returns whether it goes on. */
static bool begin_and_step(struct world *w, const struct migrate_settings *settings, unsigned n)
{
    world_init(w);
    w->writes = 3;
    w->cap = 9000; /* so that the final round takes some steps */
    assert_int_equal(source_start(&w->source, settings), 0);
    for (unsigned i = 0; i < n; i++)
        world_step(w);
    return source_active(&w->source);
}

/* Is this stage over within a step, or one of a check, of a cold move, or of a protected guest (from PROTECTED on)? */
static bool passes_at_once(enum stage stage)
{
    return stage == STAGE_RESERVE || stage == STAGE_START_LOG || stage == STAGE_MEASURE || stage == STAGE_TRY_STATE ||
           stage == STAGE_TRIED || stage == STAGE_RESET || stage == STAGE_WATCH || stage == STAGE_LANE ||
           stage == STAGE_STATE || stage == STAGE_DIGEST || stage == STAGE_FILES || stage == STAGE_SHUTDOWN ||
           stage == STAGE_PROTECTING || (stage >= STAGE_PROTECTED && stage <= STAGE_PARTING);
}

/* Reset after n steps, for every n up to the end: it is done and moves with the guest, or is refused, for it stands. */
static void test_reset_anywhere(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    bool accepted[NR_STAGES] = { false }, refused[NR_STAGES] = { false }, over = false;

    (void)state;
    settings.policy.max_rounds = 3;
    for (unsigned n = 0; !over; n++) {
        enum stage stage;
        bool done;

        over = !begin_and_step(w, &settings, n);
        stage = w->source.stage;
        done = world_reset(w);
        (done ? accepted : refused)[stage] = true;
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(world_where(w), 2);
        assert_int_equal(w->dest_vm.resets, done);
        world_fini(w);
    }
    for (enum stage stage = STAGE_CONNECT; stage <= STAGE_ROUND_WAIT; stage++)
        assert_true(!passes_at_once(stage) == accepted[stage] && !refused[stage]);
    for (enum stage stage = STAGE_PREPARE; stage <= STAGE_COMMIT; stage++)
        assert_true(!passes_at_once(stage) == refused[stage] && !accepted[stage]);
    free(w);
}

/* Cancel after n steps, for every n up to the end; the guest runs at the source at once, and can move again. */
static void test_cancel_anywhere(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    bool seen[NR_STAGES] = { false }, over = false;

    (void)state;
    for (unsigned n = 0; !over; n++) {
        int err;

        over = !begin_and_step(w, &settings, n);
        seen[w->source.stage] = true;
        err = source_cancel(&w->source);
        if (err == 0) {
            assert_true(w->source_vm.running || w->source.stage == STAGE_IDLE);
            if (n % 8 == 4) { /* at once, though its log and last words are left */
                unsigned parts = w->source_vm.parts;

                assert_true(source_settle(&w->source));
                assert_int_equal(w->source_vm.parts, parts); /* the log is ended by the move, a part at a time */
                move(w, settings);
                assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
                world_fini(w);
                continue;
            }
            world_run(w, STEPS);
            assert_int_equal(w->source.stats.status, MIGRATE_CANCELLED);
            assert_int_equal(world_where(w), 1);
            assert_true(w->source_vm.gate_open && !w->source_vm.logging && !w->dest_vm.exists);
            if (n % 8 == 0) {
                move(w, settings);
                assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
            }
        } else {
            assert_int_equal(err, w->source.stage == STAGE_COMMIT ? -EBUSY : -ENOENT);
            world_run(w, STEPS);
            assert_int_equal(world_where(w), 2);
        }
        world_fini(w);
    }
    for (enum stage stage = STAGE_CONNECT; stage <= STAGE_COMMIT; stage++)
        assert_true(seen[stage] || passes_at_once(stage));
    free(w);
}

/* Bytes of each direction in a move that nothing disturbs. */
static void measure(u64 total[2])
{
    struct world *w = malloc(sizeof(*w));

    world_init(w);
    w->writes = 1;
    move(w, world_settings());
    total[0] = w->pipe[0].way[0].total;
    total[1] = w->pipe[0].way[1].total;
    world_fini(w);
    free(w);
}

/* The link breaks after n bytes of one direction; later it comes back, or not. */
static void cut_at(unsigned way, u64 n, bool comes_back)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    world_init(w);
    w->writes = 1;
    w->cut[way] = n;
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (source_active(&w->source) && w->source.stage != STAGE_COMMIT)
        world_step(w);
    w->link_down = true;
    for (unsigned i = 0; i < 100; i++)
        world_step(w);
    if (!comes_back) {
        /* In doubt with all of its memory, or the guest runs in one place: never both lost. */
        w->now += 100 * 1000000000ULL;
        for (unsigned i = 0; i < 10; i++)
            world_step(w);
        assert_true(world_where(w) || (w->source.stage == STAGE_COMMIT && w->source_vm.exists));
    }
    w->link_down = false;
    world_run(w, STEPS * 4);
    assert_int_not_equal(world_where(w), 0);
    w->now += 3000000000; /* a copy that was prepared in vain goes when its owner is heard */
    if (world_where(w) == 1)
        world_claim(w, 7, WORLD_OWNER);
    assert_true(w->source_vm.exists == (world_where(w) == 1) && w->dest_vm.exists == (world_where(w) == 2));
    world_fini(w);
    free(w);
}

static void test_cut_anywhere(void **state)
{
    u64 total[2];

    (void)state;
    measure(total);
    for (u64 n = 1; n < total[0]; n += n < 400 || n + 400 > total[0] ? 7 : 20011)
        cut_at(0, n, n % 2);
    for (u64 n = 1; n < total[1]; n++)
        cut_at(1, n, n % 2);
}

/* One damaged bit anywhere: the guest arrives whole, or stays (world.c compares all of its memory on arrival). */
static void test_flip_anywhere(void **state)
{
    u64 total[2];

    (void)state;
    measure(total);
    for (unsigned way = 0; way < 2; way++)
        for (u64 n = 0; n < total[way]; n += n < 400 || n + 400 > total[way] ? 3 : 9973) {
            struct world *w = malloc(sizeof(*w));

            world_init(w);
            w->writes = 1;
            w->flip[way] = n;
            move(w, world_settings());
            assert_int_not_equal(world_where(w), 0);
            world_fini(w);
            free(w);
        }
}

/* The destination's machine dies after COMMIT: only an operator can tell, and his word is final. */
static void test_dest_crash_in_doubt(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    for (enum resolution way = RESOLUTION_FORCE_RESUME; way <= RESOLUTION_FORCE_GIVE_UP; way++) {
        world_to_commit(w);
        w->dest_down = true;
        world_crash_dest(w);
        for (unsigned i = 0; i < 1000; i++)
            world_step(w);
        assert_int_equal(w->source.stats.status, MIGRATE_IN_DOUBT);
        assert_int_equal(source_cancel(&w->source), -EBUSY);
        w->dest_down = false;
        w->now += 2000000000;
        for (unsigned i = 0; i < 1000; i++)
            world_step(w);
        assert_true(w->source.handoff.lost);
        assert_int_equal(world_where(w), 0);
        assert_int_equal(w->in_doubt_epoch, 8);
        w->dest_down = true; /* the step's own check would miss a running copy */
        assert_int_equal(source_resolve(&w->source, way), 0);
        assert_int_equal(world_where(w), way == RESOLUTION_FORCE_RESUME);
        world_run(w, STEPS);
        assert_int_equal(w->source.handoff.epoch, way == RESOLUTION_FORCE_RESUME ? 8 + EPOCH_FORCE + WORLD_OWNER : 8);
        assert_int_equal(source_resolve(&w->source, way), -ENOENT);
        world_fini(w);
    }
    free(w);
}

/* In doubt because COMMIT got lost: the operator asks for it back, and the destination gives up for good. */
static void test_query_abort(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_to_commit(w);
    w->pipe[0].way[0].used = 0;
    w->pipe[0].broken = true;
    w->link_down = true;
    for (unsigned i = 0; i < 100; i++)
        world_step(w);
    assert_int_equal(w->source.stage, STAGE_COMMIT);
    assert_int_equal(source_resolve(&w->source, RESOLUTION_ABORT), 0);
    w->link_down = false;
    world_run(w, STEPS * 4);
    assert_int_equal(w->source.stats.status, MIGRATE_CANCELLED);
    assert_int_equal(world_where(w), 1);
    assert_false(w->dest_vm.exists);
    move(w, world_settings());
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_no_guest_waits_for_the_log),
        cmocka_unit_test(test_check_is_what_a_move_is),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_policy_gives_up),
        cmocka_unit_test(test_endless_downtime),
        cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_bandwidth_changes),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reset_anywhere),
        cmocka_unit_test(test_cancel_anywhere),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_flip_anywhere),
        cmocka_unit_test(test_dest_crash_in_doubt),
        cmocka_unit_test(test_query_abort),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

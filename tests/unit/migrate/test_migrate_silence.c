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
/* Who says nothing is dead, and who only says that he lives is of no use; who works and has a slow clock is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "migrate/source_parts.h"
#include "tests/unit/world.h"

#define SECOND 1000000000ULL

static void test_silent_peer(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    w->writes = 1;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < 10; i++)
        world_step(w);
    w->dest_down = true;
    for (unsigned i = 0; i < 6000 && source_active(&w->source); i++)
        world_step(w);
    assert_false(source_active(&w->source));
    assert_int_equal(w->source.stats.error, WIRE_E_TIMEOUT);
    assert_int_equal(world_where(w), 1);
    w->dest_down = false;
    world_fini(w);
    free(w);
}

/* A destination whose clock is far behind is heard while it takes pages, however long a round lasts by the source's. */
static void test_slow_clock(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    settings.policy.max_rounds = 3;
    world_init(w);
    w->dest_slow = 100;
    w->writes = 40;
    w->working_set = 300;
    w->cap = 200; /* in a step: a round takes longer than WIRE_DEAD_MS */
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 200000);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_true(w->source.stats.round[1].us > WIRE_DEAD_MS * 1000);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* A destination that takes a page in 30 ms, and digests one in as much: it may, for all that it does shows in
 * its work. */
static void test_slow_destination(void **state)
{
    (void)state;
    for (int contents = 0; contents < 2; contents++) {
        struct world *w = malloc(sizeof(*w));
        struct migrate_settings settings = world_settings();

        world_init(w);
        memset(w->source_vm.memory, contents, FAKE_PAGES * PAGE_SIZE);
        w->page_ns[1] = 30000000;
        settings.policy.max_rounds = 0;
        assert_int_equal(source_start(&w->source, &settings), 0);
        world_run(w, 60000);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        /* Two sections between the pages and their digests, and perhaps ZERO itself. */
        assert_int_equal(w->dest.incoming[0].work, FAKE_PAGES + !contents + 2 + FAKE_PAGES);
        /* Zeros take it no time when they come, and to digest them only where memory is touched. */
        assert_true(w->source.stats.phases.final_ram + w->source.stats.phases.device_state >
                    (contents ? 20 : 5) * SECOND);
        world_fini(w);
        free(w);
    }
}

/* Pages that take the destination long, as the first of their 2 MiB do, keep others waiting for one page at a time. */
static void test_slow_pages_end_a_turn(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    u64 most = 0;

    (void)state;
    world_init(w);
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
    w->page_ns[1] = 2000000;
    settings.policy.max_rounds = 0;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < 60000 && source_active(&w->source); i++) {
        u64 before = w->dest.incoming[0].stats.pages;

        world_step(w);
        most = MAX(most, w->dest.incoming[0].stats.pages - before);
    }
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(most, 1);
    world_fini(w);
    free(w);
}

/* A source that looks at many pages and finds none to send says so, though its clock stands still meanwhile. */
static void test_slow_clock_of_the_source(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    u64 work = 0;
    unsigned said = 0;

    (void)state;
    world_init(w);
    memset(w->source_vm.memory, 0, FAKE_PAGES * PAGE_SIZE);
    settings.policy.max_rounds = 0;
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stage != STAGE_FINAL_RAM)
        world_step(w);
    while (w->source.work < 2 * WIRE_KEEPALIVE_LOOKED && w->source.stage == STAGE_FINAL_RAM) {
        if (w->source.left < FAKE_PAGES / 2) /* as if the guest were bigger */
            source_ram_all(&w->source);
        source_step(&w->source);
        dest_step(&w->dest);
        said += w->dest.incoming[0].peer_work > work;
        work = w->dest.incoming[0].peer_work;
    }
    assert_in_range(said, 1, 2);
    assert_in_range(work, WIRE_KEEPALIVE_LOOKED, 3 * WIRE_KEEPALIVE_LOOKED);
    source_cancel(&w->source);
    world_run(w, 10000);
    world_fini(w);
    free(w);
}

/* A move that has just come to this stage, of which the destination does not know yet; nor will it work any more. */
static struct world *come_to(enum stage stage, struct migrate_settings settings)
{
    struct world *w = malloc(sizeof(*w));

    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (;;) {
        world_tick(w);
        source_step(&w->source);
        if (w->source.stage == stage)
            break;
        assert_true(source_active(&w->source));
        dest_step(&w->dest);
    }
    w->dest_down = true;
    return w;
}

static void say_keepalive(struct world *w, const void *body, size_t len)
{
    struct dest_session *session = &w->dest.session[0];

    assert_int_equal(outbox_flush(&session->outbox, &session->transport), 0);
    outbox_record(&session->outbox, WIRE_KEEPALIVE, body, len);
    assert_int_equal(outbox_flush(&session->outbox, &session->transport), 0);
}

/* The destination says that it lives, and nothing of its work, for so long or until the source loses patience. Returns
 * how long that was. */
static u64 only_lives(struct world *w, u64 ns)
{
    const struct pipe *pipe = &w->pipe[w->pipes - 1];
    enum stage stage = w->source.stage;
    u64 began = w->now, said = w->source.peer_work, long_body[2] = { said + 1 }, back = said ? said - 1 : 0;
    const struct {
        const void *body;
        size_t len;
    } says[] = { { &said, sizeof(said) }, { &back, sizeof(back) }, { NULL, 0 }, { long_body, sizeof(long_body) } };

    for (unsigned i = 0; w->source.stage == stage && !pipe->closed[0] && w->now - began < ns; i++) {
        if (i % 500 == 0)
            say_keepalive(w, says[i / 500 % ARRAY_SIZE(says)].body, says[i / 500 % ARRAY_SIZE(says)].len);
        world_step(w);
    }
    return w->now - began;
}

/* In a stage in which the source waits for it, a destination that only lives is given up after 10 s; one that gets on
 * has 10 s more. */
static void requires_progress(struct world *w)
{
    const enum stage stage = w->source.stage;

    for (unsigned i = 0; i < 5; i++) {
        u64 work = w->source.peer_work + 1;

        assert_int_equal(only_lives(w, 9 * SECOND), 9 * SECOND);
        assert_int_equal(w->source.stage, stage);
        say_keepalive(w, &work, sizeof(work));
        world_step(w);
    }
    assert_in_range(only_lives(w, 60 * SECOND), 10 * SECOND, 10 * SECOND + 10000000);
}

static void test_progress_is_required(void **state)
{
    static const struct {
        enum stage stage;
        unsigned rounds;
        bool dry_run;
    } waits[] = { { STAGE_TRIED, 10, true },
                  { STAGE_ROUND, 10, false },
                  { STAGE_ROUND_WAIT, 10, false },
                  { STAGE_FINAL_RAM, 0, false },
                  { STAGE_PREPARE, 10, false } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(waits); i++) {
        struct migrate_settings settings = world_settings();
        struct world *w;

        settings.policy.max_rounds = waits[i].rounds;
        settings.dry_run = waits[i].dry_run;
        w = come_to(waits[i].stage, settings);
        requires_progress(w);
        assert_int_equal(w->source.stats.error, WIRE_E_TIMEOUT);
        assert_string_equal(w->source.stats.reason, "the destination has done nothing for 10 s");
        assert_int_equal(world_where(w), 1);
        w->dest_down = false;
        world_run(w, 2000);
        assert_false(w->dest_vm.exists);
        world_fini(w);
        free(w);
    }
}

/* In doubt the source does not decide: it asks anew. */
static void test_progress_is_required_in_doubt(void **state)
{
    struct world *w = come_to(STAGE_COMMIT, world_settings());

    (void)state;
    requires_progress(w);
    assert_int_equal(w->source.stage, STAGE_COMMIT);
    assert_int_equal(w->source.handoff.state, SOURCE_IN_DOUBT);
    assert_int_equal(world_where(w), 0);
    w->dest_down = false;
    world_run(w, 2000);
    assert_int_equal(w->pipes, 2);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* While the source itself is at work, here to stop a guest that does not stop, its destination has nothing to do. */
static void test_nothing_to_do(void **state)
{
    struct world *w = come_to(STAGE_STOP, world_settings());

    (void)state;
    w->source_vm.reset_wanted = w->source_vm.running = true;
    for (unsigned i = 0; i < 30000; i++) {
        if (i % 1000 == 0)
            say_keepalive(w, &w->source.peer_work, sizeof(w->source.peer_work));
        world_tick(w);
        source_step(&w->source);
        assert_int_equal(w->source.stage, STAGE_STOP);
    }
    assert_int_equal(source_cancel(&w->source), 0);
    w->dest_down = false;
    world_run(w, 2000);
    assert_int_equal(world_where(w), 1);
    world_fini(w);
    free(w);
}

/* Nor does the destination lose patience: that the guest is being stopped, for a move or for a check, is work. */
static void test_long_reset(void **state)
{
    (void)state;
    for (int check = 0; check < 2; check++) {
        struct world *w = malloc(sizeof(*w));
        struct migrate_settings settings = world_settings();

        world_init(w);
        settings.dry_run = check;
        assert_int_equal(source_start(&w->source, &settings), 0);
        while (w->source.stage != (check ? STAGE_TRY_STATE : STAGE_STOP))
            world_step(w);
        for (u64 until = w->now + 30 * SECOND; w->now < until;) {
            w->source_vm.reset_wanted = w->source_vm.running = true;
            world_tick(w);
            source_step(&w->source);
            dest_step(&w->dest);
        }
        w->source_vm.reset_wanted = false;
        world_run(w, 20000);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(world_where(w), check ? 1 : 2);
        assert_true(w->dest_vm.paused_ns < SECOND); /* its clocks went on while it was reset */
        world_fini(w);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_slow_clock),
        cmocka_unit_test(test_slow_destination),
        cmocka_unit_test(test_slow_pages_end_a_turn),
        cmocka_unit_test(test_slow_clock_of_the_source),
        cmocka_unit_test(test_progress_is_required),
        cmocka_unit_test(test_progress_is_required_in_doubt),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_long_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

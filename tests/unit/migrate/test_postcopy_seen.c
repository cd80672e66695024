/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: tests/unit/postcopy_rig.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* What is seen of a guest in two halves, what its operator may want, and what its connections may carry. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "migrate/source_parts.h"
#include "tests/unit/postcopy_rig.h"
#include "tests/unit/world_cold.h"

/* The operator may say at the destination, too, that all of it shall come; and if the link breaks before the source
 * has heard that, it hears it when the link is back. */
static void test_pull_there(void **state)
{
    struct migrate_settings settings = split_settings(0);

    (void)state;
    settings.demand = true;
    for (unsigned cut = 0; cut < 2; cut++) {
        struct world *w = begin(settings);

        assert_int_equal(dest_pull(&w->dest, &w->dest_vm), -ENOENT);
        while (w->dest.incoming[0].handoff.state != DEST_INCOMPLETE || w->source.stage != STAGE_SERVE)
            world_step(w);
        assert_int_equal(dest_pull(&w->dest, &w->dest_vm), 0);
        if (cut) {
            world_tick(w);
            dest_step(&w->dest);
            for (unsigned i = 0; i < w->pipes; i++) {
                w->pipe[i].way[1].used = 0; /* PULL is lost */
                w->pipe[i].broken = true;
            }
        }
        world_run(w, STEPS);
        assert_arrived(w);
        assert_int_equal(w->source.stats.recoveries, cut);
        end(w);
    }
}

/* What the guest waits for comes next, though the push is about to send it, too: each page in a turn of its own. */
static void test_wanted_comes_first(void **state)
{
    struct world *w = begin_slow(false);
    u64 turn = WIRE_PAGE * 1000000000ULL / 400000;
    unsigned page, waits = 0;

    (void)state;
    w->writes = 0;
    for (unsigned i = 0; i < 40; i++) /* what it wanted itself comes */
        world_step(w);
    for (page = 0; w->dest_vm.nr_missing > 100; waits++) {
        u64 wanted;

        for (unsigned i = 0; i < 5 + waits % 40; i++)
            world_step(w);
        while (!w->dest_vm.missing[page])
            page++;
        w->dest_vm.missing[page] = FAKE_WANTED;
        wanted = w->now;
        while (w->dest_vm.missing[page])
            world_step(w);
        assert_in_range(w->now - wanted, 0, 2 * turn);
    }
    assert_true(waits > 20);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* While its memory comes, either end says how much is missing, and for how long. */
static void test_what_is_left(void **state)
{
    struct world *w = begin_slow(false);
    u64 begun, here, there, ms[2];

    (void)state;
    w->writes = 0;
    while (w->dest_vm.supplied < 100)
        world_step(w);
    begun = w->now;
    here = source_missing(&w->source, &ms[0]);
    there = dest_missing(&w->dest, dest_find(&w->dest, &w->dest_vm, DEST_INCOMPLETE), &ms[1]);
    assert_int_equal(there, w->dest_vm.nr_missing * PAGE_SIZE);
    assert_true(here >= there && here <= there + WIRE_BATCH * PAGE_SIZE); /* what is on its way */
    while (w->source.stats.status != MIGRATE_COMPLETED)
        world_step(w);
    assert_true(w->source.stats.wire_bytes > w->source.stats.transferred); /* at once, by both connections */
    world_run(w, STEPS);
    assert_smooth(w);
    for (unsigned i = 0; i < 2; i++)
        assert_in_range(ms[i], (w->now - begun) / 1300000, (w->now - begun) / 700000);
    end(w);
}

/* What was sent and asked for in the course of time, however long that was, is kept in a few samples. */
static void test_progress(void **state)
{
    struct world *w = begin_slow(false);
    const struct migrate_stats *stats = &w->source.stats;

    (void)state;
    world_run(w, STEPS);
    assert_in_range(stats->samples, POSTCOPY_SAMPLES / 2, POSTCOPY_SAMPLES);
    assert_int_equal(stats->progress[0].ns, 0);
    assert_int_equal(stats->progress[0].requests, 0);
    for (unsigned i = 1; i < stats->samples; i++) {
        assert_true(stats->progress[i].ns > stats->progress[i - 1].ns);
        assert_true(stats->progress[i].pages >= stats->progress[i - 1].pages);
    }
    assert_true(stats->progress[stats->samples - 1].ns > stats->phases.postcopy / 10 * 9);
    assert_int_equal(stats->postcopy_requests, w->dest.incoming[0].stats.wanted); /* one meaning at either end */
    end(w);
}

/* A wish for post-copy that may not come true is refused, and the move goes on. */
static void test_wish_refused(void **state)
{
    struct migrate_settings settings = split_settings(10);
    struct world *w;

    (void)state;
    settings.split = false;
    w = begin(settings);
    assert_int_equal(source_start_postcopy(&w->source), -EAGAIN); /* who knows what the destination can do? */
    while (w->source.stage < STAGE_RESERVE)
        world_step(w);
    w->source.peer_features = 0;
    assert_int_equal(source_start_postcopy(&w->source), -ENOTSUP);
    world_run(w, STEPS);
    assert_smooth(w);
    assert_int_equal(w->dest_vm.supplied, 0);
    end(w);
}

/* No memory of a cold move could follow the guest, so the wish is refused at every step of it. */
static void test_wish_of_a_cold_move(void **state)
{
    struct world *w = begin((struct migrate_settings){ .cold = true });

    (void)state;
    world_files(0, false);
    w->shuts_down = 30;
    while (source_active(&w->source)) {
        assert_int_not_equal(source_start_postcopy(&w->source), 0);
        world_step(w);
    }
    world_run(w, STEPS);
    assert_arrived(w);
    end(w);
}

/* The second connection breaks when COMMIT is said: nothing was lost with it, and nobody waits a second for another. */
static void test_lane_breaks_early(void **state)
{
    struct world *w = begin(split_settings(0));
    u64 committed;

    (void)state;
    while (w->source.stage != STAGE_COMMIT)
        world_step(w);
    w->now += 2 * WIRE_RETRY_MS * 1000000ULL; /* it was opened long ago */
    w->pipe[1].broken = true;
    committed = w->now;
    world_run(w, STEPS);
    assert_smooth(w);
    assert_true(w->now - committed < WIRE_RETRY_MS * 1000000ULL);
    assert_true(w->source.stats.postcopy_requests > 0);
    end(w);
}

/* What is wanted keeps to the bandwidth, too, and goes before what is not. */
static void test_bandwidth(void **state)
{
    struct world *w = begin_slow(true);
    u64 began = w->now, before = w->source.stats.postcopy_bytes;

    (void)state;
    for (unsigned i = 0; i < FAKE_PAGES; i++)
        if (w->dest_vm.missing[i])
            w->dest_vm.missing[i] = FAKE_WANTED;
    assert_int_equal(source_pull(&w->source), 0);
    while (w->source.stats.postcopy_bytes < 1000000) {
        world_step(w);
        assert_true(w->source.stats.postcopy_bytes - before <= (w->now - began) / 2500 + 1);
        /* Somebody waits for it: the source does not sleep before it may be sent. */
        if (w->source.lane->batch.pages && outbox_empty(&w->source.lane->outbox))
            assert_true(source_step(&w->source));
    }
    assert_true((w->now - began) / 2500 < 1100000); /* and it is used */
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* How long the destination's turns are while pages come that nobody has asked for. */
static u64 turn_ns(struct world *w)
{
    u64 began;

    w->look_ns = 0;
    for (unsigned i = 0; i < 20; i++) {
        world_tick(w);
        source_step(&w->source);
    }
    w->look_ns = 20000;
    began = w->now;
    dest_step(&w->dest);
    return w->now - began;
}

/* While something waits, the destination does not look away for long from what brings its page. */
static void test_turns_are_short_for_who_waits(void **state)
{
    struct world *w = begin(split_settings(0));
    u64 nobody;

    (void)state;
    memset(w->source_vm.memory, 7, FAKE_PAGES * PAGE_SIZE);
    w->writes = 0;
    w->cap = 200000;
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    nobody = turn_ns(w);
    assert_int_equal(w->dest_vm.missing[FAKE_PAGES - 1], FAKE_MISSING);
    w->dest_vm.missing[FAKE_PAGES - 1] = FAKE_WANTED; /* it is not among those that come now */
    assert_in_range(turn_ns(w), 0, nobody / 2);
    w->look_ns = 0;
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* When a page was wanted, those on both sides of it come next: what uses one of them uses others. */
static void test_neighbours(void **state)
{
    struct world *w = begin_slow(true);
    u8 before[FAKE_PAGES];

    (void)state;
    w->writes = 0;
    for (unsigned i = 0; i < 100; i++) /* what it has asked for comes */
        world_step(w);
    memcpy(before, w->dest_vm.missing, sizeof(before));
    w->dest_vm.missing[200] = FAKE_WANTED;
    while (w->dest_vm.missing[200])
        world_step(w);
    assert_int_equal(source_pull(&w->source), 0);
    for (unsigned supplied = w->dest_vm.supplied; w->dest_vm.supplied < supplied + 40;)
        world_step(w);
    for (unsigned page = 0; page < FAKE_PAGES; page++)
        if (page / 64 != 200 / 64)
            assert_int_equal(w->dest_vm.missing[page], before[page]);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* A check of a move by post-copy asks whether the destination knows how, and moves nothing. */
static void test_check(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;

    (void)state;
    settings.dry_run = true;
    w = begin(settings);
    while (w->source.stage < STAGE_RESERVE)
        world_step(w);
    assert_int_equal(w->dest.session[0].inbox.header.required, WIRE_FEATURE_POSTCOPY);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 1);
    assert_int_equal(w->pipes, 1);
    end(w);
}

/* Note in *seen, bits of enum migrate_status, what the destination says of its guest. Returns the last of these. */
static enum migrate_status look_there(struct world *w, unsigned *seen)
{
    enum migrate_status status = dest_fill_status(dest_find(&w->dest, &w->dest_vm, DEST_INCOMPLETE));

    *seen |= 1u << status;
    return status;
}

/* A connection that breaks is made anew at once; but one that has not held for a second, a second after it was made.
 * Until the destination has said what it misses, that is what it was. Meanwhile the destination says that nothing
 * comes, and then that it is about to. */
static void test_back_at_once(void **state)
{
    struct world *w = begin_slow(true);
    u64 ms;

    (void)state;
    for (unsigned i = 0; i < 2 * WIRE_RETRY_MS; i++)
        world_step(w);
    for (unsigned cuts = 0; cuts < 2; cuts++) {
        u64 broke = w->now;
        unsigned seen = 0;

        w->cap = 512; /* of the next connections: the destination cannot say at once what it misses */
        assert_int_equal(look_there(w, &seen), MIGRATE_POSTCOPY_ACTIVE);
        for (unsigned i = 0; i < w->pipes; i++)
            w->pipe[i].broken = true;
        while (w->source.stats.recoveries == cuts) {
            world_step(w);
            assert_true(source_missing(&w->source, &ms) >= w->dest_vm.nr_missing * PAGE_SIZE);
            look_there(w, &seen);
        }
        while (look_there(w, &seen) != MIGRATE_POSTCOPY_ACTIVE)
            world_step(w);
        assert_int_equal(seen, 1u << MIGRATE_POSTCOPY_ACTIVE | 1u << MIGRATE_POSTCOPY_PAUSED |
                                   1u << MIGRATE_POSTCOPY_RECOVER);
        assert_int_equal(w->now - broke > WIRE_RETRY_MS * 1000000ULL / 2, cuts == 1);
    }
    assert_int_equal(source_pull(&w->source), 0);
    world_run(w, STEPS);
    assert_arrived(w);
    end(w);
}

/* A destination that notes what is missing says how far it has got. */
static void test_missing_is_work(void **state)
{
    struct world *w = begin(split_settings(0));

    (void)state;
    while (!w->dest.incoming[0].stats.missing)
        world_step(w);
    assert_int_equal(w->dest.incoming[0].stats.pages, 0);
    assert_true(w->dest.incoming[0].work > 20);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pull_there),
        cmocka_unit_test(test_what_is_left),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_wish_refused),
        cmocka_unit_test(test_lane_breaks_early),
        cmocka_unit_test(test_bandwidth),
        cmocka_unit_test(test_missing_is_work),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_back_at_once),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_wanted_comes_first),
        cmocka_unit_test(test_turns_are_short_for_who_waits),
        cmocka_unit_test(test_wish_of_a_cold_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

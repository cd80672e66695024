/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: tests/unit/postcopy_rig.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Guests that run at the destination before their memory is there. world.c compares each page with the source's. */
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

static void test_all_behind(void **state)
{
    struct world *w = begin(split_settings(0));
    const struct migrate_stats *stats = &w->source.stats;

    (void)state;
    w->look_ns = 1;
    world_run(w, STEPS);
    assert_smooth(w);
    assert_int_equal(stats->rounds, 0);
    assert_int_equal(w->dest_vm.supplied, w->dest.incoming[0].stats.missing);
    assert_true(w->dest_vm.supplied >= 80);        /* all that has contents */
    assert_true(w->dest_vm.supplied < FAKE_PAGES); /* but nothing that nobody has used */
    assert_true(stats->postcopy_requests > 0);     /* the guest did not wait for its turn */
    assert_int_equal(stats->precopy_bytes, 0);
    assert_true(stats->postcopy_bytes >= 80 * PAGE_SIZE);
    assert_true(stats->downtime < stats->total_time / 2);
    assert_int_equal(w->announced, 1);
    end(w);
}

/* Rounds first: what was sent, and written since, is missing again. */
static void test_hybrid(void **state)
{
    struct world *w = begin(split_settings(2));

    (void)state;
    world_run(w, STEPS);
    assert_smooth(w);
    assert_int_equal(w->source.stats.rounds, 2);
    assert_true(w->dest_vm.supplied > 0 && w->dest_vm.supplied < 320);
    end(w);
}

/* Nothing comes unasked, until the operator wants all of it. */
static void test_demand(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;
    u64 ms;

    (void)state;
    settings.demand = true;
    w = begin(settings);
    w->working_set = 20;
    for (unsigned i = 0; i < 3000; i++)
        world_step(w);
    assert_int_equal(w->source.stage, STAGE_SERVE);
    assert_int_equal(w->source.stats.status, MIGRATE_POSTCOPY_ACTIVE);
    assert_int_equal(w->dest_vm.supplied, w->source.stats.postcopy_requests);
    assert_true(w->dest_vm.supplied > 0 && w->dest_vm.supplied <= 20);
    assert_true(w->dest_vm.counter > 1000);
    assert_int_equal(dest_missing(&w->dest, dest_find(&w->dest, &w->dest_vm, DEST_INCOMPLETE), &ms),
                     w->dest_vm.nr_missing * PAGE_SIZE);
    assert_int_equal(ms, LEFT_UNASKED);
    assert_int_equal(source_missing(&w->source, &ms), w->dest_vm.nr_missing * PAGE_SIZE);
    assert_int_equal(ms, LEFT_UNASKED);
    assert_int_equal(source_pull(&w->source), 0);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* In the middle of a live round, and in each later step before the guest stops. */
static void test_start_postcopy(void **state)
{
    (void)state;
    for (unsigned n = 0, went = 0; n < 200; n += 3) {
        struct migrate_settings settings = split_settings(10);
        struct world *w;
        int err;

        settings.split = false;
        settings.policy.downtime_limit = 0;
        w = begin(settings);
        for (unsigned i = 0; i < n && source_active(&w->source); i++)
            world_step(w);
        err = source_start_postcopy(&w->source);
        went += !err;
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(world_where(w), 2);
        if (!err)
            assert_smooth(w);
        assert_true(n < 197 || went > 20);
        end(w);
    }
}

static void test_on_stall(void **state)
{
    struct migrate_settings settings = split_settings(10);
    struct world *w;

    (void)state;
    settings.split = false;
    settings.policy.on_stall = POLICY_STALL_POSTCOPY;
    w = begin(settings);
    w->writes = 40;
    world_run(w, STEPS);
    assert_smooth(w);
    assert_true(w->dest_vm.supplied > 0);
    end(w);
}

/* Bytes that each connection carries, each way, in a move that nothing disturbs. */
static void measure(struct migrate_settings settings, u64 total[2][2])
{
    struct world *w = begin(settings);

    world_run(w, STEPS);
    for (unsigned i = 0; i < 4; i++)
        total[i / 2][i % 2] = w->pipe[i / 2].way[i % 2].total;
    end(w);
}

/* Steps until a connection breaks, or the move is over; the link is then down for a while. */
static void step_to_break(struct world *w)
{
    while (source_active(&w->source) && !w->pipe[w->accident].broken)
        world_step(w);
    w->link_down = true;
    for (unsigned i = 0; i < 50; i++)
        world_step(w);
    if (w->source.stage == STAGE_SERVE)
        assert_int_equal(w->source.stats.status, MIGRATE_POSTCOPY_PAUSED);
    w->link_down = false;
}

/* One connection breaks after n bytes of one direction. Returns whether the guest came through that. */
static bool cut_at(struct migrate_settings settings, unsigned pipe, unsigned way, u64 n)
{
    struct world *w = begin(settings);
    bool arrived;

    w->accident = pipe;
    w->cut[way] = n;
    step_to_break(w);
    world_run(w, STEPS);
    assert_int_not_equal(world_where(w), 0);
    arrived = world_where(w) == 2;
    if (arrived)
        assert_arrived(w);
    else
        assert_true(w->source_vm.running && w->source_vm.gate_open);
    end(w);
    return arrived;
}

static void cut_anywhere(struct migrate_settings settings)
{
    u64 total[2][2];
    unsigned arrived[2] = { 0 };

    measure(settings, total);
    for (unsigned pipe = 0; pipe < 2; pipe++)
        for (unsigned way = 0; way < 2; way++)
            for (u64 n = 1, all = total[pipe][way]; n < all; n += all < 5000                   ? 7
                                                                  : n < 2000 || n + 2000 > all ? 53
                                                                                               : 2011)
                arrived[pipe] += cut_at(settings, pipe, way, n);
    assert_true(arrived[0] > 50 && arrived[1] > 50);
}

static void test_cut_anywhere(void **state)
{
    struct migrate_settings settings = split_settings(0);

    (void)state;
    cut_anywhere(settings);
    cut_anywhere(split_settings(1));
}

/* The link breaks again and again, each time after a part of what is missing has come. */
static void test_cut_often(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct world *w = begin(split_settings(0));

        while (w->source.stage != STAGE_SERVE)
            world_step(w);
        for (unsigned cuts = 0; cuts < 12 && source_active(&w->source); cuts++) {
            for (unsigned i = 0; i < 2 + (seed + cuts) % 5; i++)
                world_step(w);
            for (unsigned i = 0; i < w->pipes; i++)
                w->pipe[i].broken = true;
            w->now += 2 * WIRE_RETRY_MS * 1000000ULL;
        }
        world_run(w, STEPS);
        assert_arrived(w);
        assert_true(w->source.stats.recoveries > 3);
        assert_int_equal(w->source.stats.recoveries, w->dest.incoming[0].stats.recoveries);
        end(w);
    }
}

/* When the link is back, what the guest waits for may be asked for by one connection while the other one, on which the
 * destination says what is missing, is slow. */
static void test_want_early(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;
    unsigned page = 200, before;

    (void)state;
    settings.demand = true;
    w = begin(settings);
    w->writes = 0;
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    while (!w->dest_vm.missing[page])
        page++;
    w->dest_vm.missing[page] = FAKE_WANTED;
    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].broken = true;
    before = w->pipes;
    while (w->pipes == before)
        world_step(w);
    w->pipe[before].delay = 20000000;
    for (unsigned i = 0; i < 1000 && w->dest_vm.missing[page]; i++)
        world_step(w);
    assert_int_equal(w->dest_vm.missing[page], FAKE_HERE);
    assert_int_equal(source_pull(&w->source), 0);
    world_run(w, STEPS);
    assert_arrived(w);
    end(w);
}

/* A page of zeros that the source has found to be so comes before much else, because it may be wanted. */
static void test_zero_comes(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;
    unsigned page, steps = 0;

    (void)state;
    settings.max_bandwidth = 400000;
    w = begin(settings);
    w->writes = 0;
    memset(w->source_vm.memory + 8 * PAGE_SIZE, 7, (FAKE_PAGES - 8) * PAGE_SIZE);
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    for (page = 0; !w->dest_vm.missing[page]; page++)
        ;
    assert_true(page < 8);
    while (w->dest_vm.missing[page] && steps++ < 400) /* all of it takes 4 s */
        world_step(w);
    assert_int_equal(w->dest_vm.missing[page], FAKE_HERE);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

/* A page that changes on its way is noticed, and comes again. */
static void test_flip_anywhere(void **state)
{
    struct migrate_settings settings = split_settings(0);
    u64 total[2][2];

    (void)state;
    measure(settings, total);
    for (unsigned pipe = 0; pipe < 2; pipe++)
        for (unsigned way = 0; way < 2; way++)
            for (u64 n = 0, all = total[pipe][way]; n < all; n += all < 5000 ? 11 : 4999) {
                struct world *w = begin(settings);

                w->accident = pipe;
                w->flip[way] = n;
                world_run(w, STEPS);
                assert_int_not_equal(world_where(w), 0);
                end(w);
            }
}

/* A move that is split, n steps into its service. */
static struct world *serving(unsigned n)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;

    settings.demand = true;
    w = begin(settings);
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    for (unsigned i = 0; i < n; i++)
        world_step(w);
    assert_true(w->dest_vm.nr_missing > 0);
    assert_int_equal(source_cancel(&w->source), -EBUSY);
    return w;
}

/* A record of a destination costs no more than a pass over the bitmap, whatever it says. */
static void test_list_refused(void **state)
{
    static const struct wire_run bad[][2] = {
        { { 0, 2 }, { PAGE_SIZE, 1 } },     /* what was named before */
        { { MiB(4), 1 }, { 0, 1 } },        /* descending */
        { { 0, 0 }, { PAGE_SIZE, 1 } },     /* nothing */
        { { 0, 1 }, { MiB(4), FAKE_LOW } }, /* beyond RAM */
    };
    static u8 body[(WIRE_RUNS + 1) * sizeof(struct wire_run)];
    struct world *w = serving(0);
    struct source *s = &w->source;
    struct inbox before = s->inbox;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        s->inbox.body = (u8 *)bad[i];
        s->inbox.len = sizeof(bad[i]);
        assert_false(source_take_missing(s));
    }
    s->inbox.body = body;
    s->inbox.len = sizeof(body);
    for (u64 i = 0; i <= WIRE_RUNS; i++)
        memcpy(body + i * sizeof(bad[0][0]), &(struct wire_run){ i * PAGE_SIZE, 1 }, sizeof(bad[0][0]));
    assert_false(source_take_missing(s)); /* too many */
    s->inbox = before;
    source_resolve(s, RESOLUTION_FORCE_GIVE_UP);
    while (source_active(s))
        world_tick(w), source_step(s), dest_step(&w->dest);
    end(w);
}

/* The destination's machine dies: the source serves nobody, and its operator decides about the guest as it was. */
static void test_dest_crash(void **state)
{
    (void)state;
    for (enum resolution way = RESOLUTION_FORCE_RESUME; way <= RESOLUTION_FORCE_GIVE_UP; way++) {
        struct world *w = serving(100);
        u64 counter = w->source_vm.counter;

        w->dest_down = true;
        world_crash_dest(w);
        for (unsigned i = 0; i < 100; i++)
            world_step(w);
        assert_int_equal(w->source.stats.status, MIGRATE_POSTCOPY_PAUSED);
        w->dest_down = false;
        w->now += 2000000000;
        for (unsigned i = 0; i < 1000; i++)
            world_step(w);
        assert_int_equal(w->source.handoff.state, SOURCE_SERVING);
        assert_true(w->source.handoff.lost);
        assert_int_equal(w->source.stats.recoveries, 0); /* it has only knocked */
        assert_int_equal(source_resolve(&w->source, way), 0);
        assert_int_equal(w->source_vm.exists, way == RESOLUTION_FORCE_RESUME);
        assert_int_equal(w->source_vm.counter, counter);
        assert_int_equal(w->source_vm.running && w->source_vm.gate_open, way == RESOLUTION_FORCE_RESUME);
        if (way == RESOLUTION_FORCE_RESUME)
            assert_int_equal(w->source.handoff.epoch, 8 + EPOCH_FORCE + WORLD_OWNER);
        while (source_active(&w->source)) /* its last words */
            world_tick(w), source_step(&w->source), dest_step(&w->dest);
        end(w);
    }
}

/* The source's machine dies: the guest waits for what is missing, and can be ended, or starts anew; what was lost is
 * said. */
static void source_crash(bool reset)
{
    struct world *w = serving(50);
    const struct incoming *in = &w->dest.incoming[0];
    u64 counter;

    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].broken = true;
    for (unsigned i = 0; i < 100; i++) { /* the source does not turn any more */
        world_tick(w);
        dest_step(&w->dest);
    }
    counter = w->dest_vm.counter;
    assert_int_equal(in->handoff.state, DEST_INCOMPLETE);
    assert_true(w->dest_vm.exists && counter > 0);
    assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, true), -ENOENT);
    if (reset) {
        memset(w->dest_vm.missing, FAKE_HERE, sizeof(w->dest_vm.missing));
        w->dest_vm.nr_missing = 0;
        dest_step(&w->dest);
    }
    assert_int_equal(in->handoff.state, reset ? DEST_RUNNING : DEST_INCOMPLETE);
    dest_forget(&w->dest, &w->dest_vm);
    assert_int_equal(in->handoff.state, DEST_GONE);
    assert_int_equal(in->error, WIRE_E_LINK);
    assert_non_null(strstr(in->reason, " pages: only its source has them"));
    source_resolve(&w->source, RESOLUTION_FORCE_GIVE_UP); /* for this program, which has its memory */
    end(w);
}

static void test_source_crash(void **state)
{
    (void)state;
    source_crash(true);
    source_crash(false);
}

/* The guest ends there while pages are missing: its source may free them. */
static void test_guest_ends(void **state)
{
    struct world *w = serving(50);

    (void)state;
    dest_forget(&w->dest, &w->dest_vm);
    w->dest_vm.exists = w->dest_vm.running = false;
    fake_vm_free(&w->dest_vm);
    while (source_active(&w->source))
        world_tick(w), source_step(&w->source), dest_step(&w->dest);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_false(w->source_vm.exists);
    assert_int_equal(w->dest.incoming[0].error, WIRE_OK);
    end(w);
}

/* The guest has moved on from there under an epoch that the source hears of: who forces it out of service goes beyond
 * that epoch. */
static void test_force_beyond(void **state)
{
    struct world *w = serving(50);
    struct source *s = &w->source;

    (void)state;
    handoff_source_event(&s->handoff, HANDOFF_HIGHER_EPOCH, 200000);
    assert_int_equal(s->handoff.state, SOURCE_SERVING);
    w->dest_down = true;
    world_crash_dest(w);
    assert_int_equal(source_resolve(s, RESOLUTION_FORCE_RESUME), 0);
    assert_int_equal(s->handoff.epoch, 200000 + EPOCH_FORCE + WORLD_OWNER);
    while (source_active(s))
        world_tick(w), source_step(s);
    end(w);
}

/* Who has started post-copy gets it, though the move begins anew under a higher epoch. */
static void test_start_beyond(void **state)
{
    struct migrate_settings settings = split_settings(10);
    struct world *w;

    (void)state;
    settings.split = false;
    settings.policy.downtime_limit = 0;
    w = begin(settings);
    w->dest.incoming[0] = (struct incoming){ .used = true,
                                             .handoff = { .state = DEST_ABORTED, .epoch = 20 },
                                             .error = WIRE_E_CANCEL,
                                             .reason = "x",
                                             .stats.prepared = 1 };
    memcpy(w->dest.incoming[0].vm_id, world_id, WIRE_ID);
    while (w->source.stage < STAGE_RESERVE)
        world_step(w);
    assert_int_equal(source_start_postcopy(&w->source), 0);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_true(w->source.stats.epoch > 20);
    assert_true(w->dest_vm.supplied > 0);
    end(w);
}

/* What can't be done, in words, with the guest where it was. */
static void test_refused(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->no_map = -ENOMEM;
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.error, WIRE_E_MEMORY);
    assert_string_equal(w->source.stats.reason, "no memory to note which pages are missing");
    assert_int_equal(world_where(w), 1);
    assert_int_equal(source_start_postcopy(&w->source), -ENOENT);
    assert_int_equal(source_pull(&w->source), -ENOENT);
    settings = world_settings();
    assert_int_equal(source_start(&w->source, &settings), 0);
    assert_int_equal(source_start_postcopy(&w->source), -ENOTSUP); /* it verifies */
    assert_int_equal(source_cancel(&w->source), 0);
    world_run(w, STEPS);
    end(w);
}

/* A prepared copy whose pages are elsewhere is not to be adopted. */
static void test_not_adopted(void **state)
{
    struct world *w = begin(split_settings(0));

    (void)state;
    while (w->source.stage != STAGE_COMMIT) {
        dest_step(&w->dest);
        world_tick(w);
        source_step(&w->source);
    }
    for (unsigned i = 0; i < w->pipes; i++) {
        w->pipe[i].way[0].used = 0; /* COMMIT is lost */
        w->pipe[i].broken = true;
    }
    w->link_down = true;
    for (unsigned i = 0; i < 50; i++)
        world_step(w);
    assert_non_null(dest_stranded(&w->dest, &w->dest_vm));
    assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, true), -EBUSY);
    assert_false(w->dest_vm.running);
    w->link_down = false;
    world_run(w, STEPS);
    assert_arrived(w);
    end(w);
}

/* Frames that reach the source go after the guest while its pages do, and for a while after that. */
static void test_frames(void **state)
{
    struct world *w = begin(split_settings(0));
    unsigned number, late;

    (void)state;
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    number = world_frame(w);
    while (w->source.handoff.state != SOURCE_GONE)
        world_step(w);
    late = world_frame(w);
    world_run(w, STEPS);
    assert_smooth(w);
    assert_int_equal(w->dest_vm.given[number], 1);
    assert_int_equal(w->dest_vm.given[late], 1);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_behind),     cmocka_unit_test(test_hybrid),       cmocka_unit_test(test_demand),
        cmocka_unit_test(test_start_postcopy), cmocka_unit_test(test_on_stall),     cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_cut_often),      cmocka_unit_test(test_want_early),   cmocka_unit_test(test_start_beyond),
        cmocka_unit_test(test_force_beyond),   cmocka_unit_test(test_list_refused), cmocka_unit_test(test_zero_comes),
        cmocka_unit_test(test_flip_anywhere),  cmocka_unit_test(test_dest_crash),   cmocka_unit_test(test_source_crash),
        cmocka_unit_test(test_guest_ends),     cmocka_unit_test(test_refused),      cmocka_unit_test(test_not_adopted),
        cmocka_unit_test(test_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

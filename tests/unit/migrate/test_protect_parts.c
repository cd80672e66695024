/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/dest_fill.c tests/unit/world_memory.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c migrate/source_used.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* A large checkpoint is taken, and put into the copy, in parts; and anything may happen in between. Whenever the copy
 * is let run, world.c compares it with what the guest was at the last checkpoint that was whole there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "migrate/dest_parts.h"
#include "migrate/source_parts.h"
#include "tests/unit/world_protect.h"

#define PARTS 5         /* at least, of the checkpoints of these tests */
#define LONGEST 3000000 /* ns that a step may take of the host loop: many times less than from beat to beat */

static struct world w;
static struct world_protect p;

/* A guest whose checkpoints have nearly all the pages that there is room for, each of which takes long at either end.
 */
static void begin_large(u64 at_source, u64 at_dest)
{
    world_protect_begin(&w, &p, 4);
    w.writes = 0; /* what it wrote elsewhere is not to be in them */
    world_checkpoints(&w, 6);
    w.writes = 40;
    w.working_set = FAKE_PAGES / 4 - 1;
    w.page_ns[0] = at_source;
    w.page_ns[1] = at_dest;
    world_checkpoints(&w, 7);
}

static bool putting(void)
{
    return w.dest.session[0].stage == SESSION_PUT;
}

/* Steps until the destination has put the first part of a checkpoint into the copy, and no more. */
static void step_to_put(void)
{
    begin_large(0, 400000);
    for (unsigned i = 0; !putting(); i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
    assert_int_equal(p.whole, 7);
}

static void step_to_take(void)
{
    begin_large(70000, 0);
    for (unsigned i = 0; w.source.stage != STAGE_TAKE; i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
}

/* So many turns of the host loops pass while `busy`, in which heartbeats are said, and no step takes long. */
static unsigned turns(bool (*busy)(void))
{
    unsigned turns = 0;

    for (u64 before = w.now; busy(); before = w.now, turns++) {
        world_step(&w);
        assert_true(w.now - before < LONGEST);
    }
    return turns;
}

static bool taking(void)
{
    return w.source.stage == STAGE_TAKE;
}

/* The guest stands all the time; so what it has written is of one moment. */
static void test_taken_in_parts(void **state)
{
    struct protect_info info;
    u64 counter;

    (void)state;
    step_to_take();
    counter = w.source_vm.counter;
    assert_int_equal(w.source.stats.status, MIGRATE_PROTECTED);
    assert_true(turns(taking) >= PARTS);
    assert_int_equal(w.source_vm.counter, counter + 1); /* the last of these steps let it run on */
    assert_int_equal(w.source.stage, STAGE_CHECKPOINT);
    assert_true(source_protect_info(&w.source, &info) && info.pages > FAKE_PAGES / 4 - 20);
    assert_true(info.pause > PARTS * 1000000);
    world_checkpoints(&w, p.taken);
    world_kill_source(&w);
    world_steps(&w, 3);
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
    assert_int_equal(world_where(&w), 2);
    world_protect_fini(&w);
}

/* Not even KEEPALIVE can be sent, because the network has no memory: the guest does not stand for that. */
static void test_taken_without_network(void **state)
{
    (void)state;
    step_to_take();
    source_say_keepalive(&w.source, &w.source.outbox);
    w.pipe[0].way[0].cap = 0;
    turns(taking);
    assert_true(w.source_vm.running);
    assert_int_equal(p.taken, 8);
    world_protect_fini(&w);
}

/* Whatever ends it while the guest stands lets the guest go on, or stand for good. */
static void test_ends_while_taken(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 5; way++) {
        step_to_take();
        p.waits = true;
        if (way == 0) {
            w.pipe[0].broken = true;
            world_step(&w);
            assert_int_equal(p.source[PROTECT_LINK_LOST], 1);
        } else if (way == 1) {
            assert_int_equal(source_protect(&w.source, PROTECT_PART, 0), 0);
        } else if (way == 2) {
            assert_int_equal(source_protect(&w.source, PROTECT_ALONE, 0), 0);
        } else if (way == 3) {
            source_protect_ended(&w.source);
        } else {
            assert_int_equal(source_protect(&w.source, PROTECT_STAND, 9), 0);
        }
        assert_int_equal(world_where(&w), way == 4 ? 0 : 1);
        assert_int_equal(source_protect(&w.source, PROTECT_PAUSE, 0), way == 2 || way == 4 ? -ENOENT : 0);
        assert_int_equal(p.taken, 7);
        world_steps(&w, 100);
        assert_int_equal(p.taken, 7);
        world_protect_fini(&w);
    }
}

/* It becomes too much when most of it is copied aside. */
static void test_too_much(void **state)
{
    (void)state;
    begin_large(70000, 0);
    w.writes = 100;
    w.working_set = 300;
    for (unsigned i = 0; !p.source[PROTECT_NO_ROOM]; i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
    assert_int_equal(world_where(&w), 1);
    for (unsigned i = 0; source_active(&w.source); i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
    assert_int_equal(p.code, WIRE_E_MEMORY);
    world_protect_fini(&w);
}

/* The one under way becomes the last one, because the guest stands. */
static void test_last_while_taken(void **state)
{
    (void)state;
    step_to_take();
    assert_int_equal(source_protect(&w.source, PROTECT_FINISH, 0), 0);
    assert_int_equal(source_protect(&w.source, PROTECT_HAND, 0), -EBUSY);
    for (unsigned i = 0; source_active(&w.source); i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
    assert_int_equal(p.taken, 8);
    assert_int_equal(world_where(&w), 2);
    world_protect_fini(&w);
}

static void test_put_in_parts(void **state)
{
    (void)state;
    step_to_put();
    assert_true(turns(putting) >= PARTS);
    assert_int_equal(p.whole, 8);
    assert_int_equal(p.acknowledged, 7);
    world_checkpoints(&w, 9);
    world_protect_fini(&w);
}

/* It is let run when all is there, and not before; with or without its connection, and whether or not that is seen. */
static void test_runs_when_whole(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        unsigned steps = 0;

        step_to_put();
        if (way & 1)
            world_kill_source(&w);
        w.source_down = true;
        w.source_vm.running = false;
        if (way & 2)
            session_end(&w.dest.session[0]);
        assert_int_equal(p.dest[PROTECT_LINK_LOST], way >> 1);
        if (way == 0)
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_CLOSE), 0);
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
        assert_true(protect_closed(&w.dest.incoming[0])); /* no other attempt takes its place any more */
        p.waits = true;                                   /* its guard has decided: an operator comes too late */
        assert_int_equal(dest_resolve(&w.dest, &w.dest_vm, false), way & 2 ? -EBUSY : -ENOENT);
        while (world_where(&w) != 2) {
            assert_true(w.dest_vm.exists && dest_busy(&w.dest));
            assert_int_equal(p.dest[PROTECT_OVER], 0);
            world_step(&w);
            steps++;
        }
        assert_true(steps >= PARTS);
        assert_int_equal(p.whole, 8);
        assert_int_equal(p.dest[PROTECT_OVER], 1);
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), -ENOENT);
        world_steps(&w, 5);
        assert_int_equal(w.announced, 1);
        world_protect_fini(&w);
    }
}

/* It goes on without its connection. By another one, which comes meanwhile, its source learns that it is whole. */
static void test_connection_ends(void **state)
{
    struct protect_info info;

    (void)state;
    step_to_put();
    p.waits = true;
    w.now += WIRE_RETRY_MS * NS_PER_MS; /* so that it connects at once */
    session_end(&w.dest.session[0]);
    assert_true(dest_protect_info(&w.dest, &w.dest_vm, &info) && !info.linked);
    for (unsigned i = 0; !info.linked; dest_protect_info(&w.dest, &w.dest_vm, &info)) {
        assert_true(i++ < 10);
        world_step(&w);
    }
    assert_int_equal(p.whole, 7);
    world_steps(&w, 100);
    assert_int_equal(p.whole, 8);
    assert_int_equal(p.acknowledged, 8);
    assert_int_equal(w.source.stage, STAGE_PARTING);
    w.source_down = true;
    w.source_vm.running = false;
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
    assert_int_equal(world_where(&w), 2);
    world_protect_fini(&w);
}

/* The copy goes, in the middle of it: given up by its source or here, or for another attempt of its owner. */
static void test_freed(void **state)
{
    const struct migrate_settings again = protect_settings();

    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        step_to_put();
        if (way == 0) {
            source_protect(&w.source, PROTECT_PART, 0);
            session_end(&w.dest.session[0]); /* so that its wish comes by another one */
        } else if (way == 1) {
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_FREE), 0);
        } else if (way == 2) {
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_FORGET), 0);
            source_protect(&w.source, PROTECT_ALONE, 0);
        } else {
            source_protect(&w.source, PROTECT_ALONE, 0);
            while (source_active(&w.source)) { /* the destination gets no turn, so it does not hear ABORT */
                world_tick(&w);
                source_step(&w.source);
            }
            session_end(&w.dest.session[0]);
            assert_int_equal(source_start(&w.source, &again), 0);
            p.taken = p.acknowledged = p.whole = 0;
            world_checkpoints(&w, 2);
            assert_int_equal(p.dest[PROTECT_STANDBY], 2);
            assert_int_equal(p.dest[PROTECT_CHECKPOINTED], 7 + 2);
        }
        for (unsigned i = 0; way < 3 && source_active(&w.source); i++) {
            assert_true(i < 3000);
            world_step(&w);
        }
        world_steps(&w, 5);
        assert_int_equal(p.dest[PROTECT_OVER], 1);
        assert_int_equal(w.dest_vm.exists, way == 3);
        assert_int_equal(world_where(&w), 1);
        world_protect_fini(&w);
    }
}

/* Planned, ordered in the middle of it. */
static void test_planned(void **state)
{
    (void)state;
    step_to_put();
    assert_int_equal(source_protect(&w.source, PROTECT_FINISH, 0), 0);
    for (unsigned i = 0; source_active(&w.source); i++) {
        assert_true(i < 1000);
        world_step(&w);
    }
    assert_int_equal(p.whole, p.taken);
    assert_int_equal(w.source.handoff.state, SOURCE_GONE);
    assert_int_equal(world_where(&w), 2);
    world_protect_fini(&w);
}

/* Behind CLOSE it counts as ever, and is not acknowledged. */
static void test_closed(void **state)
{
    (void)state;
    step_to_put();
    p.waits = true;
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_CLOSE), 0);
    world_steps(&w, 200);
    assert_int_equal(p.whole, 8);
    assert_int_equal(p.acknowledged, 7);
    world_protect_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_in_parts),
        cmocka_unit_test(test_ends_while_taken),
        cmocka_unit_test(test_taken_without_network),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_last_while_taken),
        cmocka_unit_test(test_put_in_parts),
        cmocka_unit_test(test_runs_when_whole),
        cmocka_unit_test(test_connection_ends),
        cmocka_unit_test(test_freed),
        cmocka_unit_test(test_planned),
        cmocka_unit_test(test_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* A guest whose copy is kept up to date. Whenever that copy is let run, world.c compares it with what the guest was at
 * the last checkpoint that was whole there. */
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
#include "tests/unit/world_protect.h"

static struct world w;
static struct world_protect p;

/* The source is dead, and those who decide let the copy run. */
static void fail_over(void)
{
    world_kill_source(&w);
    world_steps(&w, 3);
    assert_int_equal(p.dest[PROTECT_LINK_LOST], 1);
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_CLOSE), 0);
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
    assert_int_equal(world_where(&w), 2);
    assert_int_equal(p.dest[PROTECT_OVER], 1);
    assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), -ENOENT);
    world_steps(&w, 5);
    assert_int_equal(w.announced, 1);
    assert_true(w.dest_vm.gate_open);
}

/* Each machine may be silent for as long as an operator says, and the connection holds; no longer. */
static void test_silent(void **state)
{
    struct migrate_settings settings = protect_settings();

    (void)state;
    settings.limit = 20000;
    for (unsigned way = 0; way < 2; way++) {
        bool *down = way ? &w.source_down : &w.dest_down;

        world_protect_init(&w, &p);
        assert_int_equal(source_start(&w.source, &settings), 0);
        world_checkpoints(&w, 3);
        w.writes = 0; /* else it is too much for the checkpoint that follows */
        *down = true;
        world_steps(&w, 19000);
        *down = false;
        world_checkpoints(&w, p.acknowledged + 10);
        assert_int_equal(p.source[PROTECT_LINK_LOST] + p.dest[PROTECT_LINK_LOST], 0);
        *down = true;
        world_steps(&w, 21000);
        assert_int_equal(p.source[PROTECT_LINK_LOST] + p.dest[PROTECT_LINK_LOST], 1);
        *down = false;
        world_protect_fini(&w);
    }
}

/* The guest runs, and its copy follows: at most one checkpoint behind what was taken. */
static void test_checkpoints(void **state)
{
    struct protect_info here, there;
    u64 began, counter;

    (void)state;
    world_protect_begin(&w, &p, 1);
    w.page_ns[0] = 10000; /* what it takes to copy aside is not added to each interval */
    began = w.now;
    counter = w.source_vm.counter;
    world_checkpoints(&w, 41);
    assert_in_range((w.now - began) / 1000000, 40 * 25 - 3, 40 * 25 + 3);
    assert_in_range(w.source_vm.counter - counter, 40 * 25 * 9 / 10, 40 * 25 + 3);
    assert_int_equal(w.source.handoff.state, SOURCE_PROTECTED);
    assert_int_equal(w.source.stats.status, MIGRATE_PROTECTED);
    assert_true(source_protect_info(&w.source, &here) && here.source && here.linked);
    assert_true(dest_protect_info(&w.dest, &w.dest_vm, &there) && !there.source && there.linked);
    assert_int_equal(here.number, 41);
    assert_int_equal(there.number, 41);
    assert_int_equal(here.epoch, there.epoch);
    assert_int_equal(there.other, WORLD_OWNER);
    assert_int_equal(here.other, 2000);
    assert_int_equal(there.interval_ms, 25);
    assert_int_equal(there.limit_ms, 300);
    assert_int_equal(here.room_pages, FAKE_PAGES / 4);
    assert_int_equal(here.pages + here.zero_pages, there.pages + there.zero_pages);
    assert_in_range(here.pages, 50, 3 * 25 + 3);
    assert_true(source_owns(&w.source.handoff));
    assert_false(w.dest_vm.gate_open);
    fail_over();
    assert_int_equal(p.whole, 41);
    world_protect_fini(&w);
}

/* How many bytes the source has sent. */
static u64 sent(void)
{
    return w.pipe[0].way[0].total;
}

/* The connection breaks anywhere in a checkpoint: the copy is the one before, or, if all had come, this one. */
static void test_cut(void **state)
{
    u64 from, to, wholes = 0, cuts = 0;

    (void)state;
    world_protect_begin(&w, &p, 5);
    from = sent();
    world_checkpoints(&w, 6);
    to = sent();
    world_protect_fini(&w);
    assert_true(to - from > 20 * PAGE_SIZE);
    for (u64 cut = from + 1; cut < to + 8; cut += cut < to - 700 ? 331 : 4, cuts++) {
        struct migrate_settings settings = protect_settings();

        world_protect_init(&w, &p);
        w.cut[0] = cut;
        assert_int_equal(source_start(&w.source, &settings), 0);
        for (unsigned i = 0; i < 2000 && !p.source[PROTECT_LINK_LOST]; i++)
            world_step(&w);
        assert_int_equal(p.source[PROTECT_LINK_LOST], 1);
        assert_int_equal(world_where(&w), 1);
        assert_false(source_owns(&w.source.handoff));
        assert_true(source_holds(&w.source.handoff));
        assert_in_range(p.whole, 5, 6);
        wholes += p.whole == 6;
        fail_over();
        world_protect_fini(&w);
    }
    assert_true(wholes > 0 && wholes < cuts);
}

/* A byte is damaged anywhere in a checkpoint. */
static void test_damaged(void **state)
{
    u64 from, to;

    (void)state;
    world_protect_begin(&w, &p, 5);
    from = sent();
    world_checkpoints(&w, 6);
    to = sent();
    world_protect_fini(&w);
    for (u64 flip = from; flip < to; flip += 977) {
        struct migrate_settings settings = protect_settings();

        world_protect_init(&w, &p);
        p.waits = true;
        w.flip[0] = flip;
        assert_int_equal(source_start(&w.source, &settings), 0);
        world_checkpoints(&w, 5);
        world_steps(&w, 100);
        assert_int_equal(p.source[PROTECT_LINK_LOST], 1);
        assert_int_equal(p.whole, 5);
        w.source_down = true; /* it has asked by another connection meanwhile */
        w.source_vm.running = false;
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
        assert_int_equal(world_where(&w), 2);
        world_protect_fini(&w);
    }
}

/* A section is refused: the copy is the checkpoint before, though a part of its state was restored already. */
static void test_refused(void **state)
{
    (void)state;
    for (unsigned section = 1; section <= 2; section++) {
        world_protect_begin(&w, &p, 5);
        p.waits = true;
        w.refuse_in = section;
        world_steps(&w, 60);
        assert_int_equal(p.whole, 5);
        assert_int_equal(p.source[PROTECT_LINK_LOST], 1);
        w.source_down = true;
        w.source_vm.running = false;
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
        assert_int_equal(world_where(&w), 2);
        world_protect_fini(&w);
    }
}

/* Neither end has decided anything, and the guest runs at the source: it is that one's when the copy is given up. */
static void assert_alone(enum wire_code code)
{
    for (unsigned i = 0; i < 4000 && source_active(&w.source); i++)
        world_step(&w);
    world_steps(&w, 20);
    assert_int_equal(w.source.stage, STAGE_IDLE);
    assert_int_equal(w.source.handoff.state, SOURCE_OWNER);
    assert_int_equal(w.source.handoff.epoch, 7);
    assert_int_equal(p.source[PROTECT_OVER], 1);
    assert_int_equal(p.code, code);
    assert_int_equal(world_where(&w), 1);
    assert_false(w.source_vm.logging);
    assert_false(w.dest_vm.exists);
    assert_int_equal(p.dest[PROTECT_OVER], 1);
}

/* The link was gone for a while: the source asks, and goes on when the copy is freed. */
static void test_link_lost(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 5);
    for (unsigned i = 0; i < w.pipes; i++)
        w.pipe[i].broken = true;
    w.link_down = true;
    world_steps(&w, 3000);
    assert_int_equal(p.source[PROTECT_LINK_LOST], 1);
    assert_int_equal(w.source.stage, STAGE_PARTING);
    assert_true(w.source_vm.running && w.dest_vm.exists);
    w.link_down = false;
    assert_alone(WIRE_E_LINK);
    assert_int_equal(p.source[PROTECT_ABORTED], 1);
    world_protect_fini(&w);
}

/* A witness says so, and the link stays gone. The copy learns it by the claims of its owner. */
static void test_alone(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 90); /* the copy was prepared long ago */
    w.link_down = true;
    w.pipe[0].broken = true;
    world_steps(&w, 100);
    assert_int_equal(source_protect(&w.source, PROTECT_ALONE, 0), 0);
    world_steps(&w, 100);
    assert_true(source_owns(&w.source.handoff) && w.dest_vm.exists);
    world_claim(&w, 7, WORLD_OWNER); /* may have been said before */
    assert_int_equal(p.dest[PROTECT_OWNER_HEARD], 0);
    world_steps(&w, 2500);
    world_claim(&w, 7, WORLD_OWNER);
    assert_int_equal(p.dest[PROTECT_OWNER_HEARD], 1);
    assert_alone(WIRE_E_LINK);
    world_protect_fini(&w);
}

/* Ended while all is well: unprotect. */
static void test_part(void **state)
{
    (void)state;
    for (unsigned delay = 0; delay < 30; delay++) {
        world_protect_begin(&w, &p, 3);
        world_steps(&w, delay);
        assert_int_equal(source_protect(&w.source, PROTECT_PART, 0), 0);
        assert_false(source_owns(&w.source.handoff));
        assert_alone(WIRE_E_CANCEL);
        assert_int_equal(w.source.stats.status, MIGRATE_CANCELLED);
        world_protect_fini(&w);
    }
}

/* Nobody answers: the guest can be made to stand, and goes on. */
static void test_pause(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 3);
    assert_int_equal(source_protect(&w.source, PROTECT_PAUSE, 0), -EBUSY);
    p.waits = true;
    source_protect(&w.source, PROTECT_PART, 0);
    world_steps(&w, 20);
    assert_int_equal(world_where(&w), 1);
    assert_int_equal(source_protect(&w.source, PROTECT_PAUSE, 0), 0);
    assert_int_equal(source_protect(&w.source, PROTECT_PAUSE, 0), 0);
    world_steps(&w, 20);
    assert_int_equal(world_where(&w), 0);
    p.waits = false;
    source_protect(&w.source, PROTECT_PART, 0); /* asked again */
    assert_alone(WIRE_E_CANCEL);
    world_protect_fini(&w);
}

/* The copy runs, because someone has decided so: the source's stands, and is kept. */
static void test_superseded(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        world_protect_begin(&w, &p, 3);
        p.waits = true;
        w.link_down = true;
        w.pipe[0].broken = true;
        world_steps(&w, 10);
        w.source_vm.running = false; /* for a moment, as far as the destination knows */
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
        if (way == 0) /* the witness says so */
            assert_int_equal(source_protect(&w.source, PROTECT_STAND, 8), 0);
        else if (way == 1) /* it claims the guest */
            world_claim_to_source(&w, 8, 2000, WORLD_AGE_MS);
        w.link_down = false;
        for (unsigned i = 0; i < 3000 && w.source.handoff.state != SOURCE_SUPERSEDED; i++)
            world_step(&w);
        assert_int_equal(w.source.handoff.state, SOURCE_SUPERSEDED);
        assert_int_equal(p.source[PROTECT_OVER], 1);
        assert_int_equal(world_where(&w), 2);
        assert_true(w.source_vm.exists && !w.source_vm.gate_open);
        world_steps(&w, 1500);
        world_protect_fini(&w);
    }
}

/* Planned: it stands for its last checkpoint, goes on there, and is gone here. */
static void test_planned(void **state)
{
    (void)state;
    for (unsigned delay = 0; delay < 30; delay++) {
        world_protect_begin(&w, &p, 3);
        world_steps(&w, delay);
        assert_int_equal(source_protect(&w.source, PROTECT_HAND, 0), -EBUSY);
        assert_int_equal(source_protect(&w.source, PROTECT_FINISH, 0), 0);
        for (unsigned i = 0; i < 200 && source_active(&w.source); i++)
            world_step(&w);
        assert_int_equal(p.source[PROTECT_LAST], 1);
        assert_int_equal(w.source.handoff.state, SOURCE_GONE);
        assert_int_equal(world_where(&w), 2);
        assert_false(w.source_vm.exists);
        assert_int_equal(w.source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(p.whole, p.taken);
        assert_true(w.dest.incoming[0].settled);
        assert_in_range(w.dest_vm.paused_ns, 1000000, 20000000);
        world_protect_fini(&w);
    }
}

/* Planned, and the destination dies before it says RUNNING: whoever knows that it never will lets the guest go on. */
static void test_planned_lost(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 3);
    p.waits = true;
    source_protect(&w.source, PROTECT_FINISH, 0);
    while (!p.source[PROTECT_LAST])
        world_step(&w);
    world_crash_dest(&w);
    w.dest_down = true;
    assert_int_equal(source_protect(&w.source, PROTECT_HAND, 0), 0);
    world_steps(&w, 500);
    assert_int_equal(w.source.handoff.state, SOURCE_IN_DOUBT);
    assert_int_equal(world_where(&w), 0);
    assert_int_equal(source_protect(&w.source, PROTECT_PART, 0), 0);
    world_steps(&w, 500);
    assert_int_equal(source_protect(&w.source, PROTECT_ALONE, 0), 0);
    world_steps(&w, 50);
    assert_int_equal(w.source.handoff.state, SOURCE_OWNER);
    assert_int_equal(world_where(&w), 1);
    assert_true(w.source_vm.gate_open);
    world_protect_fini(&w);
}

/* It writes more than there is room for. The checkpoint before stays whole until the source has asked. */
static void test_no_room(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 5);
    w.writes = 300;
    w.working_set = 400;
    for (unsigned i = 0; i < 100 && !p.source[PROTECT_NO_ROOM]; i++)
        world_step(&w);
    assert_int_equal(p.source[PROTECT_NO_ROOM], 1);
    assert_alone(WIRE_E_MEMORY);
    world_protect_fini(&w);
}

/* A reset writes all of its memory, but with zeros for the most part. */
static void test_reset(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 5);
    assert_true(world_reset(&w));
    world_steps(&w, 100);
    assert_int_equal(w.source_vm.resets, 1);
    assert_in_range(p.whole, 8, 10);
    fail_over();
    assert_int_equal(w.dest_vm.resets, 1);
    world_protect_fini(&w);
}

static void test_ended(void **state)
{
    (void)state;
    world_protect_begin(&w, &p, 5);
    w.source_vm.off = w.stays_off = true;
    source_protect_ended(&w.source);
    source_protect_ended(&w.source);
    assert_int_equal(p.source[PROTECT_ENDED], 1);
    world_steps(&w, 50);
    assert_int_equal(w.source.stage, STAGE_IDLE);
    assert_false(w.dest_vm.exists);
    world_protect_fini(&w);
}

/* Behind CLOSE nothing is taken or acknowledged, and the owner's next attempt counts as ABORT: it has to wait, unless
 * those who decide free the copy. */
static void test_closed(void **state)
{
    const struct migrate_settings again = protect_settings();
    unsigned acknowledged;

    (void)state;
    world_protect_begin(&w, &p, 5);
    p.waits = true;
    dest_protect(&w.dest, &w.dest_vm, PROTECT_CLOSE);
    acknowledged = p.source[PROTECT_CHECKPOINTED];
    dest_protect(&w.dest, &w.dest_vm, PROTECT_SAY);
    world_steps(&w, 100);
    assert_int_equal(p.whole, 5);
    assert_int_equal(p.source[PROTECT_CHECKPOINTED], acknowledged);
    w.link_down = true;
    w.pipe[0].broken = true;
    world_steps(&w, 2);
    source_protect(&w.source, PROTECT_ALONE, 0);
    for (unsigned i = 0; i < 100 && source_active(&w.source); i++)
        world_step(&w);
    w.link_down = false;
    assert_int_equal(source_start(&w.source, &again), 0);
    world_run(&w, 1000);
    assert_int_equal(w.source.stats.error, WIRE_E_BUSY);
    assert_true(w.dest_vm.exists);
    assert_int_equal(p.dest[PROTECT_ABORT], 1);
    p.waits = false;
    p.taken = p.acknowledged = p.whole = 0;
    assert_int_equal(source_start(&w.source, &again), 0);
    world_checkpoints(&w, 5);
    assert_int_equal(p.dest[PROTECT_OVER], 1);
    assert_int_equal(p.dest[PROTECT_STANDBY], 2);
    world_protect_fini(&w);
}

/* The owner's next attempt makes the copy of an earlier one void, unless that is closed. */
static void test_again(void **state)
{
    const struct migrate_settings again = protect_settings();

    (void)state;
    world_protect_begin(&w, &p, 5);
    w.link_down = true;
    w.pipe[0].broken = true;
    world_steps(&w, 2);
    source_protect(&w.source, PROTECT_ALONE, 0);
    for (unsigned i = 0; i < 100 && source_active(&w.source); i++)
        world_step(&w);
    assert_true(w.dest_vm.exists);
    w.link_down = false;
    assert_int_equal(source_start(&w.source, &again), 0);
    p.taken = p.acknowledged = p.whole = 0;
    world_checkpoints(&w, 5);
    assert_int_equal(p.dest[PROTECT_OVER], 1);
    assert_int_equal(p.dest[PROTECT_STANDBY], 2);
    assert_int_equal(w.source.stats.epoch, 9);
    world_protect_fini(&w);
}

/* Those who decide can't: the move fails, and the guest goes on. */
static void test_unguarded(void **state)
{
    struct migrate_settings settings = protect_settings();

    (void)state;
    world_protect_init(&w, &p);
    p.unguarded = true;
    assert_int_equal(source_start(&w.source, &settings), 0);
    world_run(&w, 2000);
    assert_int_equal(p.source[PROTECT_STOPPED], 1);
    assert_int_equal(p.source[PROTECT_OVER], 1);
    assert_int_equal(p.code, WIRE_E_INTERNAL);
    assert_int_equal(world_where(&w), 1);
    assert_false(w.dest_vm.exists);
    world_protect_fini(&w);
}

/* A guest that would stand for long gets longer intervals. */
static void test_adapts(void **state)
{
    u64 began;

    (void)state;
    world_protect_begin(&w, &p, 5);
    w.page_ns[0] = 1000000; /* each page takes 1 ms */
    w.working_set = 30;
    world_checkpoints(&w, p.acknowledged + 2);
    began = w.now;
    for (u64 counter = w.source_vm.counter, until = p.acknowledged + 10; p.acknowledged < until; world_step(&w))
        if (p.acknowledged + 1 == until)
            assert_true((w.source_vm.counter - counter) * 1000000 * 5 >= (w.now - began) * 3);
    world_protect_fini(&w);
}

/* The link is slow: the guest is throttled for the first copy, and no more behind it; and that is never split. */
static void test_throttled(void **state)
{
    struct migrate_settings settings = protect_settings();

    (void)state;
    world_protect_init(&w, &p);
    w.working_set = 100;
    settings.max_bandwidth = 3000000;
    settings.policy.on_stall = POLICY_STALL_THROTTLE;
    settings.policy.throttle.initial = 20;
    settings.policy.throttle.increment = 10;
    settings.policy.throttle.max = 99;
    assert_int_equal(source_start(&w.source, &settings), 0);
    for (unsigned i = 0; i < 20000 && !w.source_vm.throttle; i++)
        world_step(&w);
    assert_true(w.source_vm.throttle > 0);
    assert_int_equal(source_start_postcopy(&w.source), -ENOTSUP);
    source_limit(&w.source, 1000, 0);
    world_checkpoints(&w, 3);
    assert_int_equal(w.source_vm.throttle, 0);
    fail_over();
    world_protect_fini(&w);
}

/* In setup it fails as any move. */
static void test_setup_fails(void **state)
{
    struct migrate_settings settings = protect_settings();

    (void)state;
    world_protect_init(&w, &p);
    w.refuse_create = WIRE_E_MEMORY;
    assert_int_equal(source_start(&w.source, &settings), 0);
    world_run(&w, 1000);
    assert_int_equal(w.source.stats.status, MIGRATE_FAILED);
    assert_int_equal(p.source[PROTECT_OVER], 1);
    assert_int_equal(p.code, WIRE_E_MEMORY);
    assert_int_equal(p.dest[PROTECT_OVER], 0);
    assert_int_equal(world_where(&w), 1);
    world_protect_fini(&w);
}

/* A destination that calls itself nobody, or by the source's own number: no deed could name it. */
static void test_nobody(void **state)
{
    const u64 wrong[] = { 0, WORLD_OWNER };
    struct migrate_settings settings = protect_settings();

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        world_protect_init(&w, &p);
        p.owner = wrong[i];
        assert_int_equal(source_start(&w.source, &settings), 0);
        world_run(&w, 1000);
        assert_int_equal(w.source.stats.status, MIGRATE_FAILED);
        assert_int_equal(p.code, WIRE_E_STREAM);
        assert_int_equal(world_where(&w), 1);
        world_protect_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints), cmocka_unit_test(test_cut),          cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_link_lost),    cmocka_unit_test(test_alone),
        cmocka_unit_test(test_part),        cmocka_unit_test(test_pause),        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_planned),     cmocka_unit_test(test_planned_lost), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_ended),       cmocka_unit_test(test_closed),       cmocka_unit_test(test_unguarded),
        cmocka_unit_test(test_again),       cmocka_unit_test(test_reset),        cmocka_unit_test(test_adapts),
        cmocka_unit_test(test_setup_fails), cmocka_unit_test(test_throttled),    cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
/* A copy of which nothing may be said any more, and what counts as a word of its source. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "migrate/dest_parts.h"
#include "migrate/source_parts.h"
#include "tests/unit/stubs.h"
#include "tests/unit/world_protect.h"

static struct world w;
static struct world_protect p;

/* What counts as heard is what has come: not the end of a connection, nor the work for what has come before. */
static void test_heard(void **state)
{
    struct protect_info info;
    u64 heard;

    (void)state;
    world_protect_begin(&w, &p, 5);
    assert_true(dest_protect_info(&w.dest, &w.dest_vm, &info) && info.linked);
    heard = info.heard;
    assert_true(heard && heard <= w.now);
    world_kill_source(&w);
    w.now += 100000000; /* it is noticed later */
    world_steps(&w, 3);
    assert_true(dest_protect_info(&w.dest, &w.dest_vm, &info) && !info.linked);
    assert_int_equal(info.heard, heard);
    world_protect_fini(&w);
}

/* The copy is given up although it may be the owner's: its source hears UNKNOWN, whenever it asks. */
static void test_forgotten(void **state)
{
    (void)state;
    for (unsigned linked = 0; linked < 2; linked++) {
        world_protect_begin(&w, &p, 5);
        p.waits = true;
        w.link_down = !linked;
        w.pipe[0].broken = !linked;
        world_steps(&w, 100);
        assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_FORGET), 0);
        assert_false(w.dest_vm.exists);
        assert_int_equal(p.dest[PROTECT_OVER], 1);
        w.link_down = false;
        source_protect(&w.source, PROTECT_PART, 0);
        world_steps(&w, 3000);
        assert_int_equal(p.source[PROTECT_ABORTED], 0);
        assert_true(p.source[PROTECT_UNKNOWN] > 0);
        assert_int_equal(w.source.stage, STAGE_PARTING);
        source_protect(&w.source, PROTECT_ALONE, 0);
        world_steps(&w, 20);
        assert_int_equal(world_where(&w), 1);
        world_protect_fini(&w);
    }
}

/* Planned, and the source parts before it has said COMMIT, because its last frames do not leave: the guest stands, and
 * what it was is in both copies. It goes on where those who decide let it, and the other copy is kept until they say.
 */
static void test_parts_before_commit(void **state)
{
    enum { LET_GO_ON, GIVEN_UP_THERE, TAKEN_THERE, WAYS };

    (void)state;
    for (unsigned way = 0; way < WAYS; way++) {
        world_protect_begin(&w, &p, 3);
        p.waits = true;
        assert_int_equal(source_protect(&w.source, PROTECT_FINISH, 0), 0);
        while (!p.source[PROTECT_LAST])
            world_step(&w);
        assert_int_equal(source_protect(&w.source, PROTECT_PART, 0), 0);
        assert_int_equal(source_protect(&w.source, PROTECT_HAND, 0), -EBUSY);
        assert_int_equal(source_protect(&w.source, PROTECT_PAUSE, 0), 0);
        world_steps(&w, 200);
        assert_int_equal(w.source.stage, STAGE_PARTING);
        assert_int_equal(world_where(&w), 0);
        assert_int_equal(p.whole, p.taken);
        assert_true(p.dest[PROTECT_ABORT] > 0 && !p.dest[PROTECT_COMMIT]);
        if (way == LET_GO_ON) {
            assert_int_equal(source_protect(&w.source, PROTECT_ALONE, 0), 0);
        } else if (way == GIVEN_UP_THERE) {
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_FREE), 0);
            p.waits = false;
        } else {
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_CLOSE), 0);
            assert_int_equal(dest_protect(&w.dest, &w.dest_vm, PROTECT_ADOPT), 0);
        }
        world_steps(&w, 1500);
        assert_int_equal(world_where(&w), way == TAKEN_THERE ? 2 : 1);
        assert_int_equal(w.source.handoff.state, way == TAKEN_THERE ? SOURCE_SUPERSEDED : SOURCE_OWNER);
        assert_true(w.source_vm.exists && w.source_vm.gate_open == (way != TAKEN_THERE));
        world_protect_fini(&w);
    }
}

/* A guest that is to be protected is brought again and again: what is refused alike is logged once, but of other moves
 * each time. */
static void test_refusals_are_logged_once(void **state)
{
    static const enum wire_code codes[] = { WIRE_E_NAME,   WIRE_E_NAME, WIRE_E_MEMORY,
                                            WIRE_E_MEMORY, WIRE_E_NAME, WIRE_E_NAME };
    static const unsigned lines[] = { 1, 1, 2, 2, 3, 4 };
    struct migrate_settings settings = protect_settings();
    unsigned before;

    (void)state;
    settings.quiet = true;
    world_protect_init(&w, &p);
    before = stub_log_lines;
    for (unsigned i = 0; i < 6; i++) {
        settings.protect = i < 5;
        w.refuse_check = codes[i];
        assert_int_equal(source_start(&w.source, &settings), 0);
        for (unsigned steps = 0; steps < 2000 && source_active(&w.source); steps++)
            world_step(&w);
        assert_int_equal(w.source.stats.error, codes[i]);
        assert_int_equal(stub_log_lines, before + lines[i]);
    }
    w.refuse_check = WIRE_OK;
    world_protect_fini(&w);
}

/* A destination that says CHECKPOINTED before the first copy is prepared. */
static void test_too_early(void **state)
{
    struct migrate_settings settings = protect_settings();
    unsigned seen = 0;

    (void)state;
    for (unsigned stage = STAGE_START_LOG; stage < STAGE_PROTECTED; stage++) {
        world_protect_init(&w, &p);
        w.cap = 3000; /* so that each stage is seen between two steps */
        assert_int_equal(source_start(&w.source, &settings), 0);
        for (unsigned i = 0; w.source.stage != stage && w.source.stage != STAGE_PROTECTED; i++) {
            assert_true(i < 20000);
            world_step(&w);
        }
        if (w.source.stage == stage) {
            w.dest.session[0].say |= SAY_CHECKPOINTED;
            seen++;
            world_run(&w, 20000);
            assert_int_equal(p.code, WIRE_E_STREAM);
            assert_int_equal(p.source[PROTECT_CHECKPOINTED], 0);
            assert_int_equal(world_where(&w), 1);
        }
        world_protect_fini(&w);
    }
    assert_true(seen >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heard),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_too_early),
        cmocka_unit_test(test_parts_before_commit),
        cmocka_unit_test(test_refusals_are_logged_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

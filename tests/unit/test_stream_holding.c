/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_stages.c migrate/source_ram.c migrate/dest.c migrate/dest_load.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: tests/unit/peers.c */
/* sources: migrate/record.c migrate/crc32c.c migrate/ram.c migrate/policy.c migrate/bucket.c migrate/handoff.c */
/* sources: migrate/stats.c hv/lib/stream.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* What peers of a destination can hold, and for how long: places, memory, and what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bits.h"
#include "tests/unit/peers.h"

/* Two moves of a VM at once: the second is refused, the first goes on. */
static void test_two_at_once(void **state)
{
    struct peer *first = reserved();
    struct line second;

    (void)state;
    line_open(&second, &first->w.dest);
    line_reserve(&second, &first->w, 0, 9, 0);
    pump(first);
    assert_int_equal(second.refused.code, WIRE_E_BUSY);
    assert_string_equal(second.refused.reason, "this VM is moving already");
    assert_true(first->w.dest_vm.exists && !first->gone);
    line_close(&second);
    peer_free(first);
}

/* Headers without a RESERVE that is accepted are forgotten with their connection: the highest epoch blocks nobody. And
 * neither they nor checks evict what a source in doubt will ask for: here the end of a guest that ran, and has ended.
 */
static void test_strangers_evict_nothing(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    struct wire_handoff commit = { .epoch = 8 };
    struct line line;

    (void)state;
    world_init(w);
    line_open_from(&line, &w->dest, "stranger");
    line_header(&line, WIRE_MOVE, 0, 1 << 30);
    dest_step(&w->dest);
    line_leave(&line, &w->dest);
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_int_equal(world_where(w), 2);
    dest_forget(&w->dest, &w->dest_vm);
    w->dest_vm.running = w->dest_vm.exists = false;
    free(w->dest_vm.memory);
    w->dest_vm.memory = NULL;
    assert_true(w->dest.incoming[0].settled);
    w->dest.incoming[0].settled = false; /* as if END had been lost */
    for (unsigned i = 1; i < 3 * DEST_ATTEMPTS; i++) {
        line_open_from(&line, &w->dest, "stranger");
        if (i % 3 == 0)
            line_header(&line, WIRE_MOVE, (u8)i, 8);
        else
            line_reserve(&line, w, (u8)i, 8, i % 3 == 1 ? WIRE_DRY_RUN : 0);
        assert_true(i % 3 == 0 || line.heard == WIRE_ACCEPTED);
        line_leave(&line, &w->dest);
        assert_false(w->dest_vm.exists);
    }
    line_open(&line, &w->dest);
    line_header(&line, WIRE_RESOLVE, 0, 8);
    line_say(&line, WIRE_COMMIT, &commit, sizeof(commit));
    for (unsigned i = 0; i < 5; i++)
        dest_step(&w->dest);
    line_hear(&line);
    assert_int_equal(line.heard, WIRE_RUNNING);
    line_leave(&line, &w->dest);
    world_fini(w);
    free(w);
}

/* Of hosts that leave open how their moves ended, the one with the most loses its oldest answer; where each has one,
 * none is lost, and no move is taken. */
static void test_open_ends(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct incoming *in = w->dest.incoming;
    struct line line;

    (void)state;
    world_init(w);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        in[i] = (struct incoming){
            .used = true, .stamp = i + 1, .stats.prepared = 1, .handoff = { DEST_GONE, 3 }, .vm_id = { (u8)i }
        };
        snprintf(in[i].peer, sizeof(in[i].peer), i % 16 ? "[::1]:%u" : "10.0.0.%u:5", i);
    }
    w->dest.stamps = DEST_ATTEMPTS;
    line_open_from(&line, &w->dest, "10.0.0.99:5");
    line_reserve(&line, w, 0, 8, 0);
    assert_int_equal(line.heard, WIRE_ACCEPTED);
    assert_int_equal(in[1].handoff.epoch, 8);
    assert_true(in[0].handoff.epoch == 3 && in[2].handoff.epoch == 3);
    line_leave(&line, &w->dest);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        in[i].stats.prepared = 1;
        snprintf(in[i].peer, sizeof(in[i].peer), "10.0.0.%u:5", i);
    }
    line_open_from(&line, &w->dest, "10.0.0.99:5");
    line_reserve(&line, w, 0, 9, 0);
    assert_int_equal(line.refused.code, WIRE_E_BUSY);
    line_leave(&line, &w->dest);
    world_fini(w);
    free(w);
}

/* A peer brings a guest under the highest epoch that there is, all of it, and it comes to run, or not; for its true
 * owner, whose epoch is low, that number is noise. While the copy is here the owner is told so; the operator frees it.
 */
static void test_no_epoch_bars_for_ever(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    w->dest.incoming[5] = (struct incoming){ .used = true, .stats.prepared = 1, .handoff = { DEST_GONE, EPOCH_MAX } };
    w->dest.incoming[6] =
        (struct incoming){ .used = true, .stats.prepared = 1, .handoff = { DEST_PREPARED, EPOCH_MAX } };
    memcpy(w->dest.incoming[5].vm_id, world_id, WIRE_ID);
    memcpy(w->dest.incoming[6].vm_id, world_id, WIRE_ID);
    w->dest_vm = (struct fake_vm){ .world = w, .exists = true };
    w->dest.incoming[6].vm = &w->dest_vm;
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_string_equal(w->source.stats.reason, "a prepared copy of this VM is kept here: see resolve");
    assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, false), 0);
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* Who only says that he is alive takes no place from others, nor does he keep his own for long. */
static void test_alive_and_idle(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct line *line = calloc(DEST_SESSIONS, sizeof(*line)), *last = &line[DEST_SESSIONS - 1];
    struct wire_handoff query = { .epoch = 3 };

    (void)state;
    world_init(w);
    for (u8 i = 0; i < DEST_SESSIONS; i++) {
        w->now++;
        line_open(&line[i], &w->dest);
        line_header(&line[i], &line[i] == last ? WIRE_RESOLVE : WIRE_MOVE, i, 3);
        dest_step(&w->dest);
    }
    line_say(last, WIRE_QUERY, &query, sizeof(query));
    for (unsigned i = 0; i < 10; i++)
        dest_step(&w->dest);
    line_hear(&line[0]);
    assert_int_equal(line[0].refused.code, WIRE_E_BUSY);
    assert_string_equal(line[0].refused.reason, "too many guests are on their way here");
    for (unsigned i = 1; i < DEST_SESSIONS; i++)
        line_hear(&line[i]);
    assert_false(line[1].gone || line[DEST_MOVES].heard || line[DEST_MOVES].gone);
    assert_int_equal(last->heard, WIRE_UNKNOWN);

    for (unsigned half = 0; half < 22; half++) {
        w->now += 500000000;
        for (unsigned i = 0; i < DEST_SESSIONS; i++)
            line_say(&line[i], WIRE_KEEPALIVE, NULL, 0);
        dest_step(&w->dest);
    }
    for (unsigned i = 0; i < DEST_SESSIONS; i++) {
        line_hear(&line[i]);
        assert_true(line[i].gone);
        line_close(&line[i]);
    }
    world_fini(w);
    free(line);
    free(w);
}

/* Of connections that are nothing yet the oldest gives way to a new one; a move never does. */
static void test_oldest_idle_gives_way(void **state)
{
    struct peer *peer = reserved();
    struct world *w = &peer->w;
    struct line *line = calloc(DEST_SESSIONS + 1, sizeof(*line)), *newest = &line[DEST_SESSIONS];

    (void)state;
    for (unsigned i = 0; i <= DEST_SESSIONS; i++) {
        w->now++;
        line_open(&line[i], &w->dest);
        dest_step(&w->dest);
    }
    line_header(newest, WIRE_RESOLVE, 0, 3);
    dest_step(&w->dest);
    for (unsigned i = 0; i <= DEST_SESSIONS; i++)
        line_hear(&line[i]);
    assert_true(line[0].gone && line[1].gone);
    assert_false(line[2].gone || newest->gone);
    pump(peer);
    assert_true(w->dest_vm.exists && !peer->gone);
    peer_free(peer);
    for (unsigned i = 0; i <= DEST_SESSIONS; i++)
        line_close(&line[i]);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_at_once),    cmocka_unit_test(test_strangers_evict_nothing),
        cmocka_unit_test(test_open_ends),      cmocka_unit_test(test_no_epoch_bars_for_ever),
        cmocka_unit_test(test_alive_and_idle), cmocka_unit_test(test_oldest_idle_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

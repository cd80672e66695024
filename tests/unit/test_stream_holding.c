/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_stages.c migrate/source_ram.c migrate/dest.c migrate/dest_load.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c tests/unit/peers.c */
/* sources: migrate/record.c migrate/crc32c.c migrate/ram.c migrate/policy.c migrate/bucket.c migrate/handoff.c */
/* sources: migrate/stats.c hv/lib/stream.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* What peers of a destination can hold, and for how long: places, memory, and what is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/peers.h"

/* Two moves of a VM at once: the second is refused, the first goes on. */
static void test_two_at_once(void **state)
{
    struct peer *first = reserved();
    struct line second;

    (void)state;
    line_open(&second, &first->w.dest);
    line_header(&second, WIRE_MOVE, 0, 9);
    pump(first);
    line_hear(&second);
    assert_int_equal(second.refused.code, WIRE_E_BUSY);
    assert_string_equal(second.refused.reason, "this VM is moving already");
    assert_true(first->w.dest_vm.exists && !first->gone);
    line_close(&second);
    peer_free(first);
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
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_alive_and_idle),
        cmocka_unit_test(test_oldest_idle_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

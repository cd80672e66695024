/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c */
/* sources: migrate/source_digest.c migrate/ram_digest.c migrate/dest.c migrate/dest_load.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: migrate/record.c migrate/crc32c.c migrate/ram.c migrate/policy.c migrate/bucket.c migrate/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Who says nothing is dead; who works and has a slow clock is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_slow_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

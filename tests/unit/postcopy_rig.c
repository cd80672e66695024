/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/postcopy_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"

struct migrate_settings split_settings(unsigned rounds)
{
    struct migrate_settings settings = world_settings();

    settings.verify = false;
    settings.split = true;
    settings.policy.max_rounds = rounds;
    return settings;
}

struct world *begin(struct migrate_settings settings)
{
    struct world *w = malloc(sizeof(*w));

    world_init(w);
    w->writes = 3;
    w->working_set = 300;
    assert_int_equal(source_start(&w->source, &settings), 0);
    return w;
}

void end(struct world *w)
{
    world_fini(w);
    free(w);
}

void assert_arrived(struct world *w)
{
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    assert_int_equal(w->dest_vm.nr_missing, 0);
    assert_int_equal(w->dest.incoming[0].handoff.state, DEST_RUNNING);
    assert_false(w->source_vm.exists);
}

void assert_smooth(struct world *w)
{
    assert_arrived(w);
    assert_true(w->dest.incoming[0].settled);
    assert_int_equal(w->source.stats.recoveries, 0);
    assert_true(w->source.stats.wire_bytes > w->source.stats.transferred); /* by both connections */
    assert_int_equal(w->dest_vm.twice, 0);                                 /* each page crosses once */
}

struct world *begin_slow(bool demand)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;

    settings.max_bandwidth = 400000;
    settings.demand = demand;
    w = begin(settings);
    memset(w->source_vm.memory, 7, FAKE_PAGES * PAGE_SIZE);
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    w->source.bucket.tokens = 0;
    w->source.bucket.filled = w->now;
    return w;
}

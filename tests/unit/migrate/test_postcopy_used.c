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
/* What the guest used before it stopped comes first. */
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

#define FIRST_USED 250
#define USED 40

/* How many pages of the end of memory come before those of its beginning? All are pushed; the guest used those of the
 * end before it stopped, and wants none. */
static unsigned used_first(bool no_a_bits)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;
    unsigned first = 0;

    settings.max_bandwidth = 400000;
    w = begin(settings);
    w->writes = 0;
    w->source_vm.no_a_bits = no_a_bits;
    memset(w->source_vm.memory, 7, FAKE_PAGES * PAGE_SIZE);
    while (w->source.stage != STAGE_STOP) {
        for (unsigned i = FIRST_USED; i < FIRST_USED + USED; i++)
            w->source_vm.used[i / 64] |= BIT(i % 64);
        world_step(w);
    }
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    while (w->dest_vm.missing[0] && w->source.stage == STAGE_SERVE)
        world_step(w);
    for (unsigned i = FIRST_USED; i < FIRST_USED + USED; i++)
        first += !w->dest_vm.missing[i];
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
    return first;
}

static void test_used_pages_come_first(void **state)
{
    (void)state;
    assert_int_equal(used_first(false), USED);
    assert_int_equal(used_first(true), 0);
}

/* Nothing is pushed, so nobody needs to know. */
static void test_demand_does_not_look(void **state)
{
    struct migrate_settings settings = split_settings(0);
    struct world *w;

    (void)state;
    settings.demand = true;
    w = begin(settings);
    while (w->source.stage != STAGE_SERVE)
        world_step(w);
    assert_int_equal(w->source_vm.looks, 0);
    assert_int_equal(source_pull(&w->source), 0);
    world_run(w, STEPS);
    assert_smooth(w);
    end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_pages_come_first),
        cmocka_unit_test(test_demand_does_not_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

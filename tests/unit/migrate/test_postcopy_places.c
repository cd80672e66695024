/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Which connections a destination keeps for guests whose pages are missing. */
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
#include "tests/unit/world.h"

/* A source that only says that it lives keeps no connection when its guest has ended there. */
static void test_places(void **state)
{
    struct migrate_settings settings = world_settings();
    struct world *w = malloc(sizeof(*w));
    struct source *s = &w->source;
    unsigned used = 0;

    (void)state;
    settings.verify = false;
    settings.split = settings.demand = true;
    settings.policy.max_rounds = 0;
    world_init(w);
    w->working_set = 300;
    assert_int_equal(source_start(s, &settings), 0);
    while (s->stage != STAGE_SERVE)
        world_step(w);
    dest_forget(&w->dest, &w->dest_vm);
    w->dest_vm.exists = w->dest_vm.running = false;
    fake_vm_free(&w->dest_vm);
    for (unsigned i = 0; i < 30; i++) {
        w->now += 900000000;
        world_tick(w);
        outbox_record(&s->outbox, WIRE_KEEPALIVE, &s->work, sizeof(s->work));
        outbox_flush(&s->outbox, &s->transport);
        outbox_record(&s->lane->outbox, WIRE_KEEPALIVE, &s->work, sizeof(s->work));
        outbox_flush(&s->lane->outbox, &s->lane->transport);
        dest_step(&w->dest);
    }
    for (unsigned i = 0; i < DEST_SESSIONS; i++)
        used += w->dest.session[i].used;
    assert_int_equal(used, 0);
    source_resolve(s, RESOLUTION_FORCE_GIVE_UP);
    while (source_active(s))
        world_tick(w), source_step(s), dest_step(&w->dest);
    world_fini(w);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_places) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

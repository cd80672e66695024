/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_stages.c migrate/source_ram.c migrate/dest.c migrate/dest_load.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c */
/* sources: migrate/record.c migrate/crc32c.c migrate/ram.c migrate/policy.c migrate/bucket.c migrate/handoff.c */
/* sources: migrate/stats.c hv/lib/stream.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Who owns a guest between two machines: epochs, claims, and copies that nobody tells to run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/lib/bits.h"
#include "tests/unit/world.h"

#define STEPS 60000

static void move(struct world *w, struct migrate_settings settings)
{
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
}

/* A destination that remembers a later epoch than the source knows of is passed by; one that nobody believes is not
 * taken, nor remembered. */
static void test_epochs(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct incoming *in = &w->dest.incoming[5];

    (void)state;
    world_init(w);
    *in = (struct incoming){ .used = true, .handoff = { .state = DEST_ABORTED, .epoch = 20 } };
    memcpy(in->vm_id, world_id, WIRE_ID);
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_REPLAY);
    w->source.handoff.proposed = 20 + EPOCH_STEP;
    move(w, world_settings());
    assert_string_equal(w->source.stats.reason, "the epoch is above all that is credible");
    assert_int_equal(w->dest.noise, 1);
    w->source.handoff.proposed = 7;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_REPLAY);
    move(w, world_settings());
    assert_int_equal(w->source.stats.epoch, 21);
    assert_int_equal(world_where(w), 2);
    world_fini(w);

    world_init(w);
    w->source.handoff.proposed = EPOCH_MAX;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_STREAM);
    assert_false(w->dest.incoming[0].used);
    world_fini(w);
    free(w);
}

/* Prepared, and nobody comes: after its time-out it is over, and a COMMIT that comes then is answered ABORTED. */
static void test_prepared_times_out(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_to_commit(w);
    w->pipe[0].way[0].used = 0;
    w->pipe[0].broken = true;
    w->link_down = true;
    for (unsigned i = 0; i < 100; i++)
        world_step(w);
    assert_true(w->dest_vm.exists && !w->dest_vm.running);
    w->now += 31 * 1000000000ULL;
    world_step(w);
    assert_false(w->dest_vm.exists);
    w->link_down = false;
    world_run(w, STEPS * 4);
    assert_int_equal(w->source.stats.status, MIGRATE_FAILED);
    assert_int_equal(world_where(w), 1);
    world_fini(w);
    free(w);
}

/* What is prepared for an epoch that is over is freed; what runs is its own VM's to stop. */
static void test_dest_hears(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_to_commit(w);
    assert_true(w->dest_vm.exists);
    dest_heard(&w->dest, world_id, 8);
    assert_true(w->dest_vm.exists);
    dest_heard(&w->dest, world_id, 9);
    assert_false(w->dest_vm.exists);
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 1); /* told that it was aborted */
    world_fini(w);

    world_init(w);
    move(w, world_settings());
    dest_heard(&w->dest, world_id, 9);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* In whatever stage the claim of another owner comes: the copy stands, port shut, until the operator decides. */
static void test_source_hears(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    for (unsigned steps = 0; steps < 400; steps++) {
        world_init(w);
        w->writes = 1;
        assert_int_equal(source_start(&w->source, &settings), 0);
        for (unsigned i = 0; i < steps && w->source.handoff.state != SOURCE_GONE; i++)
            world_step(w);
        if (w->source.handoff.state == SOURCE_GONE) {
            source_heard(&w->source, 20);
            assert_int_equal(world_where(w), 2);
            world_run(w, STEPS);
            world_fini(w);
            free(w);
            assert_true(steps > 10); /* there were stages to hear it in */
            return;
        }
        source_heard(&w->source, 20);
        assert_int_equal(w->source.handoff.state, SOURCE_SUPERSEDED);
        assert_true(w->source_vm.exists && !w->source_vm.running && !w->source_vm.gate_open && !w->source_vm.logging);
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.error, WIRE_E_REPLAY);
        assert_int_equal(source_start(&w->source, &settings), -EPERM);
        assert_true(!w->source_vm.running);
        assert_int_equal(source_resolve(&w->source, SOURCE_QUERY_ABORT), 0);
        assert_true(!w->source_vm.running);
        w->dest_down = true; /* it may run there, too, if COMMIT was under way: that is what force is about */
        world_crash_dest(w);
        assert_int_equal(source_resolve(&w->source, SOURCE_FORCE_RESUME), 0);
        assert_true(w->source_vm.running && w->source_vm.gate_open);
        assert_int_equal(w->source.handoff.epoch, 21);
        assert_int_equal(w->announced > 0, true);
        source_heard(&w->source, 22);
        assert_int_equal(source_resolve(&w->source, SOURCE_FORCE_GIVE_UP), 0);
        assert_false(w->source_vm.exists);
        world_fini(w);
    }
    fail();
}

static void test_claims(void **state)
{
    struct wire_claim claim, read;
    u8 bytes[46] = { 0 };

    (void)state;
    claim_make(&claim, world_id, 12);
    memcpy(bytes, &claim, sizeof(claim));
    assert_int_equal(claim_read(&read, bytes, sizeof(bytes)), 0);
    assert_int_equal(read.epoch, 12);
    assert_memory_equal(read.vm_id, world_id, WIRE_ID);
    assert_int_equal(claim_read(&read, bytes, sizeof(claim) - 1), -EPROTO);
    for (unsigned bit = 0; bit < sizeof(claim) * 8; bit++) {
        bytes[bit / 8] ^= 1u << bit % 8;
        assert_int_equal(claim_read(&read, bytes, sizeof(bytes)), -EPROTO);
        bytes[bit / 8] ^= 1u << bit % 8;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),     cmocka_unit_test(test_prepared_times_out),
        cmocka_unit_test(test_dest_hears), cmocka_unit_test(test_source_hears),
        cmocka_unit_test(test_claims),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

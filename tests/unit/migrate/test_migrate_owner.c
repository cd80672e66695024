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
/* Who owns a guest between two machines: epochs, claims, and copies that nobody tells to run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
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
    *in = (struct incoming){ .used = true, .stats.prepared = 1, .handoff = { DEST_ABORTED, 20 } };
    in->error = WIRE_E_CANCEL;
    strcpy(in->reason, "cancelled");
    memcpy(in->vm_id, world_id, WIRE_ID);
    move(w, world_settings());
    assert_int_equal(w->source.stats.epoch, 21);
    assert_int_equal(w->pipes, 2);
    assert_int_equal(world_where(w), 2);
    world_fini(w);

    world_init(w);
    w->source.handoff.proposed = EPOCH_MAX;
    move(w, world_settings());
    assert_string_equal(w->source.stats.reason, "the epoch is above all that is credible");
    assert_int_equal(w->dest.noise, 1);
    assert_false(w->dest.incoming[0].used);
    world_fini(w);
    free(w);
}

/* COMMIT is said and lost, and the link is down: the destination is stranded, the source in doubt. */
static void strand(struct world *w)
{
    world_to_commit(w);
    w->pipe[0].way[0].used = 0;
    w->pipe[0].broken = true;
    w->link_down = true;
    for (unsigned i = 0; i < 100; i++)
        world_step(w);
    assert_ptr_equal(dest_stranded(&w->dest, &w->dest_vm), &w->dest.incoming[0]);
}

/* The only whole copy is not freed by a clock. Adopted, it runs with all the time that it stood; and its source, if it
 * lives after all, learns so from whatever it asks. */
static void test_adopt(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    for (unsigned wish = 0; wish < 2; wish++) {
        strand(w);
        w->now += 3600 * 1000000000ULL;
        world_step(w);
        assert_true(w->dest_vm.exists && !w->dest_vm.running);
        assert_int_equal(dest_resolve(&w->dest, &w->source_vm, true), -ENOENT);
        assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, true), 0);
        assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, true), -ENOENT);
        assert_int_equal(world_where(w), 2);
        assert_true(w->dest_vm.paused_ns > 3600 * 1000000000ULL && w->dest_vm.paused_ns < 3601 * 1000000000ULL);
        if (wish)
            source_resolve(&w->source, RESOLUTION_ABORT);
        w->link_down = false;
        world_run(w, STEPS * 4);
        assert_int_equal(w->source.handoff.state, SOURCE_GONE);
        assert_int_equal(world_where(w), 2);
        assert_int_equal(w->announced, 1);
        world_fini(w);
    }
    free(w);
}

/* Who asks is told of every copy that may be the only one: of a prepared one, though its connection stands, as its
 * source may have died just now; and of the source's from PREPARE on. */
static void test_held_copies(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    bool held = false;

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.handoff.state == SOURCE_OWNER) {
        assert_null(dest_find(&w->dest, &w->dest_vm, DEST_PREPARED));
        assert_false(source_state_holds(w->source.handoff.state));
        world_step(w);
    }
    while (w->source.handoff.state == SOURCE_PREPARING) {
        assert_true(source_state_holds(w->source.handoff.state));
        assert_null(dest_stranded(&w->dest, &w->dest_vm));
        held |= dest_find(&w->dest, &w->dest_vm, DEST_PREPARED) != NULL;
        world_step(w);
    }
    assert_true(held);
    assert_true(source_state_holds(w->source.handoff.state));
    world_run(w, STEPS);
    assert_null(dest_find(&w->dest, &w->dest_vm, DEST_PREPARED));
    assert_false(source_state_holds(w->source.handoff.state));
    world_fini(w);
    free(w);
}

/* Adopted by mistake, for the source had not heard PREPARED and went on: it stands as soon as it hears the claim. */
static void test_adopt_wrongly(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->dest.incoming[0].handoff.state != DEST_PREPARED)
        world_step(w);
    assert_int_equal(w->source.stage, STAGE_PREPARE);
    w->pipe[0].broken = w->link_down = true;
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 1);
    world_claim_to_source(w, 8, WORLD_OWNER + 1, 0);
    assert_int_equal(w->source.handoff.state, SOURCE_SUPERSEDED);
    world_fini(w);
    free(w);
}

/* Given up by the operator: the source that lives after all gets its guest back, as a COMMIT that comes later does not
 * find it. */
static void test_stranded_given_up(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    strand(w);
    assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, false), 0);
    assert_false(w->dest_vm.exists);
    w->link_down = false;
    world_run(w, STEPS * 4);
    assert_int_equal(w->source.stats.status, MIGRATE_FAILED);
    assert_int_equal(world_where(w), 1);
    assert_true(w->dest.incoming[0].settled); /* the answer has come, and may be forgotten */
    world_fini(w);
    free(w);
}

/* Its owner goes on under its old epoch, so it is void: when that is certain, and when it is that owner who says so. */
static void test_stranded_owner_heard(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    strand(w);
    world_claim(w, 7, WORLD_OWNER); /* said before PREPARE, perhaps */
    assert_true(w->dest_vm.exists);
    w->now += 3000000000;
    world_claim(w, 7, WORLD_OWNER + 1);
    world_claim(w, 8, WORLD_OWNER);
    assert_true(w->dest_vm.exists);
    world_claim(w, 7, WORLD_OWNER);
    assert_false(w->dest_vm.exists);
    source_resolve(&w->source, RESOLUTION_FORCE_GIVE_UP);
    world_fini(w);
    free(w);
}

/* Another attempt of its source makes it void, but not before that is accepted; one of another source does not. */
static void test_stranded_and_tried_again(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        strand(w);
        w->link_down = false;
        assert_int_equal(source_resolve(&w->source, RESOLUTION_FORCE_RESUME), 0);
        world_run(w, STEPS);
        w->source.owner += other;
        w->refuse_check = WIRE_E_DEVICE;
        move(w, settings);
        assert_int_equal(w->source.stats.error, other ? WIRE_E_BUSY : WIRE_E_DEVICE);
        assert_ptr_equal(dest_stranded(&w->dest, &w->dest_vm), &w->dest.incoming[0]);
        w->refuse_check = WIRE_OK;
        move(w, settings);
        assert_int_equal(world_where(w), other ? 1 : 2);
        assert_true(w->dest_vm.exists);
        if (other)
            assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, false), 0);
        world_fini(w);
    }
    free(w);
}

/* Another guest that would not fit otherwise takes its memory, a check does not. */
static void test_stranded_makes_room(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    struct source other;

    (void)state;
    for (unsigned check = 0; check < 2; check++) {
        u8 id[WIRE_ID] = "b guest's name.";

        strand(w);
        w->link_down = false;
        w->full = true;
        source_init(&other, w->source.ops, &w->source_vm, id, 7, WORLD_OWNER);
        w->source_vm.logging = false; /* the other guest's log, which is off */
        settings.dry_run = check;
        assert_int_equal(source_start(&other, &settings), 0);
        for (unsigned i = 0; i < 300 && other.stage < STAGE_ROUND && source_active(&other); i++) {
            w->now += 1000000;
            source_step(&other);
            dest_step(&w->dest);
        }
        assert_int_equal(w->dest.incoming[0].handoff.state, check ? DEST_PREPARED : DEST_ABORTED);
        if (!check)
            assert_string_equal(w->dest.incoming[0].reason, "its memory is needed for another guest");
        assert_int_equal(other.stats.error, WIRE_OK);
        source_cancel(&other);
        for (; source_active(&other); w->now += 1000000)
            source_step(&other);
        source_resolve(&w->source, RESOLUTION_FORCE_GIVE_UP);
        world_fini(w);
    }
    free(w);
}

/* What is prepared for an epoch that is over is freed; what runs is its own VM's to stop. */
static void test_dest_hears(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_to_commit(w);
    assert_true(w->dest_vm.exists);
    world_claim(w, 8, WORLD_OWNER + 1);
    assert_true(w->dest_vm.exists);
    world_claim(w, 9, WORLD_OWNER + 1);
    assert_false(w->dest_vm.exists);
    world_run(w, STEPS);
    assert_int_equal(world_where(w), 1); /* told that it was aborted */
    world_fini(w);

    world_init(w);
    move(w, world_settings());
    world_claim(w, 9, WORLD_OWNER + 1);
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
            world_claim_to_source(w, 20, WORLD_OWNER + 1, 0);
            assert_int_equal(world_where(w), 2);
            world_run(w, STEPS);
            world_fini(w);
            free(w);
            assert_true(steps > 10); /* there were stages to hear it in */
            return;
        }
        world_claim_to_source(w, 20, WORLD_OWNER + 1, 0);
        assert_int_equal(w->source.handoff.state, SOURCE_SUPERSEDED);
        assert_true(w->source_vm.exists && !w->source_vm.running && !w->source_vm.gate_open);
        world_run(w, STEPS);
        assert_false(w->source_vm.logging);
        assert_int_equal(w->source.stats.error, WIRE_E_REPLAY);
        assert_int_equal(source_start(&w->source, &settings), -EPERM);
        assert_true(!w->source_vm.running);
        assert_int_equal(source_resolve(&w->source, RESOLUTION_ABORT), 0);
        assert_true(!w->source_vm.running);
        w->dest_down = true; /* it may run there, too, if COMMIT was under way: that is what force is about */
        world_crash_dest(w);
        assert_int_equal(source_resolve(&w->source, RESOLUTION_FORCE_RESUME), 0);
        assert_true(w->source_vm.running && w->source_vm.gate_open);
        assert_int_equal(w->source.handoff.epoch, 20 + EPOCH_FORCE + WORLD_OWNER);
        assert_int_equal(w->announced > 0, true);
        world_claim_to_source(w, 20 + 3 * EPOCH_FORCE, WORLD_OWNER + 1, 0);
        assert_int_equal(source_resolve(&w->source, RESOLUTION_FORCE_GIVE_UP), 0);
        assert_false(w->source_vm.exists);
        world_fini(w);
    }
    fail();
}

/* A destination that refuses in the middle of a move, as if it had not accepted, ends it: the log does not stay on, and
 * the guest is not left standing. */
static void test_refused_too_late(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    struct wire_refused refused = { .code = WIRE_E_REPLAY, .epoch = 20 };
    struct dest_session *session = &w->dest.session[0];

    (void)state;
    for (enum stage stage = STAGE_ROUND; stage <= STAGE_STATE; stage++) {
        world_init(w);
        w->writes = 3;
        w->cap = 9000;
        assert_int_equal(source_start(&w->source, &settings), 0);
        while (w->source.stage < stage)
            world_step(w);
        assert_int_equal(outbox_flush(&session->outbox, &session->transport), 0); /* it may just say KEEPALIVE */
        outbox_record(&session->outbox, WIRE_REFUSED, &refused, sizeof(refused));
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.error, WIRE_E_REPLAY);
        assert_int_equal(w->pipes, 1);
        assert_int_equal(world_where(w), 1);
        assert_false(w->source_vm.logging);
        world_fini(w);
    }
    free(w);
}

/* Both ends go on until the source is idle, though the guest is in nobody's hands. */
static void run_given_up(struct world *w)
{
    for (unsigned i = 0; source_active(&w->source); i++) {
        assert_true(i < STEPS);
        world_tick(w);
        source_step(&w->source);
        dest_step(&w->dest);
    }
}

/* Claimed in the middle of a move and given up at once, or when a part of the move's log and last words is left:
 * nothing is said for the guest any more, and its machine lets it go once (the world asserts that). */
static void test_given_up_anywhere(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    bool gone = false;

    (void)state;
    for (unsigned n = 0; !gone; n++) {
        for (unsigned m = 0; m < 3; m++) {
            unsigned pipes;

            world_init(w);
            w->writes = 1;
            w->cap = 40000;
            assert_int_equal(source_start(&w->source, &settings), 0);
            for (unsigned i = 0; i < n; i++)
                world_step(w);
            gone = w->source.handoff.state == SOURCE_GONE;
            world_claim_to_source(w, 20, WORLD_OWNER + 1, 0);
            pipes = w->pipes;
            for (unsigned i = 0; i < m; i++)
                world_step(w);
            if (!gone)
                assert_int_equal(source_resolve(&w->source, RESOLUTION_FORCE_GIVE_UP), 0);
            run_given_up(w);
            assert_false(w->source_vm.exists);
            assert_int_equal(w->pipes, pipes);
            world_fini(w);
        }
    }
    free(w);
}

/* A move that ends because the guest is claimed says under which epoch: a higher one, or its own with the elder copy.
 */
static void test_claimed_while_it_moves(void **state)
{
    static const char *const reasons[] = { "another machine owns it under the same epoch, and its copy is to stay",
                                           "another machine owns it under a higher epoch" };
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    for (u64 higher = 0; higher < 2; higher++) {
        world_init(w);
        assert_int_equal(source_start(&w->source, &settings), 0);
        for (unsigned i = 0; i < 10; i++)
            world_step(w);
        world_claim_to_source(w, 7 + 2 * higher, WORLD_OWNER + 1, 2 * WORLD_AGE_MS);
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.status, MIGRATE_FAILED);
        assert_string_equal(w->source.stats.reason, reasons[higher]);
        assert_true(w->source_vm.exists && !w->source_vm.running && !w->dest_vm.exists);
        world_fini(w);
    }
    free(w);
}

/* Two copies of one epoch hear each other, in either order, after any delay: exactly one goes on, the elder if that is
 * clear. */
static void two_meet(u64 apart, bool low_is_elder, u64 delay)
{
    struct wire_claim low = { .owner = WORLD_OWNER, .age_ms = 9000 + (low_is_elder ? apart : 0) };
    struct wire_claim high = { .owner = WORLD_OWNER + 1, .age_ms = 9000 + (low_is_elder ? 0 : apart) };
    bool high_goes_on;

    /* What the judge says of its own accord decides nothing. */
    assert_false(claim_prevails(&low, high.owner, high.age_ms + delay));
    high_goes_on = claim_prevails(&high, low.owner, low.age_ms + delay);
    low.rival = high_goes_on ? 0 : high.owner;
    assert_int_equal(claim_prevails(&low, high.owner, high.age_ms + delay), !high_goes_on);
    if (apart >= WIRE_HEARD_MS + delay)
        assert_int_equal(high_goes_on, !low_is_elder);
}

/* The witness names one of them, and only that one knows it: it goes on, whoever judges. */
static void test_rivals_and_a_deed(void **state)
{
    struct wire_claim low = { .owner = 4, .age_ms = 9000 }, high = { .owner = 5, .age_ms = WIRE_AGE_DEED };

    (void)state;
    assert_true(claim_prevails(&high, low.owner, low.age_ms));
    low.age_ms = WIRE_AGE_DEED;
    high.age_ms = 90000;
    assert_false(claim_prevails(&high, low.owner, low.age_ms));
    low.rival = high.owner;
    assert_true(claim_prevails(&low, high.owner, high.age_ms));
}

static void test_rivals(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    for (u64 apart = 0; apart < 2 * WIRE_HEARD_MS; apart += 50)
        for (u64 delay = 0; delay < 400; delay += 7) {
            two_meet(apart, true, delay);
            two_meet(apart, false, delay);
        }
    world_init(w);
    world_claim_to_source(w, 7, WORLD_OWNER + 1, 7000); /* younger than ours, which is as old as the world */
    assert_int_equal(world_where(w), 1);
    world_claim_to_source(w, 7, WORLD_OWNER - 1, 90000); /* the other one judges, and has not said how */
    assert_int_equal(world_where(w), 1);
    world_claim_to_source(w, 7, WORLD_OWNER + 1, 13000);
    assert_int_equal(w->source.handoff.state, SOURCE_SUPERSEDED);
    world_fini(w);
    free(w);
}

static void test_claims(void **state)
{
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .epoch = 12, .owner = 5, .name = "guest" }, read;
    u8 bytes[sizeof(claim) + 20] = { 0 };

    (void)state;
    memcpy(claim.vm_id, world_id, WIRE_ID);
    claim_seal(&claim);
    memcpy(bytes, &claim, sizeof(claim));
    assert_int_equal(claim_read(&read, bytes, sizeof(bytes)), 0);
    assert_memory_equal(&read, &claim, sizeof(claim));
    assert_int_equal(claim_read(&read, bytes, sizeof(claim) - 1), -EPROTO);
    for (unsigned bit = 0; bit < sizeof(claim) * 8; bit++) {
        bool version = bit / 32 == offsetof(struct wire_claim, version) / 4;

        bytes[bit / 8] ^= 1u << bit % 8;
        assert_int_equal(claim_read(&read, bytes, sizeof(bytes)), version ? -ENOTSUP : -EPROTO);
        bytes[bit / 8] ^= 1u << bit % 8;
    }
    memset(claim.name, 'x', sizeof(claim.name)); /* without an end */
    claim_seal(&claim);
    assert_int_equal(claim_read(&read, (u8 *)&claim, sizeof(claim)), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_held_copies),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_adopt_wrongly),
        cmocka_unit_test(test_stranded_given_up),
        cmocka_unit_test(test_stranded_owner_heard),
        cmocka_unit_test(test_stranded_and_tried_again),
        cmocka_unit_test(test_stranded_makes_room),
        cmocka_unit_test(test_dest_hears),
        cmocka_unit_test(test_source_hears),
        cmocka_unit_test(test_refused_too_late),
        cmocka_unit_test(test_given_up_anywhere),
        cmocka_unit_test(test_claimed_while_it_moves),
        cmocka_unit_test(test_rivals),
        cmocka_unit_test(test_rivals_and_a_deed),
        cmocka_unit_test(test_claims),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

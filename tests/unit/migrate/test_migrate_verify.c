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
/* Verification: what differs is found, and what is clean is digested before the guest stands. */
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
#define CHANGED 200 /* a page that the guest never writes */

static void move(struct world *w, struct migrate_settings settings)
{
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
}

/* A dirty log that loses a page is what verification is for. */
static void test_verify_finds_lost_page(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->writes = 5;
    w->forgets = 1;
    move(w, world_settings());
    assert_int_equal(w->source.stats.status, MIGRATE_FAILED);
    assert_true(w->source.stats.error == WIRE_E_DIGEST || w->source.stats.error == WIRE_E_DAMAGED);
    assert_int_equal(world_where(w), 1);
    world_fini(w);
    free(w);
}

/* A page with contents that the source takes for untouched comes as zeros. */
static void test_verify_finds_page_taken_for_zeros(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->overlooked = CHANGED + 1;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_DIGEST);
    assert_int_equal(world_where(w), 1);
    world_fini(w);
    free(w);
}

/* State that is restored otherwise than it was saved is found, and named. */
static void test_verify_names_wrong_state(void **state)
{
    struct world *w = malloc(sizeof(*w));

    (void)state;
    world_init(w);
    w->restores_wrong = true;
    move(w, world_settings());
    assert_int_equal(w->source.stats.error, WIRE_E_DIGEST);
    assert_string_equal(w->source.stats.reason, "state of vcpu 0 differs from the source's");
    assert_int_equal(world_where(w), 1);
    world_fini(w);
    free(w);
}

/* With so many live rounds at most, 0: stop-and-copy, both ends digest in the downtime what is sent in it, no more. */
static void test_little_is_digested_in_the_downtime(void **state)
{
    static const unsigned rounds[] = { 0, 1, 2, 10 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rounds); i++) {
        struct world *w = malloc(sizeof(*w));
        struct migrate_settings settings = world_settings();
        const struct migrate_stats *stats = &w->source.stats;
        u64 sent;

        world_init(w);
        w->writes = 2;
        settings.policy.max_rounds = rounds[i];
        move(w, settings);
        assert_int_equal(stats->status, MIGRATE_COMPLETED);
        assert_true(stats->rounds <= rounds[i]);
        sent = stats->stopped.pages + stats->stopped.zero;
        assert_int_equal(stats->downtime_verify_bytes, sent * WIRE_PAGE);
        assert_int_equal(w->dest.incoming[0].stats.verify_bytes, sent * WIRE_PAGE);
        assert_true(rounds[i] ? sent <= w->working_set : sent == FAKE_PAGES);
        world_fini(w);
        free(w);
    }
}

/* Who does not ask for it has no digests, and no rounds for them. */
static void test_unverified(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    settings.verify = false;
    move(w, settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(w->source.stats.rounds, 1);
    assert_int_equal(w->source.stats.downtime_verify_bytes, 0);
    assert_int_equal(w->dest.incoming[0].stats.verify_bytes, 0);
    world_fini(w);
    free(w);
}

/* While the guest runs it is not kept waiting: an end digests one part of its memory in a step. */
static void test_others_have_their_turn(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    u64 most = 0, before;

    (void)state;
    world_init(w);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (source_active(&w->source)) {
        before = w->source.digested.pages;
        world_step(w);
        if (w->source.stage < STAGE_STOP && w->source.digested.pages > before)
            most = MAX(most, w->source.digested.pages - before);
    }
    assert_int_equal(most, WIRE_KEEPALIVE_PAGES);
    world_fini(w);
    free(w);
}

/* Pages that cost time to digest count in what is expected. */
static void test_it_is_expected(void **state)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    const struct migrate_stats *stats = &w->source.stats;
    const u64 page_ns = 100000;
    u64 left, sending_us;

    (void)state;
    world_init(w);
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE); /* no zeros, whose cost is another one */
    w->writes = 30;
    w->page_ns[0] = w->page_ns[1] = page_ns;
    settings.policy.downtime_limit = 0;
    move(w, settings);
    assert_int_equal(stats->status, MIGRATE_COMPLETED);
    assert_in_range(w->source.page_ns, 2 * page_ns, 3 * page_ns);
    assert_true(stats->verify_time >= stats->stopped.pages * page_ns);
    left = stats->round[stats->rounds - 1].dirtied;
    assert_true(left >= 10);
    sending_us = left * WIRE_PAGE * 1000000 / stats->prediction.rate;
    assert_true(stats->prediction.downtime_us >= sending_us + left * 2 * page_ns / 1000);
    world_fini(w);
    free(w);
}

enum outcome { FOUND, SAME, MISSED };

/* Has this end digested the page as it is, for good? */
static bool is_digested(const struct fake_vm *vm, const struct ram_digest *digest)
{
    return vm->exists && (!digest->stale || !bitmap_test(digest->stale, CHANGED));
}

/* A byte of a page changes at an end after n steps of a move, behind the dirty log and the stream. *digested: had this
 * end digested the page by then? Returns false if the move was over, or committed. */
static bool change_after(unsigned n, bool at_dest, u32 rounds, bool *digested, enum outcome *outcome)
{
    struct world *w = malloc(sizeof(*w));
    struct migrate_settings settings = world_settings();
    struct fake_vm *vm = at_dest ? &w->dest_vm : &w->source_vm;
    u64 at = CHANGED * PAGE_SIZE + n % PAGE_SIZE;
    bool under_way;
    u8 expected;

    world_init(w);
    w->writes = 1;
    w->forgets = CHANGED + 1; /* nobody logs it */
    expected = w->source_vm.memory[at] ^ (at_dest ? 0 : 0x10);
    settings.policy.max_rounds = rounds;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (unsigned i = 0; i < n; i++)
        world_step(w);
    under_way = w->source.stage < STAGE_COMMIT;
    *digested = is_digested(vm, at_dest ? &w->dest.incoming[0].digest : &w->source.digest);
    if (under_way && vm->exists)
        vm->memory[at] ^= 0x10;
    world_run(w, STEPS);
    if (w->source.stats.status == MIGRATE_COMPLETED) {
        *outcome = w->dest_vm.memory[at] == expected ? SAME : MISSED;
    } else {
        assert_true(w->source.stats.error == WIRE_E_DIGEST || w->source.stats.error == WIRE_E_DAMAGED);
        assert_int_equal(world_where(w), 1);
        *outcome = FOUND;
    }
    world_fini(w);
    free(w);
    return under_way;
}

/* A byte that changes at either end, at any moment, is found, or goes with the guest; but for what changes after it was
 * digested, which in stop-and-copy is after PREPARE. */
static void test_change_anywhere(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        unsigned count[3] = { 0 };
        enum outcome outcome;
        bool digested;

        for (unsigned n = 1; change_after(n, how & 1, how & 2 ? 0 : 10, &digested, &outcome); n++) {
            assert_int_equal(outcome == MISSED, digested);
            count[outcome]++;
        }
        assert_true(count[FOUND] && count[SAME] && count[MISSED]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_finds_lost_page),
        cmocka_unit_test(test_verify_finds_page_taken_for_zeros),
        cmocka_unit_test(test_verify_names_wrong_state),
        cmocka_unit_test(test_little_is_digested_in_the_downtime),
        cmocka_unit_test(test_unverified),
        cmocka_unit_test(test_others_have_their_turn),
        cmocka_unit_test(test_it_is_expected),
        cmocka_unit_test(test_change_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/dest_fill.c tests/unit/world_memory.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Guests that start anew at the destination, and files that follow a guest: they are there, or it stays; whatever
 * breaks, it lives exactly once, and no file is used that is not what was sent. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/fake_kept.h"
#include "tests/unit/world.h"
#include "tests/unit/world_cold.h"

#define STEPS 60000

static struct world *w;

static int setup(void **unused)
{
    (void)unused;
    w = malloc(sizeof(*w));
    world_init(w);
    w->shuts_down = 3;
    world_files(0, false);
    return 0;
}

/* Whatever has come of it, nobody holds a file when all connections have ended. */
static int teardown(void **unused)
{
    (void)unused;
    world_fini(w);
    assert_int_equal(fake_kept_holds(), 0);
    assert_int_equal(fake_kept_part(), 0);
    free(w);
    return 0;
}

static struct migrate_settings cold(void)
{
    return (struct migrate_settings){ .cold = true };
}

static struct migrate_settings with_images(void)
{
    return (struct migrate_settings){ .policy = { .downtime_limit = 1, .max_rounds = 10 }, .follow = true };
}

static void move(struct migrate_settings settings)
{
    w->stays_off = settings.stopped;
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
}

/* It runs here and is not there, and why. */
static void assert_stayed(enum wire_code code)
{
    assert_int_equal(w->source.stats.error, code);
    assert_int_equal(world_where(w), 1);
    assert_false(w->dest_vm.exists);
    assert_int_equal(fake_kept_part(), 0);
}

static void test_it_starts_there(void **unused)
{
    (void)unused;
    w->source_vm.resets = 5;
    move(cold());
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    assert_false(w->source_vm.exists);
    assert_int_equal(fake_kept_whole(), 2);
    assert_int_equal(w->source.stats.file_bytes, FAKE_KERNEL + FAKE_INITRD);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(w->dest.incoming[0].stats.pages + w->dest.incoming[0].stats.zero, 0);
}

static void test_it_is_not_started(void **unused)
{
    struct migrate_settings settings = cold();

    (void)unused;
    settings.stopped = true;
    move(settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_false(w->source_vm.exists);
    assert_true(w->dest_vm.exists && w->dest_vm.off && !w->dest_vm.running);
    assert_int_equal(w->announced, 0);
}

static void test_only_what_is_not_there_crosses(void **unused)
{
    static const u64 crosses[] = { FAKE_KERNEL + FAKE_INITRD, FAKE_INITRD, FAKE_KERNEL, 0 };

    for (u32 has = 0; has < 4; has++) {
        world_files(has, has == 3); /* no memory is needed for nothing */
        move(cold());
        assert_int_equal(w->source.stats.file_bytes, crosses[has]);
        assert_int_equal(world_where(w), 2);
        teardown(unused);
        setup(unused);
    }
}

static void test_the_guest_does_not_shut_down(void **unused)
{
    (void)unused;
    w->shuts_down = -ETIMEDOUT;
    move(cold());
    assert_stayed(WIRE_E_TIMEOUT);
    assert_false(w->source_vm.off);
    w->shuts_down = -ECANCELED;
    move(cold());
    assert_stayed(WIRE_E_STATE);
    w->shuts_down = 30000; /* a destination that lives waits for as long as it takes */
    move(cold());
    assert_int_equal(world_where(w), 2);
}

/* Nothing is asked of the guest before all that can be known is known. */
static void test_refusals(void **unused)
{
    (void)unused;
    w->refuse_check = WIRE_E_NAME;
    move(cold());
    assert_stayed(WIRE_E_NAME);
    w->refuse_check = WIRE_OK;
    w->refuse_create = WIRE_E_MEMORY;
    move(cold());
    assert_stayed(WIRE_E_MEMORY);
    w->refuse_create = WIRE_OK;
    world_files(1, true);
    move(cold());
    assert_stayed(WIRE_E_MEMORY);
    assert_string_equal(w->source.stats.reason, "no memory for the files that it starts from");
    world_files(0, false);
    dest_limit(&w->dest, FAKE_PAGES * WIRE_PAGE + FAKE_KERNEL, 0);
    move(cold());
    assert_stayed(WIRE_E_MEMORY);
    assert_false(w->source_vm.off);
    dest_limit(&w->dest, FAKE_PAGES * WIRE_PAGE + FAKE_KERNEL + FAKE_INITRD, 0);
    move(cold());
    assert_int_equal(world_where(w), 2);
    assert_int_equal(dest_held(&w->dest), 0);
}

static void test_a_check_moves_nothing(void **unused)
{
    struct migrate_settings settings = cold();

    (void)unused;
    settings.dry_run = true;
    move(settings);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_stayed(WIRE_OK);
    assert_int_equal(fake_kept_whole(), 0);
}

static void test_cancel_anywhere(void **unused)
{
    struct migrate_settings settings = cold();

    for (unsigned steps = 1;; steps++) {
        int err = 0;

        assert_int_equal(source_start(&w->source, &settings), 0);
        for (unsigned i = 0; i < steps; i++)
            world_step(w);
        err = source_cancel(&w->source);
        world_run(w, STEPS);
        if (err == -ENOENT)
            break; /* it was over by then */
        if (!err)
            assert_stayed(WIRE_E_CANCEL);
        else
            assert_int_equal(world_where(w), 2);
        teardown(unused);
        setup(unused);
    }
}

/* How many bytes go each way. */
static void measure(struct migrate_settings settings, u64 total[2])
{
    move(settings);
    for (unsigned way = 0; way < 2; way++)
        total[way] = w->pipe[0].way[way].total;
}

static void cut_at(struct migrate_settings settings, unsigned way, u64 n)
{
    w->cut[way] = n;
    w->stays_off = settings.stopped;
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, STEPS);
    w->now += 3000000000; /* a copy that was prepared in vain goes when its owner is heard */
    if (world_where(w) == 1)
        world_claim(w, 7, WORLD_OWNER);
    assert_int_not_equal(world_where(w), 0);
    assert_true(w->source_vm.exists == (world_where(w) == 1) && w->dest_vm.exists == (world_where(w) == 2));
}

static void test_cut_anywhere(void **unused)
{
    u64 total[2];

    measure(cold(), total);
    for (unsigned way = 0; way < 2; way++)
        for (u64 n = 1; n < total[way]; n += n < 700 || n + 700 > total[way] ? 5 : 3001) {
            teardown(unused);
            setup(unused);
            cut_at(cold(), way, n);
        }
}

/* One damaged bit anywhere: it starts there from what was sent (world_cold.c), or stays. */
static void test_flip_anywhere(void **unused)
{
    u64 total[2];

    measure(cold(), total);
    for (unsigned way = 0; way < 2; way++)
        for (u64 n = 0; n < total[way]; n += n < 700 || n + 700 > total[way] ? 3 : 997) {
            teardown(unused);
            setup(unused);
            w->flip[way] = n;
            move(cold());
            assert_int_not_equal(world_where(w), 0);
        }
}

static void test_files_follow(void **unused)
{
    (void)unused;
    move(with_images());
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(world_where(w), 2);
    assert_int_equal(w->dest_vm.filed, 1);
    assert_int_equal(fake_kept_whole(), 2);
    assert_true(w->dest.incoming[0].settled);
}

/* What breaks behind RUNNING costs the files at most. */
static void test_files_that_follow_are_cut(void **unused)
{
    unsigned came = 0, lost = 0;
    u64 total[2];

    measure(with_images(), total);
    for (u64 n = total[0] - FAKE_KERNEL - FAKE_INITRD - 5000; n<total[0]; n += n + 700> total[0] ? 5 : 997) {
        teardown(unused);
        setup(unused);
        cut_at(with_images(), 0, n);
        assert_true(world_where(w) == 1 || w->source.stats.files == (w->dest_vm.filed ? FILES_THERE : FILES_FAILED) ||
                    w->dest_vm.filed); /* that they have come may not have been heard */
        came += w->dest_vm.filed;
        lost += world_where(w) == 2 && !w->dest_vm.filed;
    }
    assert_true(came && lost);
}

static void test_no_memory_for_what_follows(void **unused)
{
    (void)unused;
    world_files(0, true);
    move(with_images());
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_string_equal(w->source.stats.files_reason, "no memory for the files that it starts from");
    assert_int_equal(world_where(w), 2);
}

static void test_they_follow_a_split_guest(void **unused)
{
    struct migrate_settings settings = { .split = true, .follow = true };

    (void)unused;
    move(settings);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(w->dest_vm.filed, 1);
    assert_int_equal(world_where(w), 2);
}

/* Files behind a guest that runs count for the limits of memory, which are looked at before any is taken. */
static void test_what_follows_is_limited(void **unused)
{
    struct migrate_settings settings = with_images();
    const u64 files = FAKE_KERNEL + FAKE_INITRD;

    for (unsigned limits = 0; limits < 3; limits++) {
        assert_int_equal(source_start(&w->source, &settings), 0);
        while (!w->dest_vm.running)
            world_step(w);
        dest_limit(&w->dest, limits == 0 ? files - 1 : files, limits == 1 ? files - 1 : files);
        world_files(0, limits < 2); /* a file that is not taken needs no memory */
        world_run(w, STEPS);
        assert_int_equal(world_where(w), 2);
        assert_int_equal(w->source.stats.files, limits < 2 ? FILES_FAILED : FILES_THERE);
        assert_true(limits == 2 || strstr(w->source.stats.files_reason, "incoming-memory"));
        assert_int_equal(fake_kept_whole() + fake_kept_part(), limits < 2 ? 0 : 2);
        assert_int_equal(dest_held(&w->dest), 0);
        teardown(unused);
        setup(unused);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_starts_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_not_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_not_there_crosses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_guest_does_not_shut_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_check_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flip_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_follow_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_what_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_they_follow_a_split_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_follows_is_limited, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

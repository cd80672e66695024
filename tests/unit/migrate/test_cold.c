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
/* sources: owners/handoff.c tests/unit/peers.c */
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

#include "dev/sha256.h"
#include "hv/guest_image.h"
#include "tests/unit/fake_kept.h"
#include "tests/unit/peers.h"
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

/* As the machine does it when an operator asks for it later. */
static void send_files_again(void)
{
    struct migrate_stats stats = w->source.stats;

    source_init(&w->source, w->source.ops, &w->source_vm, world_id, 0, WORLD_OWNER);
    assert_int_equal(source_send_files(&w->source, "guest", &stats, 0), 0);
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

/* An operator who asks for that once more does no harm. */
static void test_its_files_are_there_already(void **unused)
{
    (void)unused;
    move(cold());
    send_files_again();
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(w->source.stats.file_bytes, 0);
}

/* It is not to be, or the destination's machine starts it later. */
static void test_it_is_not_started(void **unused)
{
    struct migrate_settings settings = cold();

    for (unsigned i = 0; i < 2; i++) {
        settings.stopped = i;
        w->stays_off = true;
        assert_int_equal(source_start(&w->source, &settings), 0);
        world_run(w, STEPS);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_false(w->source_vm.exists);
        assert_true(w->dest_vm.exists && w->dest_vm.off && !w->dest_vm.running);
        assert_int_equal(w->announced, 0);
        teardown(unused);
        setup(unused);
    }
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

/* A guest that would start from what it may not start from there stays, and nothing is asked of it. */
static void test_files_of_another_sha256(void **unused)
{
    static const u8 other[CONFIG_SHA256] = { 1 };

    for (unsigned i = 0; i < 2; i++) {
        fake_kept_expect(i, other);
        move(cold());
        assert_stayed(WIRE_E_RIGHTS);
        assert_false(w->source_vm.off);
        assert_string_equal(w->source.stats.reason, i ? "file 1 has another SHA-256" : "file 0 has another SHA-256");
        assert_int_equal(fake_kept_whole(), i);
        teardown(unused);
        setup(unused);
    }
}

/* One that is here already, too; and one that may come does. */
static void test_files_of_that_sha256(void **unused)
{
    static const u8 other[CONFIG_SHA256] = { 1 };
    const struct guest_image *image = fake_image(NULL);
    u8 right[CONFIG_SHA256];

    (void)unused;
    sha256(image->kernel.data, image->kernel.size, right);
    fake_kept_expect(0, right);
    move(with_images());
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(fake_kept_whole(), 2);
    fake_kept_expect(0, other);
    send_files_again();
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_string_equal(w->source.stats.files_reason, "file 0 has another SHA-256");
    assert_int_equal(world_where(w), 2);
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
    assert_true(w->dest_vm.filed);
    assert_int_equal(fake_kept_whole(), 2);
    assert_true(w->dest.incoming[0].settled);
}

/* Whatever breaks behind RUNNING, either way, they come all the same; one that came whole does so once. */
static void test_files_that_follow_are_cut(void **unused)
{
    unsigned again = 0;
    u64 total[2];

    measure(with_images(), total);
    for (unsigned way = 0; way < 2; way++)
        for (u64 n = total[way] - (way ? 400 : FAKE_KERNEL + FAKE_INITRD + 5000); n < total[way];
             n += way || n + 700 > total[way] ? 5 : 997) {
            teardown(unused);
            setup(unused);
            cut_at(with_images(), way, n);
            assert_int_equal(w->source.stats.status, world_where(w) == 2 ? MIGRATE_COMPLETED : MIGRATE_FAILED);
            assert_int_equal(w->source.stats.files, world_where(w) == 2 ? FILES_THERE : FILES_FAILED);
            assert_int_equal(w->dest_vm.filed, world_where(w) == 2);
            assert_in_range(w->source.stats.file_bytes, 0, 2 * FAKE_KERNEL + FAKE_INITRD);
            again += w->source.stats.file_bytes > FAKE_KERNEL + FAKE_INITRD;
        }
    assert_true(again);
}

/* The guest runs there, and a part of its kernel has come. */
static void files_come(void)
{
    struct migrate_settings settings = with_images();

    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stats.file_bytes < FAKE_KERNEL / 2)
        world_step(w);
    assert_int_equal(world_where(w), 2);
}

static void cut_all(void)
{
    for (unsigned i = 0; i < w->pipes; i++)
        w->pipe[i].broken = true;
}

/* The source gives up after a while; what has come by then stays, and the operator can have the rest sent. */
static void test_the_link_stays_down(void **unused)
{
    u64 cut;

    (void)unused;
    files_come();
    cut_all();
    w->link_down = true;
    cut = w->now;
    while (source_active(&w->source)) {
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(w->source.stats.files, FILES_COMING);
        world_step(w);
    }
    assert_in_range(w->now - cut, 60000000000, 62000000000);
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_string_equal(w->source.stats.files_reason, "the connection has ended");
    assert_false(w->dest_vm.filed);
    assert_int_equal(dest_held(&w->dest), 0);
    w->link_down = false;
    send_files_again();
    assert_int_equal(w->source.stats.files, FILES_COMING);
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_true(w->dest_vm.filed && w->dest.incoming[0].settled);
    assert_int_equal(w->source.stats.file_bytes, FAKE_KERNEL + FAKE_INITRD);
    send_files_again(); /* nothing is missing any more */
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_int_equal(w->source.stats.file_bytes, 0);
}

/* A link that is up again and again, but never for as long as a file takes, is given up, too. */
static void test_the_link_comes_and_goes(void **unused)
{
    u64 cut;

    (void)unused;
    files_come();
    cut_all();
    cut = w->now;
    while (source_active(&w->source)) {
        u64 bytes = w->source.stats.file_bytes;

        w->link_down = w->pipes == WORLD_PIPES;
        world_step(w);
        if (w->source.stats.file_bytes > bytes)
            cut_all();
    }
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_in_range(w->now - cut, 60000000000, 62000000000);
}

/* Files that a move did not bring can be sent after it; not to a destination that does not have the guest any more. */
static void test_files_are_sent_later(void **unused)
{
    struct migrate_settings settings = with_images();

    (void)unused;
    settings.follow = false;
    move(settings);
    assert_int_equal(w->source.stats.files, FILES_NONE);
    send_files_again();
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_THERE);
    assert_true(w->dest_vm.filed);
    w->dest_vm.running = false;
    dest_forget(&w->dest, &w->dest_vm);
    send_files_again();
    w->dest_vm.off = true;
    world_run(w, STEPS);
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_string_equal(w->source.stats.files_reason, "no guest that its files are for waits for them, or runs, there");
    world_crash_dest(w);
    send_files_again();
    world_run(w, STEPS);
    assert_string_equal(w->source.stats.files_reason, "no guest that its files are for waits for them, or runs, there");
}

static void test_the_operator_stops_them(void **unused)
{
    (void)unused;
    for (unsigned down = 0; down < 2; down++) {
        files_come();
        w->link_down = down;
        if (down)
            cut_all();
        world_step(w);
        assert_int_equal(source_stop_files(&w->source), 0);
        world_run(w, STEPS);
        assert_int_equal(source_stop_files(&w->source), -ENOENT);
        assert_int_equal(w->source.stats.files, FILES_FAILED);
        assert_string_equal(w->source.stats.files_reason, "the operator has stopped them");
        assert_int_equal(world_where(w), 2);
        assert_int_equal(dest_held(&w->dest), 0);
        teardown(unused);
        setup(unused);
    }
}

/* A file that is damaged is no use, and is not tried again; that is said once, though more of it is under way. */
static void test_what_follows_is_damaged(void **unused)
{
    (void)unused;
    files_come();
    world_damage();
    world_run(w, STEPS);
    world_damage();
    assert_int_equal(w->source.stats.files, FILES_FAILED);
    assert_string_equal(w->source.stats.files_reason, "a file that it starts from arrived damaged");
    assert_int_equal(w->pipes, 1);
    assert_int_equal(world_where(w), 2);
    assert_true(w->dest.incoming[0].settled && !w->dest_vm.filed);
    send_files_again();
    world_run(w, STEPS);
    assert_true(w->dest_vm.filed);
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
    assert_true(w->dest_vm.filed);
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

/* What the destination answers to a record; 0: nothing. */
static u32 answer(struct line *line, u32 type, const void *body, size_t len)
{
    line->heard = 0;
    line_say(line, type, body, len);
    for (unsigned i = 0; i < 5; i++)
        dest_step(&w->dest);
    line_hear(line);
    return line->heard;
}

/* The first of two files is damaged, and the second one is under way already: one answer tells of it, until another
 * OFFER. */
static void test_filed_is_said_once(void **unused)
{
    const struct wire_offer offer = { .count = 2, .file = { { 96, 1 }, { 200, 2 } } };
    struct {
        struct wire_part head;
        u8 bytes[96];
    } part = { .head = { .index = 0 } };
    struct wire_digest digest = { .index = 0 };
    struct migrate_settings settings = with_images();
    struct line line;

    (void)unused;
    settings.follow = false;
    move(settings);
    line_open(&line, &w->dest);
    line_header(&line, WIRE_RESOLVE, 0, w->source.stats.epoch);
    for (unsigned i = 0; i < 2; i++) {
        part.head.index = digest.index = 0;
        assert_int_equal(answer(&line, WIRE_OFFER, &offer, sizeof(offer)), WIRE_NEED);
        assert_int_equal(answer(&line, WIRE_FILE, &part, sizeof(part)), 0);
        assert_int_equal(answer(&line, WIRE_DIGEST, &digest, sizeof(digest)), WIRE_FILED);
        part.head.index = digest.index = 1;
        assert_int_equal(answer(&line, WIRE_FILE, &part, sizeof(part)), 0);
        assert_int_equal(answer(&line, WIRE_DIGEST, &digest, sizeof(digest)), 0);
    }
    line_leave(&line, &w->dest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_starts_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_its_files_are_there_already, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_is_not_started, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_not_there_crosses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_guest_does_not_shut_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_of_another_sha256, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_of_that_sha256, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_check_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flip_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_that_follow_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_link_stays_down, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_link_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_are_sent_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_operator_stops_them, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_follows_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filed_is_said_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_what_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_they_follow_a_split_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_follows_is_limited, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

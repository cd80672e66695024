/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: save/image_writer.c save/image_reader.c tools/godwit/image_check.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* A guest is saved into an image and restored from it, as it was at that moment; from an image that is damaged, cut off
 * or none it is not restored, and nothing is left. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "save/image_reader.h"
#include "save/image_writer.h"
#include "stream/crc32c.h"
#include "tests/unit/world.h"
#include "tests/unit/world_memory.h"
#include "tools/godwit/image_check.h"

#define STEPS 20000
#define FILE_ROOM (FAKE_PAGES * 8 * PAGE_SIZE)
#define EPOCH 70000
#define WAY_ROOM 100000
#define LENT 2000

/* Bytes of the guest's memory that TCP reads as long as they have not arrived: it may send them again. */
struct lent {
    size_t at, len;
    const void *memory;
};

/* A file in memory, and somebody who takes it or brings it. */
struct file {
    u8 *bytes;
    size_t len, at;
    size_t piece;  /* bytes at most in one call */
    size_t breaks; /* the connection is gone after so many */
    size_t room;   /* for bytes that are on their way */
    u64 rate;      /* bytes of them a millisecond that arrive; 0: none, or so far so many have: */
    size_t arrived;
    u64 since; /* ns */
    struct lent lent[LENT];
    unsigned nr_lent;
};

static u64 now(void *ctx);

static u64 on_the_way(const struct transport *transport)
{
    struct file *file = transport->ctx;
    u64 ms = (now(NULL) - file->since) / 1000000;

    file->since += ms * 1000000;
    file->arrived = MIN(file->len, file->arrived + ms * file->rate);
    return file->len - file->arrived;
}

/* What has arrived is not read any more. */
static void give_back(struct file *file)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < file->nr_lent; i++)
        if (file->lent[i].at + file->lent[i].len > file->arrived)
            file->lent[kept++] = file->lent[i];
    file->nr_lent = kept;
}

/* What is still read is lost, and sent again as it is now. */
static void resend(struct file *file)
{
    for (unsigned i = 0; i < file->nr_lent; i++)
        memcpy(file->bytes + file->lent[i].at, file->lent[i].memory, file->lent[i].len);
}

static long file_send(struct transport *transport, const struct chunk *chunks, unsigned count)
{
    struct file *file = transport->ctx;
    size_t part = MIN(MIN(chunks->len, file->piece), file->room - on_the_way(transport));

    assert_int_equal(count, 1);
    if (file->len >= file->breaks)
        return -ECONNRESET;
    assert_true(file->len + part <= FILE_ROOM);
    memcpy(file->bytes + file->len, chunks->bytes, part);
    if (chunks->stable && part) {
        assert_true(file->nr_lent < LENT);
        file->lent[file->nr_lent++] = (struct lent){ file->len, part, chunks->bytes };
    }
    file->len += part;
    return part ? (long)part : -EAGAIN;
}

static long nothing_comes(struct transport *transport, void *bytes, size_t len)
{
    const struct file *file = transport->ctx;

    (void)bytes;
    (void)len;
    return file->len >= file->breaks ? -ECONNRESET : -EAGAIN;
}

static long file_receive(struct transport *transport, void *bytes, size_t len)
{
    struct file *file = transport->ctx;
    size_t part = MIN(MIN(len, file->piece), file->len - file->at);

    if (file->at >= file->breaks)
        return -ECONNRESET;
    memcpy(bytes, file->bytes + file->at, part);
    file->at += part;
    return part ? (long)part : -EPIPE;
}

static const struct transport_ops written = { .send = file_send,
                                              .receive = nothing_comes,
                                              .unacknowledged = on_the_way };
static const struct transport_ops read_back = { .receive = file_receive };

/* --- Saving ----------------------------------------------------------------------------------------------------- */

static struct saving {
    struct world w;
    struct migrate_source_ops ops;
    struct image_writer writer;
    struct file file;
    bool whole, ended;
    u8 *memory; /* of the guest when it is whole */
    u64 counter;
} saving;

static u64 now(void *ctx)
{
    (void)ctx;
    return saving.w.now;
}

static void whole(void *ctx)
{
    (void)ctx;
    assert_false(saving.w.source_vm.running);
    assert_true(saving.writer.live || !on_the_way(&saving.writer.file));
    give_back(&saving.file);
    saving.whole = true;
    saving.counter = saving.w.source_vm.counter;
    memcpy(saving.memory, saving.w.source_vm.memory, MEMORY_BYTES);
}

static void end(void *ctx, bool is_whole)
{
    (void)ctx;
    assert_int_equal(is_whole, saving.whole);
    saving.ended = true;
}

static int open_file(void *vm, struct transport *transport)
{
    (void)vm;
    *transport = image_writer_transport(&saving.writer);
    return 0;
}

static const struct image_writer_ops writer_ops = { .now = now, .whole = whole, .end = end };

static struct migrate_settings settings_of(bool live, bool verify)
{
    struct migrate_settings settings = world_settings();

    settings.image = true;
    settings.verify = verify;
    if (!live)
        settings.policy.max_rounds = 0;
    return settings;
}

/* Begin to save a guest that writes. */
static void save_begin(bool live, bool verify, size_t breaks)
{
    struct transport file = { .ops = &written, .ctx = &saving.file };
    struct migrate_settings settings = settings_of(live, verify);

    memset(&saving, 0, sizeof(saving));
    saving.file =
        (struct file){ .bytes = malloc(FILE_ROOM), .piece = 3001, .breaks = breaks, .room = WAY_ROOM, .rate = 30000 };
    saving.memory = malloc(MEMORY_BYTES);
    world_init(&saving.w);
    saving.w.writes = 2;
    saving.ops = *saving.w.source.ops;
    saving.ops.connect = open_file;
    saving.w.source.ops = &saving.ops;
    assert_int_equal(image_writer_init(&saving.writer, &writer_ops, NULL, &file, live), 0);
    assert_int_equal(source_start(&saving.w.source, &settings), 0);
}

static void save(bool live, bool verify)
{
    save_begin(live, verify, ~0UL);
    saving.file.rate = 2000; /* the end is still on its way when the guest goes on */
    world_run(&saving.w, STEPS);
    for (unsigned i = 0; i < 100; i++) /* the guest goes on */
        world_step(&saving.w);
    resend(&saving.file);
    assert_int_equal(saving.w.source.stats.status, MIGRATE_COMPLETED);
    assert_true(saving.whole && saving.ended);
}

static void save_fini(void)
{
    world_fini(&saving.w);
    free(saving.memory);
    free(saving.file.bytes);
}

/* --- Restoring -------------------------------------------------------------------------------------------------- */

struct restoring {
    struct world w;
    struct image_reader reader;
};

static void restore_step(struct restoring *r)
{
    const struct image_identity identity = { .epoch = EPOCH, .name = "guest" };
    struct transport transport = image_reader_transport(&r->reader);

    image_reader_step(&r->reader);
    if (r->reader.status == READER_OPENED) {
        struct image_identity who = identity;

        memcpy(who.vm_id, r->reader.header.vm_id, WIRE_ID);
        image_reader_begin(&r->reader, &who);
        dest_accept(&r->w.dest, &transport, NULL, "image");
    }
    if (r->reader.status == READER_ACCEPTED)
        image_reader_pass(&r->reader);
    if (r->reader.status == READER_PREPARED)
        image_reader_commit(&r->reader);
    dest_step(&r->w.dest);
    world_tick(&r->w);
}

static void restore_begin(struct restoring *r, struct file *file)
{
    struct transport transport = { .ops = &read_back, .ctx = file };

    world_init(&r->w);
    /* What was saved is the judge of what runs. */
    r->w.source_vm.running = false;
    r->w.source_vm.counter = saving.counter;
    memcpy(r->w.source_vm.memory, saving.memory, MEMORY_BYTES);
    file->at = 0;
    assert_int_equal(image_reader_init(&r->reader, &transport), 0);
}

static void restore_fini(struct restoring *r)
{
    image_reader_fini(&r->reader);
    world_fini(&r->w);
    free(r);
}

/* Why it was refused is also what the destination remembers of the attempt, if it got that far. */
static void listed(const struct restoring *r)
{
    const struct incoming *in = &r->w.dest.incoming[0];

    if (!in->used || r->reader.status != READER_FAILED)
        return;
    assert_int_equal(in->handoff.state, DEST_ABORTED);
    assert_int_equal(in->error, r->reader.error);
    assert_string_equal(in->reason, r->reader.reason);
}

/* Returns whether the guest runs; if not, nothing is left of it. */
static bool restore(struct file *file)
{
    struct restoring *r = malloc(sizeof(*r));
    bool runs;

    restore_begin(r, file);
    for (unsigned i = 0; i < STEPS && (r->reader.status < READER_RUNNING || !r->reader.hung_up); i++) {
        restore_step(r);
        if (r->reader.status == READER_FAILED && !r->reader.identity.epoch)
            break;
    }
    assert_true(r->reader.status >= READER_RUNNING);
    runs = r->reader.status == READER_RUNNING;
    assert_int_equal(runs, r->w.dest_vm.running);
    assert_int_equal(runs, r->w.dest_vm.exists);
    assert_true(runs || r->reader.reason[0]);
    listed(r);
    restore_fini(r);
    return runs;
}

static bool is_whole(struct file *file)
{
    static struct image_check check;
    struct transport transport = { .ops = &read_back, .ctx = file };
    bool whole;

    file->at = 0;
    whole = image_check(&check, &transport);
    assert_int_equal(whole, !check.reason[0]);
    return whole;
}

/* --- Tests ------------------------------------------------------------------------------------------------------ */

/* The guest goes on while the end of a live image may still be sent again. */
static void test_there_and_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool live = i & 1, verify = i & 2;
        u64 epoch;

        save(live, verify);
        epoch = saving.w.source.handoff.epoch;
        assert_int_equal(epoch, 7); /* it is still the owner */
        assert_int_equal(saving.w.source.handoff.state, SOURCE_OWNER);
        assert_true(saving.w.source_vm.running && saving.w.source_vm.gate_open);
        assert_false(saving.w.source_vm.logging);
        assert_int_equal(saving.w.source.stats.rounds > 0, live);
        assert_true(saving.w.source.stats.downtime > 0);
        assert_true(saving.w.source_vm.counter > saving.counter);
        assert_true(is_whole(&saving.file));
        assert_true(restore(&saving.file));
        save_fini();
    }
}

static void test_the_client_is_gone(void **state)
{
    (void)state;
    for (size_t breaks = 1; breaks < 500000; breaks = breaks * 2 + 61) {
        save_begin(breaks & 1, false, breaks);
        world_run(&saving.w, STEPS);
        assert_true(saving.ended);
        if (!saving.whole) {
            assert_int_equal(saving.w.source.stats.status, MIGRATE_FAILED);
            assert_true(saving.w.source_vm.running);
        }
        assert_false(saving.w.source_vm.logging);
        assert_true(saving.whole || !is_whole(&saving.file));
        save_fini();
    }
}

/* A client that takes nothing any more loses the image; the guest goes on. */
static void test_the_client_is_stuck(void **state)
{
    (void)state;
    save_begin(false, false, ~0UL);
    for (unsigned i = 0; i < 5; i++)
        world_step(&saving.w);
    saving.file.piece = 0;
    world_run(&saving.w, STEPS);
    assert_int_equal(saving.w.source.stats.status, MIGRATE_FAILED);
    assert_int_equal(saving.w.source.stats.error, WIRE_E_TIMEOUT);
    assert_true(saving.w.source_vm.running && saving.ended && !saving.whole);
    save_fini();
}

/* The last bytes of an image are on their way over a slow link: the source's KEEPALIVE is no part of it, and the client
 * has time as long as it gets on. */
static void test_a_slow_end(void **state)
{
    static const struct {
        u64 rate;
        bool done;
    } ends[] = { { 50, true }, { 8, true }, { 0, false } };

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(ends); i++) {
        bool live = i & 1, done = ends[i / 2].done;
        u64 began;

        save_begin(live, false, ~0UL);
        saving.file.rate = 10000;
        while (!saving.writer.closing)
            world_step(&saving.w);
        saving.file.rate = ends[i / 2].rate;
        began = saving.w.now;
        world_run(&saving.w, STEPS);
        assert_int_equal(saving.whole, live || done);
        if (!saving.whole)
            saving.file.len = saving.file.arrived; /* the rest is lost as the connection is reset */
        assert_int_equal(is_whole(&saving.file), saving.whole);
        assert_int_equal(saving.w.source.stats.status, saving.whole ? MIGRATE_COMPLETED : MIGRATE_FAILED);
        assert_true(saving.w.source_vm.running);
        assert_true(saving.whole || saving.w.now - began < 12000000000);
        assert_true(live || !done || saving.w.now - began > 1000000000);
        save_fini();
    }
}

static void test_cut_off(void **state)
{
    size_t len;

    (void)state;
    save(true, false);
    len = saving.file.len;
    for (size_t cut = 0; cut < len; cut += cut < 400 || cut > len - 100 ? 7 : 9973) {
        saving.file.len = cut;
        assert_false(restore(&saving.file));
        assert_false(is_whole(&saving.file));
        saving.file.len = len;
        saving.file.breaks = cut; /* the same, as the connection breaks */
        assert_false(restore(&saving.file));
        saving.file.breaks = ~0UL;
    }
    save_fini();
}

static void test_damaged(void **state)
{
    (void)state;
    save(false, false);
    for (size_t at = 0; at < saving.file.len; at += at < 100 || at > saving.file.len - 60 ? 1 : 4999) {
        saving.file.bytes[at] ^= 1u << at % 8;
        assert_false(restore(&saving.file));
        assert_false(is_whole(&saving.file));
        saving.file.bytes[at] ^= 1u << at % 8;
    }
    assert_true(restore(&saving.file));
    save_fini();
}

/* Each record is right, and yet it is none of an image that was written. */
static void test_foreign(void **state)
{
    size_t len;

    (void)state;
    save(false, false);
    len = saving.file.len;
    saving.file.bytes[saving.file.len++] = 0; /* something behind it */
    assert_false(restore(&saving.file));
    assert_false(is_whole(&saving.file));
    memcpy(saving.file.bytes + len, saving.file.bytes, len); /* twice the same */
    saving.file.len = 2 * len;
    assert_false(restore(&saving.file));
    saving.file.len = len;
    assert_true(restore(&saving.file));
    memset(saving.file.bytes, 'x', len);
    assert_false(restore(&saving.file));
    save_fini();
}

/* Of another version, and else as it must be: refused with both versions. */
static void test_another_version(void **state)
{
    struct restoring *r = malloc(sizeof(*r));
    struct wire_header header;

    (void)state;
    save(false, false);
    memcpy(&header, saving.file.bytes, sizeof(header));
    header.version_min = header.version_max = WIRE_VERSION + 1;
    header.crc = crc32c(0, &header, offsetof(struct wire_header, crc));
    memcpy(saving.file.bytes, &header, sizeof(header));
    assert_false(is_whole(&saving.file));
    restore_begin(r, &saving.file);
    for (unsigned i = 0; i < STEPS && r->reader.status != READER_FAILED; i++)
        image_reader_step(&r->reader);
    assert_string_equal(r->reader.reason, "the image has version 2, expected 1");
    restore_fini(r);
    save_fini();
}

/* Who decides finds that the guest is elsewhere. */
static void test_given_up(void **state)
{
    struct restoring *r = malloc(sizeof(*r));
    unsigned i;

    (void)state;
    save(false, false);
    restore_begin(r, &saving.file);
    for (i = 0; i < STEPS && r->reader.status != READER_PREPARED; i++) {
        image_reader_step(&r->reader);
        if (r->reader.status != READER_PREPARED)
            restore_step(r);
    }
    assert_true(r->w.dest_vm.exists && !r->w.dest_vm.running);
    image_reader_fail(&r->reader, WIRE_E_NAME, "it is elsewhere");
    for (i = 0; i < STEPS && !r->reader.hung_up; i++)
        restore_step(r);
    assert_false(r->w.dest_vm.exists);
    assert_string_equal(r->reader.reason, "it is elsewhere");
    listed(r);
    restore_fini(r);
    save_fini();
}

/* The destination has no place for it, and hangs up without a word. */
static void test_no_place(void **state)
{
    struct restoring *r = malloc(sizeof(*r));
    const struct image_identity who = { .epoch = EPOCH, .name = "guest" };
    struct transport transport;

    (void)state;
    save(false, false);
    restore_begin(r, &saving.file);
    while (r->reader.status != READER_OPENED)
        image_reader_step(&r->reader);
    image_reader_begin(&r->reader, &who);
    transport = image_reader_transport(&r->reader);
    transport.ops->close(&transport);
    image_reader_step(&r->reader);
    assert_int_equal(r->reader.status, READER_FAILED);
    assert_non_null(strstr(r->reader.reason, "too many"));
    restore_fini(r);
    save_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_client_is_gone),
        cmocka_unit_test(test_the_client_is_stuck),
        cmocka_unit_test(test_a_slow_end),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_another_version),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_no_place),
    };

    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}

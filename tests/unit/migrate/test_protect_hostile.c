/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/peers.c */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c tests/unit/world_memory.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* Sources that break the rules of protection. A copy that was prepared stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/digest.h"
#include "host/bits.h"
#include "stream/crc32c.h"
#include "tests/unit/peers.h"
#include "tests/unit/world_protect.h"

#define ROOM 3
#define OWNER 77 /* the source's number */

static struct world_protect seen;
static u64 digest;

/* Its guest is reserved. */
static struct peer *guarded(u32 flags)
{
    struct reserve_body body = good_reserve();
    struct peer *p = peer_new();

    memset(&seen, 0, sizeof(seen));
    p->w.protect = &seen;
    body.head.flags = flags;
    body.head.owner = OWNER;
    say_header(p, good_header(8));
    say(p, WIRE_RESERVE, &body, sizeof(body));
    return p;
}

static void say_protect(struct peer *p, u32 room)
{
    struct wire_protect wish = { .interval_ms = 25, .limit_ms = 300, .room_pages = room };

    say(p, WIRE_PROTECT, &wish, sizeof(wish));
}

/* Intervals and limits that no operator can set. */
static void test_wishes(void **state)
{
    static const struct wire_protect wrong[] = {
        { 0, 300, ROOM, 0 }, { 4, 300, ROOM, 0 }, { 1001, 300, ROOM, 0 }, { ~0U, 300, ROOM, 0 },
        { 25, 0, ROOM, 0 },  { 25, 99, ROOM, 0 }, { 25, 60001, ROOM, 0 }, { 25, 300, 0, 0 },
    };
    static const struct wire_protect right[] = { { 5, 100, 1, 0 }, { 1000, 60000, ~0U, 0 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct peer *p = guarded(WIRE_GUARDED);

        say(p, WIRE_PROTECT, &wrong[i], sizeof(wrong[i]));
        refused_with(p, WIRE_E_STREAM);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(right); i++) {
        struct peer *p = guarded(WIRE_GUARDED);

        say(p, WIRE_PROTECT, &right[i], sizeof(right[i]));
        assert_int_equal(p->heard[p->records - 1], WIRE_PROTECTING);
        peer_free(p);
    }
}

static void say_state(struct peer *p, const char *name, u64 value)
{
    u8 bytes[32];
    struct codec c = codec_saver(bytes, sizeof(bytes));
    struct wire_section section = { .instance = 0 };

    codec_version(&c, 1);
    codec_u64(&c, &value);
    strcpy(section.name, name);
    section.len = (u32)c.at;
    digest = digest_bytes(digest_bytes(digest, &section, sizeof(section)), bytes, section.len);
    outbox_begin(&p->out);
    codec_bytes(&p->out.body, &section, sizeof(section));
    codec_bytes(&p->out.body, bytes, section.len);
    outbox_end(&p->out, WIRE_STATE);
    pump(p);
}

static void say_all_state(struct peer *p, u64 counter)
{
    digest = 0;
    say_state(p, "vcpu", counter);
    say_state(p, "chip", 0);
}

static void put_page(struct peer *p, u64 gpa, u8 byte)
{
    static u8 contents[WIRE_PAGE];
    struct wire_pages count = { .count = 1 };
    struct wire_page page = { .gpa = gpa, .len = WIRE_PAGE };

    memset(contents, byte, sizeof(contents));
    page.crc = crc32c(0, contents, WIRE_PAGE);
    outbox_begin(&p->out);
    codec_bytes(&p->out.body, &count, sizeof(count));
    codec_bytes(&p->out.body, &page, sizeof(page));
    outbox_page(&p->out, contents);
    outbox_end(&p->out, WIRE_PAGES);
}

static void say_page(struct peer *p, u64 gpa, u8 byte)
{
    put_page(p, gpa, byte);
    pump(p);
}

static void say_checkpoint(struct peer *p, struct wire_checkpoint checkpoint)
{
    say(p, WIRE_CHECKPOINT, &checkpoint, sizeof(checkpoint));
}

/* Its copy is prepared, with these in page 0 and in the counter. */
static struct peer *protecting(void)
{
    struct wire_run run[] = { { 0, FAKE_LOW }, { MiB(4), FAKE_PAGES - FAKE_LOW } };
    struct peer *p = guarded(WIRE_GUARDED);
    struct wire_handoff prepare = { .epoch = 8 };

    say_protect(p, ROOM);
    assert_int_equal(p->heard[p->records - 1], WIRE_PROTECTING);
    say(p, WIRE_ZERO, run, sizeof(run));
    say_page(p, 0, 1);
    say_all_state(p, 1);
    prepare.state_digest = digest;
    say(p, WIRE_PREPARE, &prepare, sizeof(prepare));
    assert_int_equal(p->heard[p->records - 1], WIRE_PREPARED);
    assert_int_equal(seen.dest[PROTECT_STANDBY], 1);
    return p;
}

/* The copy is still what it was, and is given up. */
static void unchanged(struct peer *p, u8 value)
{
    assert_true(p->w.dest_vm.exists && !p->w.dest_vm.running);
    assert_int_equal(p->w.dest_vm.memory[0], value);
    assert_int_equal(p->w.dest_vm.counter, value);
    assert_int_equal(seen.whole, value - 1);
    dest_protect(&p->w.dest, &p->w.dest_vm, PROTECT_FREE);
    pump(p);
    assert_int_equal(seen.dest[PROTECT_OVER], 1);
    peer_free(p);
}

static void test_good(void **state)
{
    struct peer *p = protecting();

    (void)state;
    say_page(p, 0, 9);
    say_page(p, 0, 2); /* the later one counts */
    say_all_state(p, 2);
    say_checkpoint(p, (struct wire_checkpoint){ 8, 1, 0, digest, 2, 0 });
    assert_int_equal(p->heard[p->records - 1], WIRE_CHECKPOINTED);
    unchanged(p, 2);
}

/* The bytes of a record may stop anywhere, also just before the contents of a page. */
static void test_in_pieces(void **state)
{
    const u64 bytes = sizeof(struct wire_record) + sizeof(struct wire_pages) + sizeof(struct wire_page) + WIRE_PAGE;
    u8 whole[2 * WIRE_PAGE];

    (void)state;
    for (u64 first = 1; first < bytes; first += first < 64 ? 1 : 500) {
        struct peer *p = protecting();
        struct chunk chunk = { whole, first, false };

        put_page(p, 0, 2);
        assert_int_equal(outbox_take(&p->out, whole, sizeof(whole)), bytes);
        p->transport.ops->send(&p->transport, &chunk, 1);
        pump(p);
        chunk = (struct chunk){ whole + first, bytes - first, false };
        p->transport.ops->send(&p->transport, &chunk, 1);
        say_all_state(p, 2);
        say_checkpoint(p, (struct wire_checkpoint){ 8, 1, 0, digest, 1, 0 });
        assert_int_equal(p->heard[p->records - 1], WIRE_CHECKPOINTED);
        unchanged(p, 2);
    }
}

/* What CHECKPOINT says must be what has come. */
static void test_counts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        struct peer *p = protecting();
        struct wire_checkpoint checkpoint = { 8, 1, 0, 0, 1, 0 };

        say_page(p, 0, 2);
        say_all_state(p, 2);
        checkpoint.state_digest = digest;
        if (i == 6) {
            say_state(p, "chip", 0);
            checkpoint.state_digest = digest;
        }
        checkpoint.epoch += i == 1;
        checkpoint.number += i == 2;
        checkpoint.state_digest += i == 3;
        checkpoint.pages += i == 4;
        checkpoint.zero_pages += i == 5;
        say(p, WIRE_CHECKPOINT, &checkpoint, sizeof(checkpoint) - 8 * !i);
        assert_int_equal(p->refused.code, WIRE_E_DIGEST);
        assert_int_equal(seen.dest[PROTECT_LINK_LOST], 1);
        unchanged(p, 1);
    }
}

/* More than was agreed, pages that are none, and runs that are not ascending. */
static void test_contents(void **state)
{
    const struct wire_run wrong[][2] = { { { MiB(64), 1 }, { 0, 1 } },
                                         { { PAGE_SIZE, 1 }, { 0, 1 } },
                                         { { 0, FAKE_LOW + 1 }, { MiB(4), 1 } } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct peer *p = protecting();

        say(p, WIRE_ZERO, wrong[i], sizeof(wrong[i]));
        assert_int_equal(p->refused.code, WIRE_E_STREAM);
        unchanged(p, 1);
        p = protecting();
        say(p, WIRE_ZERO, wrong[i], sizeof(wrong[i]) - 1);
        assert_int_equal(p->refused.code, WIRE_E_STREAM);
        unchanged(p, 1);
    }
    for (unsigned zeros = 0; zeros < 2; zeros++) {
        struct peer *p = protecting();

        for (unsigned i = 0; i < ROOM; i++)
            say_page(p, i * PAGE_SIZE, 5);
        assert_false(p->gone);
        if (zeros)
            say(p, WIRE_ZERO, wrong[1], sizeof(wrong[1][0]));
        else
            say_page(p, 0, 5);
        assert_true(p->gone && p->refused.code);
        unchanged(p, 1);
    }
}

/* Records of protection where there is none, or not yet. */
static void test_out_of_turn(void **state)
{
    struct wire_handoff prepare = { .epoch = 8 };
    struct peer *p = guarded(0);

    (void)state;
    say_protect(p, ROOM);
    refused_with(p, WIRE_E_STREAM);
    p = guarded(WIRE_GUARDED | WIRE_COLD);
    refused_with(p, WIRE_E_STREAM);
    p = guarded(WIRE_GUARDED);
    say_protect(p, 0);
    refused_with(p, WIRE_E_STREAM);
    p = guarded(WIRE_GUARDED);
    say_protect(p, ROOM);
    say_protect(p, ROOM);
    refused_with(p, WIRE_E_STREAM);
    p = guarded(WIRE_GUARDED);
    say_protect(p, ROOM);
    say_checkpoint(p, (struct wire_checkpoint){ 8, 1, 0, 0, 0, 0 });
    refused_with(p, WIRE_E_STREAM);
    p = guarded(WIRE_GUARDED); /* it did not say PROTECT */
    say(p, WIRE_ZERO, (struct wire_run[]){ { 0, FAKE_LOW }, { MiB(4), FAKE_PAGES - FAKE_LOW } }, 32);
    say_all_state(p, 1);
    prepare.state_digest = digest;
    say(p, WIRE_PREPARE, &prepare, sizeof(prepare));
    refused_with(p, WIRE_E_STREAM);
}

/* All of RAM, and once more: entries are few, but who puts so many pages does nothing else for long. A record is judged
 * before any of it is taken. */
static void test_more_pages_than_there_are(void **state)
{
    const struct wire_run low[] = { { 0, FAKE_LOW } }, high[] = { { MiB(4), FAKE_PAGES - FAKE_LOW } };
    const struct wire_run wrong[] = { { 0, FAKE_LOW }, { 0, 1 } };
    struct peer *p = protecting();

    (void)state;
    say(p, WIRE_ZERO, low, sizeof(low));
    say(p, WIRE_ZERO, high, sizeof(high));
    assert_false(p->gone);
    say(p, WIRE_ZERO, low, sizeof(low));
    assert_int_equal(p->refused.code, WIRE_E_MEMORY);
    unchanged(p, 1);
    p = protecting();
    say(p, WIRE_ZERO, low, sizeof(low));
    say(p, WIRE_ZERO, high, sizeof(high));
    say_page(p, 0, 5);
    assert_true(p->gone && p->refused.code);
    unchanged(p, 1);
    p = protecting();
    say(p, WIRE_ZERO, low, sizeof(low));
    say(p, WIRE_ZERO, high, sizeof(high));
    say(p, WIRE_ZERO, wrong, sizeof(wrong));
    assert_int_equal(p->refused.code, WIRE_E_STREAM);
    unchanged(p, 1);
}

/* Others hear the guest's id, epoch and owner in its claims. Their word does nothing to the copy. */
static void test_strangers(void **state)
{
    static const u32 words[] = { WIRE_COMMIT, WIRE_QUERY, WIRE_ABORT };
    struct wire_handoff word = { .epoch = 8, .wish = 1 };
    struct reserve_body again = good_reserve();
    struct peer *p = protecting();
    static struct line line;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        line_open_from(&line, &p->w.dest, "stranger:99");
        line_header(&line, WIRE_RESOLVE, 0, 8);
        line_say(&line, words[i], &word, sizeof(word));
        pump(p);
        line_hear(&line);
        line_leave(&line, &p->w.dest);
    }
    line_open_from(&line, &p->w.dest, "stranger:99");
    again.head.flags = WIRE_GUARDED;
    again.head.owner = OWNER;
    line_header(&line, WIRE_MOVE, 0, 9);
    line_say(&line, WIRE_RESERVE, &again, sizeof(again));
    pump(p);
    line_hear(&line);
    assert_int_equal(line.refused.code, WIRE_E_BUSY);
    line_leave(&line, &p->w.dest);
    assert_false(p->gone);
    assert_int_equal(seen.dest[PROTECT_COMMIT] + seen.dest[PROTECT_ABORT] + seen.dest[PROTECT_LINK_LOST], 0);
    unchanged(p, 1);
}

/* What is held for a checkpoint counts, too. */
static void test_limit(void **state)
{
    struct reserve_body body = good_reserve();

    (void)state;
    for (unsigned guards = 0; guards < 2; guards++) {
        struct peer *p = peer_new();

        memset(&seen, 0, sizeof(seen));
        p->w.protect = &seen;
        dest_limit(&p->w.dest, FAKE_PAGES * PAGE_SIZE, 0);
        body.head.flags = guards ? WIRE_GUARDED : 0;
        say_header(p, good_header(8));
        say(p, WIRE_RESERVE, &body, sizeof(body));
        assert_int_equal(p->refused.code, guards ? WIRE_E_MEMORY : WIRE_OK);
        peer_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test(test_more_pages_than_there_are),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

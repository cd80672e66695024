/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c */
/* sources: stream/sections.c tests/unit/world_protect.c tests/unit/fake_frames.c tests/unit/world_memory.c */
/* sources: migrate/source_measure.c migrate/source_serve.c migrate/source_used.c migrate/dest_fill.c */
/* sources: migrate/source_files.c migrate/dest_files.c stream/file_sender.c stream/file_receiver.c */
/* sources: dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: tests/unit/peers.c */
/* sources: stream/record.c stream/crc32c.c stream/ram.c policy/policy.c policy/predict.c net/bucket.c */
/* sources: owners/handoff.c */
/* sources: migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c tests/unit/stubs.c */
/* What comes to the migration port and is not what it should be: refused, and nothing of it stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "stream/crc32c.h"
#include "tests/unit/peers.h"

static void test_headers(void **state)
{
    struct wire_header header = good_header(8);
    struct peer *p = peer_new();

    (void)state;
    header.version_min = header.version_max = WIRE_VERSION + 1;
    say_header(p, header);
    refused_with(p, WIRE_E_VERSION);
    p = peer_new();
    header = good_header(8);
    header.required = BIT(40);
    say_header(p, header);
    refused_with(p, WIRE_E_FEATURE);
    p = peer_new();
    header = good_header(8);
    header.kind = 9;
    say_header(p, header);
    refused_with(p, WIRE_E_STREAM);
    /* No header at all: hung up, without a word. */
    p = peer_new();
    memset(p->out.buf, 'G', 64);
    p->out.chunk[0] = (struct chunk){ .bytes = p->out.buf, .len = 64 };
    p->out.chunks = 1;
    pump(p);
    assert_true(p->gone && p->in.bytes == 0);
    peer_free(p);
    /* Silence: hung up after a while. */
    p = peer_new();
    p->w.now += 6000000000;
    pump(p);
    assert_true(p->gone);
    peer_free(p);
}

static void test_unknown_records(void **state)
{
    struct peer *p = reserved();

    (void)state;
    say(p, 0x77 | WIRE_OPTIONAL, "hello", 5);
    assert_false(p->gone);
    say(p, 0x77, "hello", 5);
    refused_with(p, WIRE_E_STREAM);
}

static void test_descriptions(void **state)
{
    struct reserve_body body;

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        struct peer *p = peer_new();

        body = good_reserve();
        switch (i) {
        case 0: body.head.nr_ranges = 3; break;
        case 1: body.head.nr_ranges = ~0u; break;
        case 2: body.head.memory++; break;
        case 3: body.range[1].gpa = PAGE_SIZE; break; /* overlap */
        case 4: body.range[1].bytes = ~0xFFFULL; break;
        case 5: memset(body.head.name, 'x', sizeof(body.head.name)); break;
        case 6: body.head.nr_vcpus = 0; break;
        case 7: body.range[0].gpa = 12; break;
        case 8: body.head.nr_devices = 1; break;
        }
        say_header(p, good_header(8));
        say(p, WIRE_RESERVE, &body, sizeof(body));
        refused_with(p, WIRE_E_STREAM);
    }
}

/* Records that a guest that is received must not get. */
static void test_receiving(void **state)
{
    static const struct wire_run runs[][2] = {
        { { 12, 1 }, { 0, 0 } },     { { 0, FAKE_LOW + 1 }, { 0, 0 } },
        { { 0, ~0ULL }, { 0, 0 } },  { { MiB(4), 1 }, { 0, 1 } }, /* not ascending */
        { { GiB(1), 1 }, { 0, 0 } }, { { 0, 0 }, { 0, 0 } },
    };
    static const struct wire_run behind = { PAGE_SIZE, 1 }, beside = { 2 * PAGE_SIZE, 1 };
    struct wire_section section = { .name = "vcpu", .len = 400 };
    struct wire_handoff handoff = { .epoch = 8 };
    struct peer *p;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
        p = reserved();
        say(p, WIRE_ZERO, runs[i], sizeof(runs[i]));
        refused_with(p, WIRE_E_STREAM);
    }
    p = reserved();
    say(p, WIRE_MISSING, &behind, sizeof(behind));
    say(p, WIRE_ZERO, &beside, sizeof(beside));
    assert_false(p->gone);
    say(p, WIRE_ZERO, &behind, sizeof(behind)); /* of a page that stays behind */
    refused_with(p, WIRE_E_STREAM);
    p = reserved();
    say(p, WIRE_STATE, &section, sizeof(section)); /* bytes missing */
    refused_with(p, WIRE_E_STREAM);
    p = reserved();
    section = (struct wire_section){ .name = "nonsense" };
    say(p, WIRE_STATE, &section, sizeof(section));
    refused_with(p, WIRE_E_DEVICE);
    p = reserved();
    say(p, WIRE_PREPARE, &handoff, sizeof(handoff)); /* no page has come */
    refused_with(p, WIRE_E_DAMAGED);
    p = reserved();
    say(p, WIRE_COMMIT, &handoff, sizeof(handoff)); /* of a guest that isn't complete: aborted, never run */
    assert_int_equal(p->heard[p->records - 1], WIRE_ABORTED);
    peer_free(p);
    p = reserved();
    say(p, WIRE_PREPARE, &handoff, 39);
    refused_with(p, WIRE_E_STREAM);
    p = reserved();
    handoff.epoch = 9; /* another attempt's */
    say(p, WIRE_COMMIT, &handoff, sizeof(handoff));
    assert_int_equal(p->heard[p->records - 1], WIRE_UNKNOWN);
    peer_free(p);
}

/* --- Every record in every stage ------------------------------------------------------------------------------- */

#define IN(stage) (1u << SESSION_##stage)
#define HEARS                                                                                               \
    (IN(RESERVE) | IN(TRY) | IN(RECEIVE) | IN(HANDOFF) | IN(ASKED)) /* the others work, or are at their end \
                                                                     */
#define UNKNOWN_TYPE 0x77u

/* In which stages a record is taken: docs/migration-stream.md. */
static const struct {
    u32 type, stages;
} taken[] = {
    { WIRE_KEEPALIVE, HEARS },
    { WIRE_END, HEARS },
    { WIRE_RESERVE, IN(RESERVE) },
    { WIRE_STATE, IN(TRY) | IN(RECEIVE) },
    { WIRE_ROUND, IN(TRY) | IN(RECEIVE) },
    { WIRE_PAGES, IN(RECEIVE) },
    { WIRE_ZERO, IN(RECEIVE) },
    { WIRE_PREPARE, IN(RECEIVE) | IN(HANDOFF) | IN(ASKED) },
    { WIRE_COMMIT, HEARS },
    { WIRE_QUERY, HEARS },
    { WIRE_ABORT, HEARS },
    { WIRE_FRAME, HEARS },
    { WIRE_PREPARED, 0 },
    { UNKNOWN_TYPE, 0 },
};

static const struct wire_run whole[] = { { 0, FAKE_LOW }, { MiB(4), FAKE_PAGES - FAKE_LOW } };

/* Put a record into the stream that is good of itself. */
static void put(struct peer *p, u32 type)
{
    static u8 page[PAGE_SIZE], frame[60];
    const struct incoming *in = &p->w.dest.incoming[0];
    struct {
        struct wire_section section;
        u8 version[2], counter[8];
    } state = { { "vcpu", 0, 10 }, { 1 }, { 0 } };
    struct wire_handoff handoff = { 8, .state_digest = in->found.state_digest, .memory_digest = in->digest.sum };
    struct wire_round round = { .digest = 1 };
    struct reserve_body reserve = good_reserve();
    struct wire_pages pages = { .count = 1 };
    struct wire_page entry = { .len = WIRE_PAGE };
    u64 work = 1;

    if (in->stats.sections)
        strcpy(state.section.name, "chip");
    switch (type) {
    case WIRE_RESERVE: outbox_record(&p->out, type, &reserve, sizeof(reserve)); break;
    case WIRE_STATE: outbox_record(&p->out, type, &state, 34); break;
    case WIRE_ROUND: outbox_record(&p->out, type, &round, sizeof(round)); break;
    case WIRE_ZERO: outbox_record(&p->out, type, whole, sizeof(whole)); break;
    case WIRE_FRAME: outbox_record(&p->out, type, frame, sizeof(frame)); break;
    case WIRE_KEEPALIVE: outbox_record(&p->out, type, &work, sizeof(work)); break;
    case WIRE_END: outbox_record(&p->out, type, NULL, 0); break;
    case WIRE_PAGES:
        outbox_begin(&p->out);
        codec_bytes(&p->out.body, &pages, sizeof(pages));
        codec_bytes(&p->out.body, &entry, sizeof(entry));
        outbox_page(&p->out, page);
        outbox_end(&p->out, type);
        break;
    default: outbox_record(&p->out, type, &handoff, sizeof(handoff));
    }
    outbox_flush(&p->out, &p->transport);
}

static void put_all(struct peer *p, const u32 *types, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put(p, types[i]);
        pump(p);
    }
}

/* A peer whose connection has come to that stage, or will as soon as what is on its way has come. Then its next record
 * will be taken in *next. */
static struct peer *peer_in(enum session_stage stage, enum session_stage *next)
{
    static const u32 story[] = { WIRE_ZERO, WIRE_STATE, WIRE_STATE, WIRE_ROUND, WIRE_PREPARE };
    struct reserve_body reserve = good_reserve();
    struct wire_header header = good_header(8);
    struct peer *p = peer_new();

    memset(p->w.source_vm.memory, 0, FAKE_PAGES * PAGE_SIZE);
    *next = stage;
    if (stage == SESSION_GREET)
        return p;
    say_header(p, header);
    if (stage == SESSION_RESERVE)
        return p;
    if (stage == SESSION_ROOM) {
        p->w.to_free = 20;
        put(p, WIRE_RESERVE);
        *next = SESSION_RECEIVE;
        return p;
    }
    reserve.head.flags = stage == SESSION_TRY ? WIRE_DRY_RUN : WIRE_VERIFY;
    say(p, WIRE_RESERVE, &reserve, sizeof(reserve));
    switch (stage) {
    case SESSION_CLEAR:
        put(p, WIRE_ZERO);
        *next = SESSION_RECEIVE;
        break;
    case SESSION_DIGEST:
        put_all(p, story, 3);
        put(p, WIRE_ROUND);
        *next = SESSION_RECEIVE;
        break;
    case SESSION_VERIFY:
        put_all(p, story, 4);
        put(p, WIRE_PREPARE);
        *next = SESSION_HANDOFF;
        break;
    case SESSION_HANDOFF: put_all(p, story, 5); break;
    case SESSION_ASKED:
        put_all(p, story, 5);
        assert_int_equal(p->heard[p->records - 1], WIRE_PREPARED);
        hang_up(p);
        dial(p);
        header.kind = WIRE_RESOLVE;
        say_header(p, header);
        break;
    case SESSION_CLOSE: put(p, WIRE_END); break;
    default: break;
    }
    return p;
}

/* The destination's machine is as it was: nothing is held, and a good move succeeds. Or the guest has been let go. */
static void check_good_move(struct peer *p, bool committed)
{
    struct world *w = &p->w;
    struct migrate_settings settings = world_settings();

    hang_up(p);
    assert_int_equal(w->dest_vm.running, committed);
    if (!committed) {
        dest_resolve(&w->dest, &w->dest_vm, false);
        assert_false(w->dest_vm.exists);
        assert_int_equal(source_start(&w->source, &settings), 0);
        world_run(w, 10000);
        assert_int_equal(world_where(w), 2);
    }
    dest_forget(&w->dest, &w->dest_vm);
    w->dest_vm.exists = false;
    fake_vm_free(&w->dest_vm);
    dial(p);
    peer_free(p);
}

/* It was refused, in words that say why. Where a page finds no place, that may be seen before its record is judged. */
static void check_refusal(const struct peer *p, u32 type)
{
    bool unknown = type == WIRE_PREPARED || type == UNKNOWN_TYPE;

    assert_true(p->gone && p->refused.code == WIRE_E_STREAM);
    if (type != WIRE_PAGES)
        assert_string_equal(p->refused.reason, unknown ? "unknown record" : "a record out of turn");
}

static void test_every_record_in_every_stage(void **state)
{
    (void)state;
    for (enum session_stage stage = 0; stage < NR_SESSION_STAGES; stage++) {
        for (unsigned i = 0; i < ARRAY_SIZE(taken); i++) {
            enum session_stage next;
            struct peer *p = peer_in(stage, &next);
            bool heard = HEARS & (1u << next), good = taken[i].stages & (1u << next);

            if (stage == SESSION_RECEIVE || stage == SESSION_HANDOFF)
                assert_int_equal(p->w.dest.session[0].stage, stage);
            put(p, taken[i].type);
            pump(p);
            if (!heard) {
                p->w.now += 6000000000; /* it may be no whole header yet */
                pump(p);
                assert_true(p->gone);
            } else if (good) {
                assert_string_not_equal(p->refused.reason, "a record out of turn");
            } else {
                check_refusal(p, taken[i].type);
            }
            check_good_move(p, taken[i].type == WIRE_COMMIT && (next == SESSION_HANDOFF || next == SESSION_ASKED));
        }
    }
}

/* PAGES for addresses that are not RAM, with impossible lengths, and before RESERVE. */
static void test_pages(void **state)
{
    static u8 page[PAGE_SIZE];
    static const u64 bad[] = { 12, FAKE_LOW * PAGE_SIZE, ~0xFFFULL, GiB(3) };
    struct wire_pages count = { .count = 1 };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad) + 3; i++) {
        struct peer *p = i == ARRAY_SIZE(bad) ? peer_new() : reserved();
        struct wire_page entry = { .gpa = i < ARRAY_SIZE(bad) ? bad[i] : 0, .len = WIRE_PAGE };

        if (i == ARRAY_SIZE(bad))
            say_header(p, good_header(8));
        if (i == ARRAY_SIZE(bad) + 1)
            entry.len = 100;
        count.count = i == ARRAY_SIZE(bad) + 2 ? 2 : 1;
        outbox_begin(&p->out);
        codec_bytes(&p->out.body, &count, sizeof(count));
        codec_bytes(&p->out.body, &entry, sizeof(entry));
        outbox_page(&p->out, page);
        outbox_end(&p->out, WIRE_PAGES);
        pump(p);
        refused_with(p, WIRE_E_STREAM);
    }
}

static void test_sequence(void **state)
{
    struct peer *p = reserved();

    (void)state;
    p->out.seq++; /* a record got lost */
    say(p, WIRE_KEEPALIVE, NULL, 0);
    refused_with(p, WIRE_E_STREAM);
}

/* The stream of a good move, recorded and played again: refused, the guest runs on undisturbed. */
static void test_replay(void **state)
{
    struct migrate_settings settings = world_settings();
    struct wire_handoff handoff = { .epoch = 5 };
    struct wire_header header;
    struct peer *p = peer_new();
    u8 *tape = malloc(1 << 20);

    (void)state;
    p->w.tape = tape;
    p->w.tape_cap = 1 << 20;
    assert_int_equal(source_start(&p->w.source, &settings), 0);
    world_run(&p->w, 10000);
    assert_int_equal(world_where(&p->w), 2);
    p->out.chunk[0] = (struct chunk){ .bytes = tape, .len = p->w.pipe[0].way[0].total };
    p->out.chunks = 1;
    pump(p);
    assert_int_equal(p->refused.code, WIRE_E_REPLAY);
    assert_int_equal(world_where(&p->w), 2);
    hang_up(p);
    /* A resolution of an attempt that never was. */
    dial(p);
    header = good_header(5);
    header.kind = WIRE_RESOLVE;
    say_header(p, header);
    say(p, WIRE_COMMIT, &handoff, sizeof(handoff));
    assert_int_equal(p->heard[0], WIRE_UNKNOWN);
    hang_up(p);
    /* And of the one that was: it runs, asked as often as you like. */
    dial(p);
    handoff.epoch = header.epoch = 8;
    say_header(p, header);
    say(p, WIRE_ABORT, &handoff, sizeof(handoff));
    assert_int_equal(p->heard[0], WIRE_RUNNING);
    assert_int_equal(world_where(&p->w), 2);
    free(tape);
    /* It ends, and with it what is remembered. */
    dest_forget(&p->w.dest, &p->w.dest_vm);
    p->w.dest_vm.exists = false;
    peer_free(p);
}

/* A frame for a guest is taken from the end that has moved it here, once it runs; and only what may be a frame. */
static void test_frames(void **state)
{
    static const u8 frame[WIRE_FRAME_MAX + 1];
    static const size_t lengths[] = { 0, WIRE_FRAME_MIN - 1, WIRE_FRAME_MIN, WIRE_FRAME_MAX, WIRE_FRAME_MAX + 1 };
    struct migrate_settings settings = world_settings();
    struct wire_handoff handoff = { .epoch = 8 };
    struct peer *p = peer_new();
    struct wire_header header = good_header(8);

    (void)state;
    say_header(p, header);
    say(p, WIRE_FRAME, frame, 60);
    refused_with(p, WIRE_E_STREAM);
    p = reserved();
    say(p, WIRE_FRAME, frame, 60);
    refused_with(p, WIRE_E_STREAM);

    p = peer_new();
    assert_int_equal(source_start(&p->w.source, &settings), 0);
    world_run(&p->w, 10000);
    assert_int_equal(world_where(&p->w), 2);
    header.kind = WIRE_RESOLVE;
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        size_t len = lengths[i];
        bool good = len >= WIRE_FRAME_MIN && len <= WIRE_FRAME_MAX;
        unsigned given = p->w.dest_vm.given[0];

        hang_up(p);
        dial(p);
        say_header(p, header);
        say(p, WIRE_COMMIT, &handoff, sizeof(handoff));
        assert_int_equal(p->heard[0], WIRE_RUNNING);
        say(p, WIRE_FRAME, frame, len);
        assert_int_equal(p->w.dest_vm.given[0], given + good);
        assert_int_equal(p->gone, !good);
        assert_int_equal(world_where(&p->w), 2);
    }
    dest_forget(&p->w.dest, &p->w.dest_vm);
    p->w.dest_vm.exists = false;
    peer_free(p);
}

static void test_crc32c(void **state)
{
    static const u8 text[] = "123456789";
    u8 bytes[300];

    (void)state;
    assert_int_equal(crc32c(0, text, 9), 0xE3069283);
    assert_int_equal(crc32c_folding(0, text, 9), 0xE3069283);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = i * 37;
    for (unsigned n = 0; n < sizeof(bytes); n++) {
        assert_int_equal(crc32c(0, bytes, n), crc32c_folding(0, bytes, n));
        if (crc32c_has_instruction())
            assert_int_equal(crc32c_instruction(0, bytes, n), crc32c_folding(0, bytes, n));
        assert_int_equal(crc32c(crc32c(0, bytes, n / 3), bytes + n / 3, n - n / 3), crc32c(0, bytes, n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_unknown_records),
        cmocka_unit_test(test_descriptions),
        cmocka_unit_test(test_receiving),
        cmocka_unit_test(test_every_record_in_every_stage),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

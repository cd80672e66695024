/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: migrate/source.c migrate/source_end.c migrate/source_stages.c migrate/source_ram.c migrate/dest_stages.c */
/* sources: migrate/source_words.c migrate/source_protect.c migrate/dest_protect.c stream/stash.c stream/sections.c */
/* sources: tests/unit/world_protect.c tests/unit/fake_frames.c migrate/source_measure.c migrate/source_serve.c */
/* sources: migrate/dest_fill.c tests/unit/world_memory.c migrate/source_files.c migrate/dest_files.c */
/* sources: stream/file_sender.c stream/file_receiver.c dev/sha256.c tests/unit/world_cold.c tests/unit/fake_kept.c */
/* sources: migrate/source_digest.c stream/ram_digest.c migrate/dest.c migrate/dest_receive.c migrate/dest_verify.c */
/* sources: migrate/source_forward.c migrate/dest_forward.c migrate/dest_stranded.c migrate/dest_attempts.c */
/* sources: tests/unit/peers.c owners/handoff.c stream/record.c stream/crc32c.c stream/ram.c policy/policy.c */
/* sources: policy/predict.c net/bucket.c migrate/stats.c dev/codec.c tests/unit/world.c tests/unit/pipe.c */
/* sources: tests/unit/stubs.c migrate/source_used.c */
/* What peers of a destination can hold, and for how long: places, memory, and what is remembered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "tests/unit/peers.h"

/* Two moves of a VM at once, of two owners or from two images: the second is refused, the first goes on. */
static u64 an_owner = WORLD_OWNER, no_owner;

static void test_two_at_once(void **owner)
{
    struct peer *first = reserved();
    struct line second;

    first->w.dest.incoming[0].owner = *(u64 *)*owner;
    line_open(&second, &first->w.dest);
    line_reserve(&second, &first->w, 0, 9, 0);
    pump(first);
    assert_int_equal(second.refused.code, WIRE_E_BUSY);
    assert_string_equal(second.refused.reason, "this VM is moving already");
    assert_true(first->w.dest_vm.exists && !first->gone);
    line_close(&second);
    peer_free(first);
}

/* Nobody is in doubt yet about a guest that is not prepared: who says that he is takes its connection from nobody. */
static void test_not_in_doubt_yet(void **state)
{
    struct peer *peer = reserved();
    struct wire_handoff commit = { .epoch = 8 };
    struct wire_round round = { 0 };
    struct line line;

    (void)state;
    line_open(&line, &peer->w.dest);
    line_header(&line, WIRE_RESOLVE, 0, 8);
    line_say(&line, WIRE_COMMIT, &commit, sizeof(commit));
    pump(peer);
    line_hear(&line);
    assert_int_equal(line.heard, WIRE_UNKNOWN);
    line_leave(&line, &peer->w.dest);
    say(peer, WIRE_ROUND, &round, sizeof(round));
    assert_int_equal(peer->heard[peer->records - 1], WIRE_ROUND_DONE);
    assert_true(peer->w.dest_vm.exists && !peer->gone);
    peer_free(peer);
}

/* Nor does a destination promise anything about an attempt that it has not accepted: another one of that number may be
 * prepared here, and may yet be adopted. */
static void test_nothing_is_promised_before_it_is_accepted(void **state)
{
    static const u32 messages[] = { WIRE_COMMIT, WIRE_QUERY, WIRE_ABORT };
    struct wire_handoff message = { .epoch = 8, .wish = WIRE_WISH_ABORT };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(messages); i++) {
        struct peer *peer = peer_new();

        say_header(peer, good_header(8));
        say(peer, messages[i], &message, sizeof(message));
        assert_int_equal(peer->heard[peer->records - 1], WIRE_UNKNOWN);
        peer_free(peer);
    }
}

/* Cancelled in any stage, and begun again at once: what is still on its way of the first attempt does not keep the
 * second one out. */
static void test_cancelled_and_begun_again(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    unsigned cancelled = 0;
    bool ran = false;

    (void)state;
    for (unsigned steps = 1; !ran; steps += 3) {
        world_init(w);
        memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
        assert_int_equal(source_start(&w->source, &settings), 0);
        for (unsigned i = 0; i < steps; i++)
            world_step(w);
        if (source_cancel(&w->source) == 0) {
            cancelled++;
            assert_true(source_settle(&w->source));
            assert_int_equal(source_start(&w->source, &settings), 0);
        }
        ran = w->dest_vm.running;
        world_run(w, 10000);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(world_where(w), 2);
        world_fini(w);
    }
    assert_true(cancelled > 10);
    free(w);
}

/* Headers without a RESERVE that is accepted are forgotten with their connection: the highest epoch blocks nobody. And
 * neither they nor checks evict what a source in doubt will ask for: here the end of a guest that ran, and has ended.
 */
static void test_strangers_evict_nothing(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    struct wire_handoff commit = { .epoch = 8 };
    struct line line;

    (void)state;
    world_init(w);
    line_open_from(&line, &w->dest, "stranger");
    line_header(&line, WIRE_MOVE, 0, 1 << 30);
    dest_step(&w->dest);
    line_leave(&line, &w->dest);
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_int_equal(world_where(w), 2);
    dest_forget(&w->dest, &w->dest_vm);
    w->dest_vm.running = w->dest_vm.exists = false;
    fake_vm_free(&w->dest_vm);
    assert_true(w->dest.incoming[0].settled);
    w->dest.incoming[0].settled = false; /* as if END had been lost */
    for (unsigned i = 1; i < 3 * DEST_ATTEMPTS; i++) {
        line_open_from(&line, &w->dest, "stranger");
        if (i % 3 == 0)
            line_header(&line, WIRE_MOVE, (u8)i, 8);
        else
            line_reserve(&line, w, (u8)i, 8, i % 3 == 1 ? WIRE_DRY_RUN : 0);
        assert_true(i % 3 == 0 || line.heard == WIRE_ACCEPTED);
        line_leave(&line, &w->dest);
        assert_false(w->dest_vm.exists);
    }
    line_open(&line, &w->dest);
    line_header(&line, WIRE_RESOLVE, 0, 8);
    line_say(&line, WIRE_COMMIT, &commit, sizeof(commit));
    for (unsigned i = 0; i < 5; i++)
        dest_step(&w->dest);
    line_hear(&line);
    assert_int_equal(line.heard, WIRE_RUNNING);
    line_leave(&line, &w->dest);
    world_fini(w);
    free(w);
}

/* Of hosts that leave open how their moves ended, the one with the most loses its oldest answer; where each has one,
 * none is lost, and no move is taken. */
static void test_open_ends(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct incoming *in = w->dest.incoming;
    struct line line;

    (void)state;
    world_init(w);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        in[i] = (struct incoming){
            .used = true, .stamp = i + 1, .stats.prepared = 1, .handoff = { DEST_GONE, 3 }, .vm_id = { (u8)i }
        };
        snprintf(in[i].peer, sizeof(in[i].peer), i % 16 ? "[::1]:%u" : "10.0.0.%u:5", i);
    }
    w->dest.stamps = DEST_ATTEMPTS;
    line_open_from(&line, &w->dest, "10.0.0.99:5");
    line_reserve(&line, w, 0, 8, 0);
    assert_int_equal(line.heard, WIRE_ACCEPTED);
    assert_int_equal(in[1].handoff.epoch, 8);
    assert_true(in[0].handoff.epoch == 3 && in[2].handoff.epoch == 3);
    line_leave(&line, &w->dest);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        in[i].stats.prepared = 1;
        snprintf(in[i].peer, sizeof(in[i].peer), "10.0.0.%u:5", i);
    }
    line_open_from(&line, &w->dest, "10.0.0.99:5");
    line_reserve(&line, w, 0, 9, 0);
    assert_int_equal(line.refused.code, WIRE_E_BUSY);
    line_leave(&line, &w->dest);
    world_fini(w);
    free(w);
}

/* What a source in doubt about an ended move hears, when it has said COMMIT again. */
static u32 answer_about(struct world *w, u8 id, u64 epoch)
{
    struct wire_handoff commit = { .epoch = epoch };
    struct line line;

    line_open(&line, &w->dest);
    line_header(&line, WIRE_RESOLVE, id, epoch);
    line_say(&line, WIRE_COMMIT, &commit, sizeof(commit));
    for (unsigned i = 0; i < 5; i++)
        dest_step(&w->dest);
    line_hear(&line);
    line_leave(&line, &w->dest);
    return line.heard;
}

/* All answers are open, each of another host: the operator's word, about a guest, a copy or all that has ended, lets
 * new moves in. A source that asks all the same is answered until the place is needed, and then hears UNKNOWN; but what
 * runs here is never unknown. */
static void test_open_ends_are_settled(void **state)
{
    static const char *const hosts[] = { "10.0.1.0:5", "10.0.1.1:5", "10.0.1.2:5" };
    struct world *w = calloc(1, sizeof(*w));
    struct incoming *in = w->dest.incoming;
    struct fake_vm copy = { .world = w, .exists = true };
    struct line line;

    (void)state;
    world_init(w);
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        in[i] = (struct incoming){ .used = true, .stamp = i + 1, .stats.prepared = 1, .handoff = { DEST_GONE, 3 } };
        memcpy(in[i].vm_id, world_id, WIRE_ID);
        in[i].vm_id[0] ^= (u8)i;
        snprintf(in[i].peer, sizeof(in[i].peer), "10.0.0.%u:5", i);
    }
    w->dest.stamps = DEST_ATTEMPTS;
    in[1].handoff.state = DEST_RUNNING;
    in[2].handoff.state = in[3].handoff.state = DEST_PREPARED;
    in[3].vm = &copy;
    for (u8 i = 3; i < 6; i++) {
        line_open_from(&line, &w->dest, hosts[i - 3]);
        line_reserve(&line, w, 99, i, WIRE_DRY_RUN);
        assert_int_equal(line.refused.code, WIRE_E_BUSY);
        line_leave(&line, &w->dest);
        switch (i) {
        case 3: assert_int_equal(dest_resolve(&w->dest, &copy, false), 0); break;
        case 4: assert_int_equal(dest_settle(&w->dest, in[4].vm_id), 1); break;
        case 5: assert_int_equal(dest_settle(&w->dest, NULL), DEST_ATTEMPTS - 2); break;
        }
        assert_int_equal(answer_about(w, i, 3), i == 3 ? WIRE_ABORTED : WIRE_RUNNING);
        line_open_from(&line, &w->dest, hosts[i - 3]);
        line_reserve(&line, w, 99, i, 0);
        assert_int_equal(line.heard, WIRE_ACCEPTED);
        line_leave(&line, &w->dest);
        in[i].stats.prepared = 1; /* as if it had been prepared: its answer is open, too */
    }
    assert_int_equal(answer_about(w, 3, 3), WIRE_UNKNOWN);
    assert_int_equal(dest_settle(&w->dest, in[1].vm_id) + dest_settle(&w->dest, in[2].vm_id), 0);
    assert_int_equal(answer_about(w, 1, 3), WIRE_RUNNING);
    world_fini(w);
    free(w);
}

/* A peer brings a guest under the highest epoch that there is, all of it, and it comes to run, or not; for its true
 * owner, whose epoch is low, that number is noise. While the copy is here the owner is told so; the operator frees it.
 */
static void test_no_epoch_bars_for_ever(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    w->dest.incoming[5] = (struct incoming){ .used = true, .stats.prepared = 1, .handoff = { DEST_GONE, EPOCH_MAX } };
    w->dest.incoming[6] =
        (struct incoming){ .used = true, .stats.prepared = 1, .handoff = { DEST_PREPARED, EPOCH_MAX } };
    memcpy(w->dest.incoming[5].vm_id, world_id, WIRE_ID);
    memcpy(w->dest.incoming[6].vm_id, world_id, WIRE_ID);
    w->dest_vm = (struct fake_vm){ .world = w, .exists = true };
    w->dest.incoming[6].vm = &w->dest_vm;
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_string_equal(w->source.stats.reason, "a prepared copy of this VM is kept there: see resolve");
    assert_int_equal(dest_resolve(&w->dest, &w->dest_vm, false), 0);
    assert_int_equal(source_start(&w->source, &settings), 0);
    world_run(w, 10000);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* Who is accepted and then only says that he lives holds memory for 10 s; who brings a page now and then, or says that
 * he has looked at more of them, keeps it. */
static void test_progress_is_required(void **state)
{
    struct wire_run run = { 0, 1 };
    struct peer *p = reserved();
    u64 work = 1;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned k = 0; k < 9; k++) {
            p->w.now += 900000000;
            say(p, WIRE_KEEPALIVE, &work, sizeof(work));
        }
        work += i % 2;
        if (i % 2)
            say(p, WIRE_KEEPALIVE, &work, sizeof(work));
        else
            say(p, WIRE_ZERO, &run, sizeof(run));
        assert_false(p->gone);
    }
    for (unsigned k = 0; k < 11; k++) {
        p->w.now += 900000000;
        say(p, WIRE_KEEPALIVE, k % 2 ? &work : NULL, k % 2 ? sizeof(work) : 0);
    }
    assert_string_equal(p->refused.reason, "nothing of the guest has come for 10 s");
    refused_with(p, WIRE_E_TIMEOUT);
}

/* Nor does a source that has brought its guest, prepared or running, keep its place for moves by living on: 10 s later
 * it asks by another connection. */
static void test_progress_is_required_to_the_end(void **state)
{
    static const enum dest_state comes_to[] = { DEST_PREPARED, DEST_RUNNING };
    struct world *w = calloc(1, sizeof(*w));
    const struct dest_session *session = &w->dest.session[0];
    struct migrate_settings settings = world_settings();

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(comes_to); i++) {
        world_init(w);
        assert_int_equal(source_start(&w->source, &settings), 0);
        while (w->dest.incoming[0].handoff.state != comes_to[i]) {
            world_tick(w);
            source_step(&w->source);
            dest_step(&w->dest);
        }
        for (unsigned half = 0; half < 22; half++) {
            assert_true(session->used || half > 19);
            w->now += 500000000;
            outbox_record(&w->source.outbox, WIRE_KEEPALIVE, &w->source.work, sizeof(w->source.work));
            outbox_flush(&w->source.outbox, &w->source.transport);
            dest_step(&w->dest);
        }
        assert_true(!session->used && w->dest_vm.exists);
        world_run(w, 10000);
        assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
        assert_int_equal(world_where(w), 2);
        world_fini(w);
    }
    free(w);
}

/* A source that may send a page a second, as its operator wants it, is not stuck. */
static void test_lowest_bandwidth(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
    settings.max_bandwidth = 4096;
    assert_int_equal(source_start(&w->source, &settings), 0);
    for (; source_active(&w->source); w->now += 50000000)
        world_step(w);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_true(w->source.stats.total_time > 200 * 1000000000ULL);
    world_fini(w);
    free(w);
}

/* Nor is one whose operator comes to want that in the middle of a move, with many pages gathered. */
static void test_bandwidth_is_lowered(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();

    (void)state;
    world_init(w);
    memset(w->source_vm.memory, 1, FAKE_PAGES * PAGE_SIZE);
    settings.max_bandwidth = MiB(1);
    assert_int_equal(source_start(&w->source, &settings), 0);
    while (w->source.stage != STAGE_ROUND || w->source.batch.pages < WIRE_BATCH)
        world_step(w);
    source_limit(&w->source, 1, 4096);
    for (; source_active(&w->source); w->now += 50000000)
        world_step(w);
    assert_int_equal(w->source.stats.status, MIGRATE_COMPLETED);
    assert_int_equal(world_where(w), 2);
    world_fini(w);
    free(w);
}

/* The operator of the destination has a word, too: in any stage the guest goes on at the source, which is told why. */
static void test_cancelled_at_the_destination(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct migrate_settings settings = world_settings();
    unsigned prepared = 0;

    (void)state;
    for (unsigned steps = 10;; steps++) {
        world_init(w);
        w->cap = 1 << 16;
        assert_int_equal(source_start(&w->source, &settings), 0);
        for (unsigned i = 0; i < steps && !w->dest_vm.running; i++)
            world_step(w);
        if (w->dest_vm.running) {
            assert_int_equal(dest_cancel(&w->dest, &w->dest_vm), -ENOENT);
            world_run(w, 10000);
            break;
        }
        prepared += w->dest.incoming[0].handoff.state == DEST_PREPARED;
        if (w->dest_vm.exists) {
            assert_int_equal(dest_cancel(&w->dest, &w->dest_vm), 0);
            assert_false(w->dest_vm.exists);
            assert_int_equal(dest_cancel(&w->dest, &w->dest_vm), -ENOENT);
            world_run(w, 10000);
            assert_int_equal(world_where(w), 1);
            assert_int_equal(w->dest.incoming[0].error, WIRE_E_CANCEL);
            if (w->source.stats.error == WIRE_E_CANCEL)
                assert_string_equal(w->source.stats.reason, "cancelled at the destination");
            else
                assert_string_equal(w->source.stats.reason, "the destination gave up before COMMIT");
        }
        world_fini(w);
    }
    assert_true(prepared);
    world_fini(w);
    free(w);
}

/* The memory of guests that have gone is freed a part in each step, as others want the host loop: RESERVE waits. */
static void test_reserve_waits_for_memory(void **state)
{
    struct reserve_body body = good_reserve();
    struct peer *p = peer_new();

    (void)state;
    p->w.to_free = 5;
    say_header(p, good_header(8));
    outbox_record(&p->out, WIRE_RESERVE, &body, sizeof(body));
    outbox_flush(&p->out, &p->transport);
    for (unsigned parts = 1; parts <= 5; parts++) {
        assert_true(dest_step(&p->w.dest));
        assert_int_equal(p->w.freed_parts, parts);
        assert_false(p->w.dest_vm.exists);
    }
    pump(p);
    assert_int_equal(p->heard[p->records - 1], WIRE_ACCEPTED);
    assert_true(p->w.dest_vm.exists);
    peer_free(p);
}

/* What guests on their way hold is limited, for one host and for all; copies that are stranded give way before, those
 * of a host that holds too much first. */
static void test_held_memory_is_limited(void **state)
{
    u64 size = FAKE_PAGES * PAGE_SIZE;
    struct peer *p = reserved();
    struct incoming *in = p->w.dest.incoming;
    struct fake_vm copy[2];
    struct line line;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        copy[i] = (struct fake_vm){ .world = &p->w, .exists = true };
        in[i + 1] = in[0];
        in[i + 1].description = NULL;
        in[i + 1].seen = in[i + 1].suspect = in[i + 1].sections = NULL;
        in[i + 1].session = NULL;
        in[i + 1].handoff.state = DEST_PREPARED;
        in[i + 1].vm_id[0] ^= 100;
        in[i + 1].vm = &copy[i];
    }
    strcpy(in[1].peer, "other:1");
    assert_int_equal(dest_held(&p->w.dest), 3 * size);
    dest_limit(&p->w.dest, 4 * size, 2 * size - 1);
    line_open(&line, &p->w.dest);
    line_reserve(&line, &p->w, 1, 8, 0);
    assert_int_equal(line.refused.code, WIRE_E_MEMORY);
    assert_string_equal(line.refused.reason, "guests from peer hold 1 MiB of at most 3, it needs 1: see "
                                             "incoming-memory-per-host");
    assert_true(copy[0].exists && copy[1].exists); /* it would not have helped */
    line_leave(&line, &p->w.dest);

    dest_limit(&p->w.dest, 4 * size, 2 * size);
    line_open(&line, &p->w.dest);
    line_reserve(&line, &p->w, 1, 8, 0); /* then the world has no room, but it is not the limit that says so */
    assert_int_equal(line.refused.code, WIRE_E_NAME);
    assert_true(copy[0].exists && !copy[1].exists);
    line_leave(&line, &p->w.dest);

    dest_limit(&p->w.dest, 2 * size - 1, 0);
    line_open_from(&line, &p->w.dest, "third");
    line_reserve(&line, &p->w, 2, 8, 0);
    assert_int_equal(line.refused.code, WIRE_E_MEMORY);
    assert_string_equal(line.refused.reason, "guests from all hosts hold 1 MiB of at most 3, it needs 1: see "
                                             "incoming-memory");
    line_leave(&line, &p->w.dest);
    dest_limit(&p->w.dest, 0, 0);
    assert_int_equal(dest_resolve(&p->w.dest, &copy[0], false), 0);
    peer_free(p);
}

#define LINES (DEST_MOVES + 2) /* one move too many, and one that asks */

/* Who only says that he is alive takes no place from others, nor does he keep his own for long. */
static void test_alive_and_idle(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct line *line = calloc(LINES, sizeof(*line)), *last = &line[LINES - 1];
    struct wire_handoff query = { .epoch = 3 };

    (void)state;
    world_init(w);
    for (u8 i = 0; i < LINES; i++) {
        w->now++;
        line_open(&line[i], &w->dest);
        line_header(&line[i], &line[i] == last ? WIRE_RESOLVE : WIRE_MOVE, i, 3);
        dest_step(&w->dest);
    }
    line_say(last, WIRE_QUERY, &query, sizeof(query));
    for (unsigned i = 0; i < 10; i++)
        dest_step(&w->dest);
    line_hear(&line[0]);
    assert_int_equal(line[0].refused.code, WIRE_E_BUSY);
    assert_string_equal(line[0].refused.reason, "too many guests are on their way there");
    for (unsigned i = 1; i < LINES; i++)
        line_hear(&line[i]);
    assert_false(line[1].gone || line[DEST_MOVES].heard || line[DEST_MOVES].gone);
    assert_int_equal(last->heard, WIRE_UNKNOWN);

    for (unsigned half = 0; half < 22; half++) {
        w->now += 500000000;
        for (unsigned i = 0; i < LINES; i++)
            line_say(&line[i], WIRE_KEEPALIVE, NULL, 0);
        dest_step(&w->dest);
    }
    for (unsigned i = 0; i < LINES; i++) {
        line_hear(&line[i]);
        assert_true(line[i].gone);
        line_close(&line[i]);
    }
    world_fini(w);
    free(line);
    free(w);
}

/* Of connections that are nothing yet the oldest gives way to a new one; a move never does. */
static void test_oldest_idle_gives_way(void **state)
{
    struct peer *peer = reserved();
    struct world *w = &peer->w;
    struct line *line = calloc(DEST_SESSIONS + 1, sizeof(*line)), *newest = &line[DEST_SESSIONS];

    (void)state;
    for (unsigned i = 0; i <= DEST_SESSIONS; i++) {
        w->now++;
        line_open(&line[i], &w->dest);
        dest_step(&w->dest);
    }
    line_header(newest, WIRE_RESOLVE, 0, 3);
    dest_step(&w->dest);
    for (unsigned i = 0; i <= DEST_SESSIONS; i++)
        line_hear(&line[i]);
    assert_true(line[0].gone && line[1].gone);
    assert_false(line[2].gone || newest->gone);
    pump(peer);
    assert_true(w->dest_vm.exists && !peer->gone);
    peer_free(peer);
    for (unsigned i = 0; i <= DEST_SESSIONS; i++)
        line_close(&line[i]);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_two_at_once, &an_owner),
        cmocka_unit_test_prestate(test_two_at_once, &no_owner),
        cmocka_unit_test(test_not_in_doubt_yet),
        cmocka_unit_test(test_nothing_is_promised_before_it_is_accepted),
        cmocka_unit_test(test_cancelled_and_begun_again),
        cmocka_unit_test(test_strangers_evict_nothing),
        cmocka_unit_test(test_open_ends),
        cmocka_unit_test(test_open_ends_are_settled),
        cmocka_unit_test(test_no_epoch_bars_for_ever),
        cmocka_unit_test(test_progress_is_required),
        cmocka_unit_test(test_progress_is_required_to_the_end),
        cmocka_unit_test(test_lowest_bandwidth),
        cmocka_unit_test(test_bandwidth_is_lowered),
        cmocka_unit_test(test_cancelled_at_the_destination),
        cmocka_unit_test(test_reserve_waits_for_memory),
        cmocka_unit_test(test_held_memory_is_limited),
        cmocka_unit_test(test_alive_and_idle),
        cmocka_unit_test(test_oldest_idle_gives_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/reception.c owners/peer_query.c stream/record.c stream/crc32c.c dev/codec.c */
/* sources: tests/unit/pipe.c tests/unit/stubs.c */
/* Questions over connections: one hypervisor asks several, and whoever reaches the port of one is received. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "owners/peer_query.h"
#include "stream/reception.h"
#include "tests/unit/pipe.h"
#include "tests/unit/stubs.h"

#define PIPES 32
#define MS 1000000ULL

static u64 now;
static struct pipe pipes[PIPES];
static unsigned nr_pipes;
static struct reception reception;
static bool reachable;
static u64 cut; /* bytes after which the next connection breaks */

/* What the receiver says, and what has come to it. */
static struct wire_claim says[WIRE_ANSWERS];
static unsigned nr_says, asked, passed;
static struct wire_header passed_header;
static struct transport passed_transport;

/* What the asker was told. */
static struct wire_claim told[64];
static unsigned nr_told;

static struct wire_claim claim_of(enum wire_claim_kind kind, u64 epoch)
{
    struct wire_claim claim = { .kind = (u16)kind, .epoch = epoch, .owner = 5, .name = "guest" };

    claim_seal(&claim);
    return claim;
}

static u64 reception_now(void)
{
    return now;
}

static unsigned answer(const char *peer, const struct wire_claim *question, struct wire_claim answers[WIRE_ANSWERS])
{
    assert_string_equal(peer, "peer");
    assert_int_equal(question->kind, WIRE_CLAIM_ASKS);
    asked++;
    memcpy(answers, says, sizeof(says));
    return nr_says;
}

static void pass_on(const struct transport *transport, const struct wire_header *header, const char *peer)
{
    assert_string_equal(peer, "peer");
    passed_transport = *transport;
    passed_header = *header;
    passed++;
}

static const struct reception_ops reception_ops = { .now = reception_now, .answer = answer, .pass_on = pass_on };

static struct transport dial(size_t piece)
{
    struct pipe *pipe = &pipes[nr_pipes++];
    struct transport other;

    assert_true(nr_pipes <= PIPES);
    pipe_init(pipe, 4000, piece);
    pipe->way[0].cut = cut;
    cut = PIPE_NEVER;
    other = pipe_end(pipe, 1);
    assert_int_equal(reception_accept(&reception, &other, "peer"), 0);
    return pipe_end(pipe, 0);
}

static u64 query_now(void *ctx)
{
    (void)ctx;
    return now;
}

static int query_connect(void *ctx, struct transport *transport)
{
    if (!reachable)
        return -ECONNREFUSED;
    *transport = dial(*(const size_t *)ctx);
    return 0;
}

static void heard(void *ctx, const struct wire_claim *claim)
{
    (void)ctx;
    assert_true(nr_told < ARRAY_SIZE(told));
    told[nr_told++] = *claim;
}

static const struct peer_query_ops query_ops = { .now = query_now, .connect = query_connect, .heard = heard };

static int setup(void **state)
{
    (void)state;
    reception_init(&reception, &reception_ops);
    nr_pipes = nr_says = asked = passed = nr_told = 0;
    reachable = true;
    cut = PIPE_NEVER;
    now = 1000 * MS;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    now += 6000 * MS;
    reception_step(&reception);
    assert_false(reception_busy(&reception));
    for (unsigned i = 0; i < nr_pipes; i++)
        pipe_fini(&pipes[i]);
    return 0;
}

static void run(struct peer_query *query, unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        peer_query_step(query);
        reception_step(&reception);
        now += MS;
    }
}

/* Each question has its answers, in whatever pieces they come; and the connection ends. */
static void test_answers(void **state)
{
    struct wire_claim questions[WIRE_QUESTIONS];
    struct peer_query query;

    (void)state;
    for (unsigned i = 0; i < WIRE_QUESTIONS; i++)
        questions[i] = claim_of(WIRE_CLAIM_ASKS, i + 1);
    says[0] = claim_of(WIRE_CLAIM_OWNS, 7);
    says[1] = claim_of(WIRE_CLAIM_HOLDS, 8);
    for (nr_says = 0; nr_says <= WIRE_ANSWERS; nr_says++)
        for (size_t piece = 1; piece < 4000; piece += 333) {
            nr_told = asked = 0;
            peer_query_start(&query, &query_ops, &piece, questions, WIRE_QUESTIONS);
            run(&query, 4000);
            assert_int_equal(query.status, PEER_ANSWERED);
            assert_int_equal(asked, WIRE_QUESTIONS);
            assert_int_equal(nr_told, nr_says * WIRE_QUESTIONS);
            for (unsigned i = 0; i < nr_told; i++)
                assert_memory_equal(&told[i], &says[i % nr_says], sizeof(told[i]));
            assert_false(reception_busy(&reception));
            pipe_fini(&pipes[--nr_pipes]);
        }
    assert_int_equal(passed, 0);
}

/* Who can't be reached, or is cut off, is tried again as long as there is time, and no longer. */
static void test_again(void **state)
{
    struct wire_claim question = claim_of(WIRE_CLAIM_ASKS, 1);
    struct peer_query query;
    size_t piece = 4000;

    (void)state;
    reachable = false;
    peer_query_start(&query, &query_ops, &piece, &question, 1);
    run(&query, 150);
    assert_int_equal(query.status, PEER_ASKED);
    reachable = true;
    cut = 70;
    run(&query, 100);
    assert_int_equal(query.status, PEER_ASKED);
    assert_int_equal(nr_pipes, 1);
    run(&query, 100);
    assert_int_equal(nr_pipes, 2);
    assert_int_equal(query.status, PEER_ANSWERED);

    reachable = false;
    peer_query_start(&query, &query_ops, &piece, &question, 1);
    run(&query, 400);
    peer_query_end(&query);
    assert_int_equal(query.status, PEER_SILENT);
    assert_false(peer_query_step(&query));
}

/* A hypervisor that has keys says so in the words of TLS, and hears ours; the log is told, and not each time. */
static void test_has_keys(void **state)
{
    static const u8 hello[100] = { 22, 3, 1, 0, 95, 1 };
    const struct chunk chunk = { .bytes = hello, .len = sizeof(hello) };
    unsigned lines = stub_log_lines;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct transport visitor = dial(4000);
        struct wire_header header;

        assert_int_equal(visitor.ops->send(&visitor, &chunk, 1), sizeof(hello));
        for (unsigned step = 0; step < 4; step++)
            reception_step(&reception);
        assert_int_equal(visitor.ops->receive(&visitor, &header, sizeof(header)), sizeof(header));
        assert_int_equal(header.magic, WIRE_MAGIC);
        assert_int_equal(stub_log_lines, lines + 1);
        assert_false(reception_busy(&reception));
        visitor.ops->close(&visitor);
    }
}

/* The other side of a question, made by hand. */
struct hostile {
    struct peer_query query;
    struct transport transport;
    struct outbox out;
    struct wire_claim question;
};

static int hostile_connect(void *ctx, struct transport *transport)
{
    struct hostile *h = ctx;
    struct wire_header header = { .version_min = 1, .version_max = 1, .kind = WIRE_REPLY };

    pipe_init(&pipes[nr_pipes], 1 << 16, 1 << 16);
    *transport = pipe_end(&pipes[nr_pipes], 0);
    h->transport = pipe_end(&pipes[nr_pipes++], 1);
    outbox_reset(&h->out);
    outbox_header(&h->out, &header);
    outbox_flush(&h->out, &h->transport);
    return 0;
}

static const struct peer_query_ops hostile_ops = { .now = query_now, .connect = hostile_connect, .heard = heard };

static void hostile_start(struct hostile *h)
{
    nr_told = 0;
    h->question = claim_of(WIRE_CLAIM_ASKS, 1);
    assert_int_equal(outbox_init(&h->out, WIRE_BODY_MAX), 0);
    peer_query_start(&h->query, &hostile_ops, h, &h->question, 1);
    peer_query_step(&h->query);
}

static void hostile_says(struct hostile *h, u32 type, const void *body, size_t len)
{
    outbox_record(&h->out, type, body, len);
    outbox_flush(&h->out, &h->transport);
    peer_query_step(&h->query);
}

static void hostile_end(struct hostile *h)
{
    peer_query_end(&h->query);
    h->transport.ops->close(&h->transport);
    outbox_fini(&h->out);
    while (nr_pipes)
        pipe_fini(&pipes[--nr_pipes]);
}

/* What a peer says is bounded, and what is no answer is none. */
static void test_hostile_peer(void **state)
{
    struct hostile h;
    struct wire_claim claim = claim_of(WIRE_CLAIM_OWNS, 9), damaged = claim;
    static const u8 long_body[sizeof(claim) + 8];

    (void)state;
    damaged.epoch++;
    hostile_start(&h);
    for (unsigned i = 0; i < 100; i++)
        if (h.query.status == PEER_ASKED)
            hostile_says(&h, WIRE_CLAIM, &claim, sizeof(claim));
    assert_int_equal(nr_told, WIRE_ANSWERS);
    assert_int_equal(h.query.status, PEER_SILENT);
    hostile_end(&h);

    const struct {
        u32 type;
        const void *body;
        size_t len;
    } wrong[] = {
        { WIRE_CLAIM, &damaged, sizeof(damaged) },
        { WIRE_CLAIM, &claim, sizeof(claim) - 8 },
        { WIRE_CLAIM, long_body, sizeof(long_body) },
        { WIRE_PAGES, long_body, 8 },
        { WIRE_RUNNING, NULL, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        hostile_start(&h);
        hostile_says(&h, wrong[i].type, wrong[i].body, wrong[i].len);
        assert_int_equal(h.query.status, PEER_ASKED);
        assert_false(h.query.connected);
        assert_int_equal(nr_told, 0);
        hostile_end(&h);
    }
}

/* Somebody who has connected to us. */
struct caller {
    struct transport transport;
    struct outbox out;
    struct inbox in;
    unsigned records;
    int last; /* of inbox_next */
};

static void caller_says(struct caller *c, u32 type, const void *body, size_t len)
{
    outbox_record(&c->out, type, body, len);
    outbox_flush(&c->out, &c->transport);
    reception_step(&reception);
    while ((c->last = inbox_next(&c->in, &c->transport)) > 0)
        c->records += c->last == INBOX_RECORD;
}

static void caller_dials(struct caller *c, enum wire_kind kind)
{
    struct wire_header header = { .version_min = 1, .version_max = 1, .kind = kind, .epoch = 3 };

    memset(c, 0, sizeof(*c));
    assert_int_equal(outbox_init(&c->out, WIRE_BODY_MAX), 0);
    assert_int_equal(inbox_init(&c->in, WIRE_BODY_MAX, NULL, NULL), 0);
    c->transport = dial(4000);
    outbox_header(&c->out, &header);
    outbox_flush(&c->out, &c->transport);
    reception_step(&reception);
}

static void caller_leaves(struct caller *c)
{
    c->transport.ops->close(&c->transport);
    outbox_fini(&c->out);
    inbox_fini(&c->in);
}

/* With the header of a move, or of the end of one, it goes on whole to where moves are. */
static void test_moves_go_on(void **state)
{
    struct caller c;

    (void)state;
    for (enum wire_kind kind = WIRE_MOVE; kind <= WIRE_REPLY; kind++) {
        caller_dials(&c, kind);
        assert_int_equal(passed, kind);
        assert_int_equal(passed_header.kind, kind);
        assert_int_equal(passed_header.epoch, 3);
        assert_false(reception_busy(&reception));
        passed_transport.ops->close(&passed_transport);
        caller_leaves(&c);
    }
}

/* A question costs little, and what is none ends the connection. */
static void test_hostile_caller(void **state)
{
    struct wire_claim question = claim_of(WIRE_CLAIM_ASKS, 1), owns = claim_of(WIRE_CLAIM_OWNS, 1);
    struct caller c;

    (void)state;
    assert_true(sizeof(struct visitor) + 2 * (sizeof(struct wire_claim) + sizeof(struct wire_record)) < 4096);
    caller_dials(&c, WIRE_ASK);
    for (unsigned i = 0; i <= WIRE_QUESTIONS; i++)
        caller_says(&c, WIRE_CLAIM, &question, sizeof(question));
    assert_int_equal(asked, WIRE_QUESTIONS);
    assert_int_equal(c.last, -EPIPE);
    caller_leaves(&c);

    caller_dials(&c, WIRE_ASK);
    caller_says(&c, WIRE_CLAIM, &owns, sizeof(owns));
    assert_int_equal(c.last, -EPIPE);
    caller_leaves(&c);

    caller_dials(&c, WIRE_ASK);
    caller_says(&c, WIRE_RESERVE, &owns, sizeof(owns));
    assert_int_equal(c.last, -EPIPE);
    caller_leaves(&c);
    assert_int_equal(asked, WIRE_QUESTIONS);
    assert_int_equal(passed, 0);

    caller_dials(&c, WIRE_ASK);
    now += 5001 * MS;
    reception_step(&reception);
    assert_false(reception_busy(&reception));
    caller_leaves(&c);
}

/* Whoever says nothing gives way to who comes later, and nobody else does. */
static void test_oldest_gives_way(void **state)
{
    struct wire_claim question = claim_of(WIRE_CLAIM_ASKS, 1);
    struct transport silent[RECEPTION_PLACES + 3];
    struct caller c;

    (void)state;
    for (unsigned i = 0; i < RECEPTION_PLACES + 3; i++) {
        silent[i] = dial(4000);
        now += MS;
        reception_step(&reception);
    }
    for (unsigned i = 0; i < RECEPTION_PLACES + 3; i++)
        assert_int_equal(pipes[i].closed[1], i < 3);
    caller_dials(&c, WIRE_ASK);
    assert_true(pipes[3].closed[1]);
    caller_says(&c, WIRE_CLAIM, &question, sizeof(question));
    caller_says(&c, WIRE_END, NULL, 0);
    assert_int_equal(asked, 1);
    assert_int_equal(c.records, 1);
    caller_leaves(&c);
    for (unsigned i = 0; i < RECEPTION_PLACES + 3; i++)
        silent[i].ops->close(&silent[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_has_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oldest_gives_way, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

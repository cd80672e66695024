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
/* Peers that are known by keys of their own (docs/keys.md "Peers"): one ends, and goes on with, what it began itself.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/peers.h"

#define OWNER 7

/* A guest that `whose` has brought is prepared here, and its connection has ended. */
static struct peer *prepared(const char *whose)
{
    struct peer *p = reserved();
    struct incoming *in = &p->w.dest.incoming[0];

    strcpy(in->peer, whose);
    in->owner = OWNER;
    in->handoff.state = DEST_PREPARED;
    in->stats.prepared = 1;
    hang_up(p);
    assert_null(in->session);
    dial(p);
    return p;
}

/* What the destination answers to one of that host who asks it to give the guest up. */
static u32 asks(struct peer *p, const char *host)
{
    struct wire_handoff query = { .epoch = 8, .wish = WIRE_WISH_ABORT };
    struct line line;

    line_open_from(&line, &p->w.dest, host);
    line_header(&line, WIRE_RESOLVE, 0, 8);
    line_say(&line, WIRE_QUERY, &query, sizeof(query));
    for (unsigned i = 0; i < 5; i++)
        dest_step(&p->w.dest);
    line_hear(&line);
    line_leave(&line, &p->w.dest);
    return line.heard;
}

static void test_who_ends_a_move(void **state)
{
    struct peer *p = prepared("beta@10.0.0.1:5");

    (void)state;
    assert_int_equal(asks(p, "gamma@10.0.0.1:6"), WIRE_UNKNOWN);
    assert_int_equal(asks(p, "10.0.0.1:6"), WIRE_UNKNOWN);
    assert_true(p->w.dest_vm.exists);
    assert_int_equal(asks(p, "bet@10.0.0.1:6"), WIRE_UNKNOWN);
    assert_int_equal(asks(p, "beta@10.0.0.2:7"), WIRE_ABORTED); /* of whatever address: its name is proved */
    assert_false(p->w.dest_vm.exists);
    peer_free(p);
}

/* Where nobody is named, whoever knows id and epoch may ask. */
static void test_without_names(void **state)
{
    struct peer *p = prepared("10.0.0.1:5");

    (void)state;
    assert_int_equal(asks(p, "10.0.0.2:6"), WIRE_ABORTED);
    peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_ends_a_move),
        cmocka_unit_test(test_without_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

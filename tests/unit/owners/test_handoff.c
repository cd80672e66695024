/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: owners/handoff.c */
/* The handoff's state machines, transition by transition; tests/model checks what they do together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/bits.h"
#include "owners/handoff.h"

static struct handoff_source in_state(enum source_state state)
{
    struct handoff_source source;

    handoff_source_init(&source, 7);
    assert_int_equal(handoff_propose(&source), 8);
    source.state = state;
    return source;
}

static void test_good_way(void **state)
{
    struct handoff_source source;
    struct handoff_dest dest;

    (void)state;
    handoff_source_init(&source, 7);
    handoff_dest_init(&dest, handoff_propose(&source));
    assert_int_equal(handoff_source_event(&source, HANDOFF_READY, 0), ACTION_SAY_PREPARE);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_READY, 0), ACTION_SAY_PREPARED);
    assert_int_equal(handoff_source_event(&source, HANDOFF_PREPARED, 8), ACTION_NOTE | ACTION_GATE | ACTION_SAY_COMMIT);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 8),
                     ACTION_NOTE | ACTION_RUN | ACTION_SAY_RUNNING | ACTION_ANNOUNCE);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RUNNING, 8), ACTION_FREE);
    assert_int_equal(source.epoch, 8);
    /* Repetitions change nothing. */
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 8), ACTION_SAY_RUNNING);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_QUERY_ABORT, 8), ACTION_SAY_RUNNING);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_ABORT, 8), ACTION_SAY_RUNNING);
    assert_int_equal(handoff_source_event(&source, HANDOFF_ABORTED, 8), 0);
}

static struct handoff_source protecting(void)
{
    struct handoff_source source = in_state(SOURCE_PREPARING);

    source.protect = true;
    assert_int_equal(handoff_source_event(&source, HANDOFF_PREPARED, 8), ACTION_GO_ON);
    assert_true(source_owns(&source) && !source_holds(&source));
    return source;
}

/* The guest runs on beside its copy. That the copy asks again, or answers, changes nothing. */
static void test_protected(void **state)
{
    struct handoff_source source = protecting();

    (void)state;
    assert_int_equal(handoff_source_event(&source, HANDOFF_PREPARED, 8), 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_ABORTED, 8), 0); /* others say what that means */
    assert_int_equal(handoff_source_event(&source, HANDOFF_FORCE_GIVE_UP, 9), 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_READY, 0), ACTION_NOTE | ACTION_GATE | ACTION_SAY_COMMIT);
    assert_int_equal(source.state, SOURCE_IN_DOUBT);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RUNNING, 8), ACTION_FREE);
    assert_int_equal(source.epoch, 8);
}

/* It has parted: it asks whether the copy runs, and nothing but others' word, or force, makes it the owner again. */
static void test_parted(void **state)
{
    const enum handoff_event ways[] = { HANDOFF_CANCEL, HANDOFF_LINK_LOST };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        struct handoff_source source = protecting();

        assert_int_equal(handoff_source_event(&source, ways[i], 0), i ? ACTION_RECONNECT : ACTION_SAY_QUERY);
        assert_true(!source_owns(&source) && source_holds(&source));
        assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_LOST, 0), ACTION_RECONNECT);
        assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_BACK, 0), ACTION_SAY_QUERY);
        assert_int_equal(handoff_source_event(&source, HANDOFF_READY, 0), 0); /* too late for a handoff */
        assert_int_equal(handoff_source_event(&source, HANDOFF_PREPARED, 8), 0);
        assert_int_equal(handoff_source_event(&source, HANDOFF_UNKNOWN, 8), 0);
        assert_true(source.lost);
        assert_int_equal(source.state, SOURCE_PROTECTED);
        assert_int_equal(handoff_source_event(&source, HANDOFF_ALONE, 0),
                         ACTION_RESUME | ACTION_NOTE | ACTION_SAY_ABORT);
        assert_int_equal(source.epoch, 7);
        assert_int_equal(handoff_propose(&source), 9);
        assert_false(source.protect);
        assert_int_equal(handoff_source_event(&source, HANDOFF_ALONE, 0), 0);
    }
}

/* The copy runs, or somebody's. */
static void test_protected_lost(void **state)
{
    struct handoff_source source = protecting();

    (void)state;
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 7), 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 8), ACTION_STAND);
    source = protecting();
    handoff_source_event(&source, HANDOFF_CANCEL, 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RUNNING, 8), ACTION_STAND);
    assert_int_equal(source.state, SOURCE_SUPERSEDED);
    source = protecting(); /* after COMMIT it has parted, so what runs there may be of before COMMIT */
    handoff_source_event(&source, HANDOFF_READY, 0);
    handoff_source_event(&source, HANDOFF_CANCEL, 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RUNNING, 8), ACTION_STAND);
    source = protecting();
    handoff_source_event(&source, HANDOFF_READY, 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_ALONE, 0), ACTION_RESUME | ACTION_NOTE | ACTION_SAY_ABORT);
    source = protecting();
    assert_int_equal(handoff_source_event(&source, HANDOFF_FORCE_RESUME, 100),
                     ACTION_RESUME | ACTION_NOTE | ACTION_ANNOUNCE);
    assert_int_equal(source.epoch, 108);
}

/* No order makes an ordinary move's source forget that it is in doubt. */
static void test_alone_is_for_protected_ones(void **state)
{
    struct handoff_source source = in_state(SOURCE_IN_DOUBT);

    (void)state;
    assert_int_equal(handoff_source_event(&source, HANDOFF_ALONE, 0), 0);
    assert_int_equal(source.state, SOURCE_IN_DOUBT);
}

/* Whatever happens in whatever order to either machine: the rules of the header. */
static void test_invariants(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 3000; seed++) {
        struct handoff_source source;
        struct handoff_dest dest;
        bool committed = false, dest_over = false;
        u32 random = seed * 2654435761u;

        handoff_source_init(&source, 1);
        handoff_dest_init(&dest, handoff_propose(&source));
        for (unsigned i = 0; i < 60; i++) {
            enum handoff_event event;
            enum source_state before = source.state;
            unsigned actions;

            random = random * 1103515245 + 12345;
            event = (random >> 16) % NR_HANDOFF_EVENTS;
            actions = handoff_source_event(&source, event, 2 + random % 2);
            if (actions & ACTION_SAY_COMMIT)
                committed = true;
            if (actions & ACTION_RESUME && committed)
                assert_true(event == HANDOFF_FORCE_RESUME || (before == SOURCE_IN_DOUBT && event == HANDOFF_ABORTED));
            assert_false((actions & ACTION_RESUME) && (actions & ACTION_FREE));
            if (actions & ACTION_RESUME)
                committed = false;
            actions = handoff_dest_event(&dest, event, 2 + random % 2);
            if (actions & ACTION_RUN)
                assert_true((event == HANDOFF_COMMIT || event == HANDOFF_ADOPT) && !dest_over);
            dest_over |= dest.state == DEST_ABORTED || dest.state == DEST_RUNNING || dest.state == DEST_GONE;
        }
    }
}

static void test_in_doubt(void **state)
{
    struct handoff_source source = in_state(SOURCE_IN_DOUBT);

    (void)state;
    assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_LOST, 0), ACTION_RECONNECT);
    assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_BACK, 0), ACTION_SAY_COMMIT);
    assert_int_equal(handoff_source_event(&source, HANDOFF_UNKNOWN, 8), 0);
    assert_true(source.lost);
    assert_int_equal(handoff_source_event(&source, HANDOFF_ABORTED, 7), 0); /* another attempt's */
    assert_int_equal(handoff_source_event(&source, HANDOFF_CANCEL, 0), ACTION_SAY_QUERY);
    assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_BACK, 0), ACTION_SAY_QUERY);
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 8), 0);
    assert_int_equal(source.state, SOURCE_IN_DOUBT);
    assert_int_equal(handoff_source_event(&source, HANDOFF_ABORTED, 8), ACTION_RESUME | ACTION_NOTE);
    assert_int_equal(source.epoch, 7);
    assert_int_equal(handoff_propose(&source), 9); /* 8 is used up */

    source = in_state(SOURCE_IN_DOUBT);
    assert_int_equal(handoff_source_event(&source, HANDOFF_FORCE_RESUME, 1000),
                     ACTION_RESUME | ACTION_NOTE | ACTION_ANNOUNCE);
    assert_int_equal(source.epoch, 1008); /* above what the other side may have */
}

/* Whoever hears a higher epoch stands, keeps what he has, and goes on by an operator's word only, above all others. */
static void test_superseded(void **state)
{
    static const enum source_state all[] = { SOURCE_OWNER, SOURCE_PREPARING, SOURCE_IN_DOUBT };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct handoff_source source = in_state(all[i]);
        u64 known = all[i] == SOURCE_IN_DOUBT ? 8 : 7; /* in doubt: the destination's may be 8 */

        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, known), 0);
        assert_int_equal(source.state, all[i]);
        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, known + 1),
                         ACTION_STAND | (all[i] == SOURCE_PREPARING ? ACTION_SAY_ABORT : 0));
        assert_int_equal(source.state, SOURCE_SUPERSEDED);
        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 20), 0); /* it stands already */
        for (enum handoff_event event = 0; event < NR_HANDOFF_EVENTS; event++)
            if (event != HANDOFF_FORCE_RESUME && event != HANDOFF_FORCE_GIVE_UP)
                assert_int_equal(handoff_source_event(&source, event, 20), 0);
        assert_int_equal(source.state, SOURCE_SUPERSEDED);

        struct handoff_source given_up = source;

        assert_true(handoff_source_event(&source, HANDOFF_FORCE_RESUME, 1) & ACTION_RESUME);
        assert_int_equal(source.state, SOURCE_OWNER);
        assert_int_equal(source.epoch, 21);
        assert_int_equal(handoff_propose(&source), 22);
        assert_int_equal(handoff_source_event(&given_up, HANDOFF_FORCE_GIVE_UP, 0), ACTION_FREE);
        assert_int_equal(given_up.state, SOURCE_GONE);
        assert_int_equal(handoff_source_event(&given_up, HANDOFF_HIGHER_EPOCH, 30), 0);
    }
}

/* A split source that has said COMMIT goes on: the copy there may need its pages. What it has heard counts when the
 * guest is its own again. */
static void test_split_hears(void **state)
{
    static const enum source_state both[] = { SOURCE_IN_DOUBT, SOURCE_SERVING };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct handoff_source source = in_state(both[i]);

        source.split = true;
        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 20), 0);
        assert_int_equal(source.state, both[i]);
        assert_int_equal(handoff_source_event(&source, HANDOFF_LINK_BACK, 0), ACTION_SAY_COMMIT);

        struct handoff_source aborted = source;

        assert_true(handoff_source_event(&source, HANDOFF_FORCE_RESUME, 1) & ACTION_RESUME);
        assert_int_equal(source.epoch, 21);
        if (both[i] == SOURCE_SERVING)
            continue;
        assert_int_equal(handoff_source_event(&aborted, HANDOFF_ABORTED, 8), ACTION_STAND);
        assert_int_equal(aborted.state, SOURCE_SUPERSEDED);
    }
}

/* A damaged or forged claim: nobody stands for a number that no owner can have come to, and none locks a VM up. */
static void test_noise(void **state)
{
    static const u64 noise[] = { 8 + EPOCH_STEP + 1, EPOCH_CLAIM + 1, EPOCH_MAX + 1, (1ULL << 63) + 5, ~0ULL };
    struct handoff_source source = in_state(SOURCE_OWNER);
    struct handoff_dest dest;

    (void)state;
    handoff_dest_init(&dest, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(noise); i++) {
        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, noise[i]), 0);
        assert_int_equal(source.state, SOURCE_OWNER);
        assert_int_equal(handoff_dest_event(&dest, HANDOFF_HIGHER_EPOCH, noise[i]), 0);
        assert_int_equal(dest.state, DEST_RECEIVING);
    }
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 8 + EPOCH_STEP), ACTION_STAND);
    for (unsigned i = 0; i < ARRAY_SIZE(noise); i++)
        handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, ~0ULL - i);
    assert_true(handoff_source_event(&source, HANDOFF_FORCE_RESUME, EPOCH_FORCE) & ACTION_RESUME);
    assert_true(source.epoch > 8 + EPOCH_STEP && source.epoch < EPOCH_MAX);
    /* Whatever others claim, there is room above it for force, and then for moves. */
    source.epoch = source.proposed = EPOCH_CLAIM - 1;
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, EPOCH_CLAIM), ACTION_STAND);
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, EPOCH_CLAIM + 1), 0);
    assert_true(handoff_source_event(&source, HANDOFF_FORCE_RESUME, 2 * EPOCH_FORCE) & ACTION_RESUME);
    assert_int_equal(source.epoch, EPOCH_CLAIM + 2 * EPOCH_FORCE);
    assert_true(handoff_propose(&source) < EPOCH_MAX);
    assert_int_equal(epoch_forced(EPOCH_MAX - 1, EPOCH_FORCE), EPOCH_MAX);
    /* What a destination says that it remembers is passed by the next proposal, but not at any price. */
    source = in_state(SOURCE_OWNER);
    for (unsigned i = 0; i < ARRAY_SIZE(noise); i++)
        handoff_remembered(&source, noise[i]);
    handoff_remembered(&source, 30);
    assert_int_equal(handoff_propose(&source), 31);
}

/* However far apart the epochs of two owners are, the one of the lower hears what makes it stand. */
static void test_far_apart(void **state)
{
    static const u64 apart[] = { 1, EPOCH_STEP, EPOCH_STEP + 1, 2 * EPOCH_STEP, EPOCH_MAX - 8 };

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct handoff_source source = in_state(SOURCE_OWNER);
        u64 said = epoch_to_say(7 + apart[i], 7);

        assert_true(said <= 7 + apart[i]);
        assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, said), ACTION_STAND);
        assert_int_equal(source.state, SOURCE_SUPERSEDED);
    }
    assert_int_equal(epoch_to_say(7, 7), 7);
}

/* An operator at the destination knows that the source is dead. If it is not after all, it hears what is true. */
static void test_adopt(void **state)
{
    struct handoff_source source = in_state(SOURCE_IN_DOUBT);
    struct handoff_dest dest;

    (void)state;
    handoff_dest_init(&dest, 8);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_ADOPT, 0), 0); /* of what is not complete */
    handoff_dest_event(&dest, HANDOFF_READY, 0);
    assert_true(handoff_dest_event(&dest, HANDOFF_ADOPT, 0) & ACTION_RUN);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_QUERY_ABORT, 8), ACTION_SAY_RUNNING);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RUNNING, 8), ACTION_FREE);
    source = in_state(SOURCE_OWNER); /* it had not heard PREPARED, and went on */
    assert_int_equal(handoff_source_event(&source, HANDOFF_HIGHER_EPOCH, 8), ACTION_STAND);

    handoff_dest_init(&dest, 8);
    handoff_dest_event(&dest, HANDOFF_READY, 0);
    assert_true(handoff_dest_event(&dest, HANDOFF_OWNER_HEARD, 7) & ACTION_FREE);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 8), ACTION_SAY_ABORTED);
}

/* Two owners of one epoch: the one who is told that he is the younger stands, but not for what he has proposed himself.
 */
static void test_rival(void **state)
{
    struct handoff_source source = in_state(SOURCE_IN_DOUBT);

    (void)state;
    assert_int_equal(handoff_source_event(&source, HANDOFF_RIVAL, 8), 0);
    source = in_state(SOURCE_OWNER);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RIVAL, 8), 0);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RIVAL, 7), ACTION_STAND);
    assert_int_equal(source.state, SOURCE_SUPERSEDED);
    assert_int_equal(handoff_source_event(&source, HANDOFF_RIVAL, 7), 0);
    assert_true(handoff_source_event(&source, HANDOFF_FORCE_RESUME, EPOCH_FORCE) & ACTION_RESUME);
    assert_int_equal(source.epoch, 8 + EPOCH_FORCE);
}

static void test_before_commit(void **state)
{
    static const enum handoff_event ends[] = { HANDOFF_CANCEL, HANDOFF_LINK_LOST, HANDOFF_ABORTED };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct handoff_source source = in_state(SOURCE_PREPARING);

        assert_true(handoff_source_event(&source, ends[i], 8) & ACTION_RESUME);
        assert_int_equal(source.state, SOURCE_OWNER);
        assert_int_equal(source.epoch, 7);
        /* A PREPARED that comes too late commits nothing. */
        assert_int_equal(handoff_source_event(&source, HANDOFF_PREPARED, 8), 0);
    }
}

static void test_dest(void **state)
{
    struct handoff_dest dest;

    (void)state;
    handoff_dest_init(&dest, 8);
    assert_true(handoff_dest_event(&dest, HANDOFF_COMMIT, 8) & ACTION_FREE); /* of what was not received */
    handoff_dest_init(&dest, 8);
    handoff_dest_event(&dest, HANDOFF_READY, 0);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_LINK_LOST, 0), 0);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 9), 0);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_QUERY, 8), ACTION_SAY_PREPARED);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_CANCEL, 0), ACTION_NOTE | ACTION_FREE | ACTION_SAY_ABORTED);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 8), ACTION_SAY_ABORTED);
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_ADOPT, 0), 0); /* its source may have been told so */
    dest.state = DEST_RUNNING;
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_HIGHER_EPOCH, 9), 0); /* the VM's own, as an owner's */
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_COMMIT, 8), ACTION_SAY_RUNNING);
    dest.state = DEST_PREPARED;
    assert_int_equal(handoff_dest_event(&dest, HANDOFF_HIGHER_EPOCH, 8), 0);
    assert_true(handoff_dest_event(&dest, HANDOFF_HIGHER_EPOCH, 9) & ACTION_FREE);
    assert_int_equal(dest.state, DEST_ABORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_way),
        cmocka_unit_test(test_protected),
        cmocka_unit_test(test_parted),
        cmocka_unit_test(test_protected_lost),
        cmocka_unit_test(test_alone_is_for_protected_ones),
        cmocka_unit_test(test_invariants),
        cmocka_unit_test(test_in_doubt),
        cmocka_unit_test(test_before_commit),
        cmocka_unit_test(test_dest),
        cmocka_unit_test(test_superseded),
        cmocka_unit_test(test_far_apart),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_rival),
        cmocka_unit_test(test_split_hears),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

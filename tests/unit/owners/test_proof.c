/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: net/bucket.c tests/unit/fake_keys.c tests/unit/fake_random.c tests/unit/stubs.c */
/*
 * Machines on a link with keys, and somebody who records all frames and says them again, holds them back and makes
 * some: no claim counts that its sender has not said just now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Built into this test, so that each machine has its own: enter(). */
#include "owners/proof.c"

#include "tests/unit/fake_keys.h"

#define MS 1000000ULL
#define ALPHA 0
#define BETA 1

static u64 now;
static typeof(proofs) machines[2];
static u64 numbers[2] = { 11, 22 }; /* owner numbers */
static unsigned here;

u64 clock_ns(void)
{
    return now;
}

static void enter(unsigned index)
{
    machines[here] = proofs;
    here = index;
    proofs = machines[here];
}

/* The machine is started anew: it has forgotten all, and has another number. */
static void boot(unsigned index)
{
    enter(index);
    memset(&proofs, 0, sizeof(proofs));
    numbers[index] += 100;
}

static int begin(void **state)
{
    (void)state;
    now += 10000 * MS;
    boot(ALPHA);
    boot(BETA);
    return 0;
}

static struct wire_proven_claim say(unsigned index, enum wire_claim_kind kind)
{
    struct wire_proven_claim frame = { .claim = { .owner = numbers[index], .kind = (u16)kind } };

    enter(index);
    proof_make(&frame);
    return frame;
}

static enum proof_verdict hear(unsigned index, const struct wire_proven_claim *frame)
{
    enter(index);
    return proof_judge((const u8 *)frame, sizeof(*frame));
}

/* A claim of alpha's comes to beta, which acts as claims.c does. */
static enum proof_verdict claim(void)
{
    struct wire_proven_claim frame = say(ALPHA, WIRE_CLAIM_OWNS), greeting;
    enum proof_verdict verdict = hear(BETA, &frame);

    if (verdict <= PROOF_UNPROVEN && proof_greets(numbers[ALPHA])) {
        greeting = say(BETA, WIRE_CLAIM_GREETS);
        assert_true(hear(ALPHA, &greeting) <= PROOF_UNPROVEN);
        frame = say(ALPHA, WIRE_CLAIM_GREETED);
        assert_int_equal(hear(BETA, &frame), PROOF_GIVEN);
    }
    return verdict;
}

/* The first claim of a machine asks for its proof; all that come each second after that count, and nothing is asked of
 * it any more where the two hear each other. */
static void test_a_machine_that_lives(void **state)
{
    struct wire_proven_claim frame;

    (void)state;
    assert_int_equal(claim(), PROOF_UNPROVEN);
    for (unsigned i = 0; i < 100; i++, now += 1010 * MS)
        assert_int_equal(claim(), PROOF_GIVEN);
    now += 5000 * MS;
    assert_int_equal(claim(), PROOF_UNPROVEN);
    for (unsigned i = 0; i < 100; i++, now += 500 * MS) {
        frame = say(i % 2, WIRE_CLAIM_OWNS);
        assert_int_equal(hear(!(i % 2), &frame), PROOF_GIVEN);
        assert_false(i > 2 && proof_greets(numbers[i % 2]));
    }
}

/* What was heard once does not count again, in whatever order it comes. */
static void test_said_again(void **state)
{
    struct wire_proven_claim frames[5];

    (void)state;
    claim();
    for (unsigned i = 0; i < 5; i++)
        frames[i] = say(ALPHA, WIRE_CLAIM_OWNS);
    assert_int_equal(hear(BETA, &frames[1]), PROOF_GIVEN);
    assert_int_equal(hear(BETA, &frames[1]), PROOF_REPLAYED);
    assert_int_equal(hear(BETA, &frames[0]), PROOF_REPLAYED);
    assert_int_equal(hear(BETA, &frames[4]), PROOF_GIVEN);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(hear(BETA, &frames[i]), PROOF_REPLAYED);
}

/* Recordings from before a boot, of the sender or of the receiver, never count: not with the answers that were recorded
 * to them, and not while the sender, started anew, proves that it lives. */
static void test_recorded_before_a_boot(void **state)
{
    struct wire_proven_claim recorded[40];

    (void)state;
    for (unsigned who = ALPHA; who <= BETA; who++) {
        claim();
        for (unsigned i = 0; i < 40; i++)
            recorded[i] = say(ALPHA, i % 2 ? WIRE_CLAIM_GREETED : WIRE_CLAIM_OWNS);
        assert_int_equal(hear(BETA, &recorded[0]), PROOF_GIVEN);
        boot(who);
        now += 2001 * MS;
        for (unsigned i = 1; i < 40; i++) {
            assert_int_not_equal(hear(BETA, &recorded[i]), PROOF_GIVEN);
            claim();
        }
        assert_int_equal(claim(), PROOF_GIVEN);
    }
}

/* Who holds frames back can make them late by 2 s, however patient he is: each claim is said 100 ms later than it was
 * the time before. */
static void test_held_back(void **state)
{
    struct wire_proven_claim frames[100];
    unsigned late = 0;

    (void)state;
    claim();
    for (unsigned i = 0; i < 100; i++, now += 100 * MS)
        frames[i] = say(ALPHA, WIRE_CLAIM_OWNS);
    now -= 10000 * MS;
    for (unsigned i = 0; i < 100; i++, now += 200 * MS)
        if (hear(BETA, &frames[i]) == PROOF_GIVEN)
            late = i * 100;
    assert_true(late > 500 && late <= 2000);
}

/* The same of a proof that comes late. */
static void test_a_late_proof(void **state)
{
    struct wire_proven_claim greeting, answer;

    (void)state;
    for (unsigned ms = 0; ms < 4000; ms += 250) {
        begin(NULL);
        greeting = say(BETA, WIRE_CLAIM_GREETS);
        hear(ALPHA, &greeting);
        answer = say(ALPHA, WIRE_CLAIM_GREETED);
        now += ms * MS;
        assert_int_equal(hear(BETA, &answer), ms <= 2000 ? PROOF_GIVEN : PROOF_UNPROVEN);
    }
}

/* Nobody without the key changes a bit, leaves one out or sends as before there were keys. */
static void test_forged(void **state)
{
    struct wire_proven_claim frame;

    (void)state;
    claim();
    frame = say(ALPHA, WIRE_CLAIM_OWNS);
    enter(BETA);
    for (unsigned bit = 0; bit < 8 * sizeof(frame); bit++) {
        ((u8 *)&frame)[bit / 8] ^= (u8)(1 << bit % 8);
        assert_int_equal(hear(BETA, &frame), PROOF_FORGED);
        ((u8 *)&frame)[bit / 8] ^= (u8)(1 << bit % 8);
        now += 10 * MS;
    }
    for (size_t len = sizeof(frame.claim); len < sizeof(frame); len++)
        assert_int_equal(proof_judge((const u8 *)&frame, len), PROOF_FORGED);
}

/* A flood is not looked at, and does not last: what comes behind it counts. Recorded greetings, which are answered, are
 * the dearer ones: they get fewer answers. */
static void test_flood(void **state)
{
    struct wire_proven_claim recorded = say(ALPHA, WIRE_CLAIM_GREETS), frame;
    unsigned looked[NR_PROOF_VERDICTS] = { 0 };

    (void)state;
    boot(ALPHA);
    claim();
    for (unsigned i = 0; i < 10000; i++, now += MS / 10)
        looked[hear(BETA, &recorded)]++;
    assert_true(looked[PROOF_UNPROVEN] >= 200 && looked[PROOF_UNPROVEN] <= 300);
    assert_int_equal(looked[PROOF_UNPROVEN] + looked[PROOF_CROWDED], 10000);
    frame = recorded;
    frame.tag[0] ^= 1;
    looked[PROOF_CROWDED] = 0;
    for (unsigned i = 0; i < 10000; i++, now += MS / 10)
        looked[hear(BETA, &frame)]++;
    assert_true(looked[PROOF_FORGED] >= 500 && looked[PROOF_FORGED] <= 1500);
    assert_int_equal(looked[PROOF_FORGED] + looked[PROOF_CROWDED], 10000);
    now += 1000 * MS;
    claim();
    assert_int_equal(claim(), PROOF_GIVEN);
}

/* However many claims want proof, one greeting in 100 ms asks all machines for it. */
static void test_greetings(void **state)
{
    unsigned greetings = 0;

    (void)state;
    enter(BETA);
    for (unsigned ms = 0; ms < 1000; ms++, now += MS)
        greetings += proof_greets(1000 + ms);
    assert_int_equal(greetings, 10);
}

/* More machines than are remembered: each counts when it has proved itself, and no recording does. */
static void test_many_machines(void **state)
{
    struct wire_proven_claim recorded[SENDERS + 20], greeting;

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < SENDERS + 20; i++, now += 20 * MS) {
            if (round)
                assert_int_not_equal(hear(BETA, &recorded[i]), PROOF_GIVEN);
            boot(ALPHA);
            greeting = say(BETA, WIRE_CLAIM_GREETS);
            hear(ALPHA, &greeting);
            recorded[i] = say(ALPHA, WIRE_CLAIM_GREETED);
            assert_int_equal(hear(BETA, &recorded[i]), PROOF_GIVEN);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_machine_that_lives, begin),
        cmocka_unit_test_setup(test_said_again, begin),
        cmocka_unit_test_setup(test_recorded_before_a_boot, begin),
        cmocka_unit_test_setup(test_held_back, begin),
        cmocka_unit_test_setup(test_a_late_proof, begin),
        cmocka_unit_test_setup(test_forged, begin),
        cmocka_unit_test_setup(test_flood, begin),
        cmocka_unit_test_setup(test_greetings, begin),
        cmocka_unit_test_setup(test_many_machines, begin),
    };

    fake_keys = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static u64 now, reading_takes;
static typeof(proofs) machines[2];
static u64 numbers[2] = { 11, 22 }; /* owner numbers */
static const u8 macs[3][MAC_LEN] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 }, { 2, 0, 0, 0, 0, 3 } };
static unsigned here;

u64 clock_ns(void)
{
    return now += reading_takes;
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
    reading_takes = 0;
    boot(ALPHA);
    boot(BETA);
    return 0;
}

static struct wire_proven_claim say(unsigned index, enum wire_claim_kind kind)
{
    struct wire_proven_claim frame = { .claim = { .owner = numbers[index], .kind = (u16)kind, .proof = WIRE_PROOF } };
    size_t len;

    enter(index);
    len = proof_make(&frame);
    assert_int_equal(len, tagged_bytes(&frame) + WIRE_TAG);
    return frame;
}

static enum proof_verdict hear_from(const u8 *mac, unsigned index, const struct wire_proven_claim *frame)
{
    enter(index);
    return proof_judge(mac, (const u8 *)frame, tagged_bytes(frame) + WIRE_TAG);
}

static enum proof_verdict hear(unsigned index, const struct wire_proven_claim *frame)
{
    return hear_from(macs[!index], index, frame);
}

/* A claim of alpha's comes to beta, which acts as claims.c does. */
static enum proof_verdict claim(void)
{
    struct wire_proven_claim frame = say(ALPHA, WIRE_CLAIM_OWNS), greeting;
    enum proof_verdict verdict = hear(BETA, &frame);

    if (verdict == PROOF_UNPROVEN || now >= proof_silent_until()) {
        greeting = say(BETA, WIRE_CLAIM_GREETS);
        assert_true(hear(ALPHA, &greeting) <= PROOF_UNPROVEN);
    }
    return verdict;
}

/* The first claim of a machine asks for a number to echo; all that come after that count, by themselves. */
static void test_a_machine_that_lives(void **state)
{
    struct wire_proven_claim frame;

    (void)state;
    assert_int_equal(claim(), PROOF_UNPROVEN);
    for (unsigned i = 0; i < 100; i++, now += 1010 * MS)
        assert_int_equal(claim(), PROOF_GIVEN);
    now += 5000 * MS;
    assert_int_equal(claim(), PROOF_UNPROVEN);
    for (unsigned i = 0; i < 100; i++, now += 900 * MS) {
        frame = say(i % 2, WIRE_CLAIM_OWNS);
        assert_int_equal(hear(!(i % 2), &frame), PROOF_GIVEN);
    }
}

/* A frame that was lost takes no claim with it: numbers are good for longer than one second. */
static void test_a_lost_greeting(void **state)
{
    (void)state;
    claim();
    for (unsigned i = 0; i < 3; i++, now += 600 * MS) {
        struct wire_proven_claim frame = say(ALPHA, WIRE_CLAIM_OWNS);

        assert_int_equal(hear(BETA, &frame), PROOF_GIVEN);
        say(BETA, WIRE_CLAIM_GREETS);
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
            recorded[i] = say(ALPHA, i % 2 ? WIRE_CLAIM_GREETS : WIRE_CLAIM_OWNS);
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
        answer = say(ALPHA, WIRE_CLAIM_OWNS);
        now += ms * MS;
        assert_int_equal(hear(BETA, &answer), ms <= 2000 ? PROOF_GIVEN : PROOF_UNPROVEN);
    }
}

/* Nobody without the key changes a bit, leaves one out or sends as before there were keys. */
static void test_forged(void **state)
{
    struct wire_proven_claim frame;
    size_t bits;

    (void)state;
    claim();
    now += 1000 * MS;
    frame = say(ALPHA, WIRE_CLAIM_OWNS);
    bits = 8 * (tagged_bytes(&frame) + WIRE_TAG);
    enter(BETA);
    for (unsigned bit = 0; bit < bits; bit++) {
        enum proof_verdict verdict;

        ((u8 *)&frame)[bit / 8] ^= (u8)(1 << bit % 8);
        verdict = proof_judge(macs[ALPHA], (const u8 *)&frame, bits / 8);
        if (frame.claim.proof != WIRE_PROOF)
            assert_int_equal(verdict, PROOF_VERSION);
        else
            assert_true(verdict == PROOF_FORGED || (verdict == PROOF_REPLAYED && frame.count <= 2));
        ((u8 *)&frame)[bit / 8] ^= (u8)(1 << bit % 8);
        now += 10 * MS;
    }
    for (size_t len = sizeof(frame.claim); len < bits / 8; len++)
        assert_int_equal(proof_judge(macs[ALPHA], (const u8 *)&frame, len), PROOF_FORGED);
}

/* A build whose proofs have another layout, or had no version yet, is no forger. Without any proof a claim is forged,
 * whatever it says. */
static void test_another_version(void **state)
{
    struct wire_proven_claim frame;

    (void)state;
    claim();
    for (u32 version = 0; version < 4; version++) {
        frame = say(ALPHA, WIRE_CLAIM_OWNS);
        frame.claim.proof = version;
        assert_int_equal(hear(BETA, &frame), version == WIRE_PROOF ? PROOF_GIVEN : PROOF_VERSION);
        enter(BETA);
        assert_int_equal(proof_judge(macs[ALPHA], (const u8 *)&frame, sizeof(frame.claim)), PROOF_FORGED);
    }
}

/* A recording that is said again and again is not even looked at, and greetings get no answer at all; of questions from
 * machines that have proved nothing only some do. */
static void test_recordings_in_a_flood(void **state)
{
    struct wire_proven_claim recorded = say(ALPHA, WIRE_CLAIM_ASKS);
    unsigned verdicts[NR_PROOF_VERDICTS] = { 0 };

    (void)state;
    for (unsigned i = 0; i < 1000; i++, now += MS / 10)
        verdicts[hear(BETA, &recorded)]++;
    assert_int_equal(verdicts[PROOF_UNPROVEN], 1);
    assert_int_equal(verdicts[PROOF_REPLAYED], 999);
    now += 1000 * MS;
    verdicts[PROOF_UNPROVEN] = 0;
    for (unsigned i = 0; i < 10000; i++, now += MS / 10) {
        recorded = say(ALPHA, WIRE_CLAIM_ASKS);
        verdicts[hear(BETA, &recorded)]++;
    }
    assert_true(verdicts[PROOF_UNPROVEN] >= 200 && verdicts[PROOF_UNPROVEN] <= 300);
}

/* A flood is looked at in part; what a machine says that has proved itself counts all the same, unless the flood comes
 * from its card and in its name. So does what echoes, if the flood does not. It does not last. */
static void test_flood(void **state)
{
    static const struct {
        unsigned mac;
        bool named, echoes, proven;
        unsigned lost, looked; /* at most; at least */
    } floods[] = {
        { 2, false, false, true, 0, 500 },    { 2, true, true, true, 0, 500 },   { ALPHA, false, true, true, 0, 500 },
        { ALPHA, true, true, true, 50, 100 }, { 2, true, false, false, 0, 500 }, { 2, true, true, false, 50, 500 },
    };

    (void)state;
    for (unsigned f = 0; f < ARRAY_SIZE(floods); f++) {
        unsigned verdicts[NR_PROOF_VERDICTS] = { 0 }, given = 0;
        struct wire_proven_claim forged, frame;

        begin(NULL);
        claim();
        if (floods[f].proven)
            claim();
        for (unsigned i = 0; i < 10000; i++, now += MS / 10) {
            if (i % 200 == 199) {
                frame = say(ALPHA, WIRE_CLAIM_OWNS);
                given += hear(BETA, &frame) == PROOF_GIVEN;
                frame = say(BETA, WIRE_CLAIM_GREETS);
                hear(ALPHA, &frame);
                if (!floods[f].proven)
                    numbers[ALPHA]++; /* another machine, which has proved nothing yet */
            }
            forged = say(ALPHA, WIRE_CLAIM_OWNS);
            forged.claim.owner += floods[f].named ? 0 : 1000000;
            forged.echo[0] ^= floods[f].echoes ? 0 : 1;
            forged.claim.epoch ^= 1;
            machines[ALPHA].count--, proofs.count -= here == ALPHA;
            forged.count += 1000;
            verdicts[hear_from(macs[floods[f].mac], BETA, &forged)]++;
        }
        assert_int_equal(verdicts[PROOF_FORGED] + verdicts[PROOF_CROWDED], 10000);
        assert_true(verdicts[PROOF_FORGED] >= floods[f].looked && verdicts[PROOF_FORGED] <= 800);
        assert_true(given <= 50 && 50 - given <= floods[f].lost);
        if (floods[f].lost)
            assert_true(given < 25);
        now += 1000 * MS;
        claim();
        assert_int_equal(claim(), PROOF_GIVEN);
    }
}

/* However many claims want proof, one greeting in 100 ms asks all machines for it; and where none does a machine says
 * something twice a second. */
static void test_greetings(void **state)
{
    unsigned greetings = 0;

    (void)state;
    for (unsigned ms = 0; ms < 1000; ms++, now += MS) {
        enter(BETA);
        if (proof_greets()) {
            greetings++;
            say(BETA, WIRE_CLAIM_GREETS);
        }
    }
    assert_int_equal(greetings, 10);
    greetings = 0;
    for (unsigned ms = 0; ms < 1000; ms++, now += MS)
        if (now >= proof_silent_until()) {
            greetings++;
            say(BETA, WIRE_CLAIM_GREETS);
        }
    assert_int_equal(greetings, 2);
}

/* Who has said nothing since the boot greets at once, though the clock has gone on until it asks whether it is to; and
 * then not before half a second has passed. */
static void test_first_greeting(void **state)
{
    u64 time;

    (void)state;
    reading_takes = 1;
    enter(BETA);
    time = clock_ns();
    assert_true(time >= proof_silent_until());
    say(BETA, WIRE_CLAIM_GREETS);
    assert_in_range(proof_silent_until(), time + 500 * MS, time + 500 * MS + 100);
}

/* More machines than are remembered: each counts when it has proved itself, and no recording does. Who has proved
 * itself is not forgotten for those that have not. */
static void test_many_machines(void **state)
{
    struct wire_proven_claim recorded[SENDERS + 20], greeting;

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < SENDERS + 20; i++, now += 60 * MS) {
            if (round)
                assert_int_not_equal(hear(BETA, &recorded[i]), PROOF_GIVEN);
            boot(ALPHA);
            greeting = say(BETA, WIRE_CLAIM_GREETS);
            hear(ALPHA, &greeting);
            recorded[i] = say(ALPHA, WIRE_CLAIM_OWNS);
            assert_int_equal(hear(BETA, &recorded[i]), PROOF_GIVEN);
        }
    recorded[0] = say(ALPHA, WIRE_CLAIM_OWNS);
    assert_int_equal(hear(BETA, &recorded[0]), PROOF_GIVEN);
    for (unsigned i = 0; i < 3 * SENDERS; i++, now += 5 * MS) {
        greeting = say(ALPHA, WIRE_CLAIM_OWNS);
        greeting.claim.owner = 5000 + i;
        greeting.echoes = 0;
        keyring_tag(&greeting, tagged_bytes(&greeting), (u8 *)greeting.echo);
        assert_int_equal(hear(BETA, &greeting), PROOF_UNPROVEN);
    }
    assert_int_equal(hear(BETA, &recorded[0]), PROOF_REPLAYED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_machine_that_lives, begin),
        cmocka_unit_test_setup(test_a_lost_greeting, begin),
        cmocka_unit_test_setup(test_said_again, begin),
        cmocka_unit_test_setup(test_recorded_before_a_boot, begin),
        cmocka_unit_test_setup(test_held_back, begin),
        cmocka_unit_test_setup(test_a_late_proof, begin),
        cmocka_unit_test_setup(test_forged, begin),
        cmocka_unit_test_setup(test_another_version, begin),
        cmocka_unit_test_setup(test_recordings_in_a_flood, begin),
        cmocka_unit_test_setup(test_flood, begin),
        cmocka_unit_test_setup(test_greetings, begin),
        cmocka_unit_test_setup(test_first_greeting, begin),
        cmocka_unit_test_setup(test_many_machines, begin),
    };

    fake_keys = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/record.c stream/crc32c.c dev/codec.c net/bucket.c tests/unit/fake_keys.c tests/unit/stubs.c */
/*
 * As many machines on one link as claims with keys are made for, each with guests or without: they prove themselves to
 * each other, their claims count, and what all of them say together does not grow with the square of their number. A
 * stranger on the link floods them, and says again what he has heard.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"

static u64 link_now; /* ns, and ticks of the TSC */

#define rdtsc() link_now
/* Both are built into this test, so that each machine has variables of its own: enter(). */
#include "owners/proof.c"
#include "owners/claims.c"

#include "tests/unit/fake_keys.h"

#define MS 1000000ULL
#define TURN 2 /* ms */
#define MACHINES (WIRE_ECHOES + 1)
#define GUESTS 4
#define FRAMES 4096 /* on their way; a power of 2 */

struct said {
    u8 mac[MAC_LEN];
    u16 len;
    struct wire_proven_claim frame;
};

static struct machine {
    struct list vms;
    struct vm vm[GUESTS];
    struct platform platform;
    u8 mac[MAC_LEN];
    u64 boots;                          /* ns */
    unsigned taken, taken_of[MACHINES]; /* claims, in all and of each machine */
    struct said latest;                 /* of what it has said */
    u64 owner, claims_due;
    struct claims_counters counters;
    typeof(proofs) proofs;
} machines[MACHINES], *here = &machines[0];

static struct said link[FRAMES];             /* a ring */
static unsigned link_said, link_heard, loss; /* loss: percent */

static void enter(struct machine *machine)
{
    here->owner = owner, here->claims_due = claims_due, here->counters = counters, here->proofs = proofs;
    here = machine;
    owner = here->owner, claims_due = here->claims_due, counters = here->counters, proofs = here->proofs;
}

static u32 chance(void)
{
    static u32 last = 1;

    last = last * 1664525 + 1013904223;
    return last >> 8;
}

void random_fill(u8 *bytes, u32 len)
{
    for (u32 i = 0; i < len; i++)
        bytes[i] = (u8)chance();
}

u64 clock_ns(void)
{
    return link_now;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks;
}

struct list *vm_list(void)
{
    return &here->vms;
}

u32 netif_port_ip4(void)
{
    return 0;
}

const u8 *netif_port_mac(void)
{
    return here->mac;
}

void netif_peers_hear(netif_peers_fn *fn)
{
    assert_ptr_equal(fn, hear);
}

static void say_again(const struct said *said)
{
    link[link_said++ % FRAMES] = *said;
    assert_true(link_said - link_heard <= FRAMES);
}

void netif_peers_say(const void *bytes, size_t len)
{
    here->latest.len = (u16)len;
    memcpy(here->latest.mac, here->mac, MAC_LEN);
    memcpy(&here->latest.frame, bytes, len);
    say_again(&here->latest);
}

static bool owns(const struct vm *vm)
{
    (void)vm;
    return true;
}

static bool holds(const struct vm *vm, u64 *epoch)
{
    (void)vm, (void)epoch;
    return false;
}

static bool takes(const struct wire_claim *claim)
{
    here->taken++;
    here->taken_of[claim->mac[5]]++;
    return true;
}

static bool about(const struct vm *vm)
{
    (void)vm;
    return false;
}

static void listens(const struct wire_claim *claim, const char *where)
{
    (void)claim, (void)where;
}

static const struct claims_ops fake_migration = { owns, holds, takes };
static const struct claims_listener fake_asking = { about, listens };

static void boot(unsigned index, unsigned guests)
{
    struct machine *machine = &machines[index];

    enter(machine);
    memset(&proofs, 0, sizeof(proofs));
    memset(&counters, 0, sizeof(counters));
    claims_due = 0;
    list_init(&machine->vms);
    for (unsigned i = 0; i < guests; i++) {
        struct vm *vm = &machine->vm[i];

        *vm = (struct vm){ .identity.epoch = 2, .platform = &machine->platform };
        vm->identity.id[0] = (u8)index, vm->identity.id[1] = (u8)i;
        list_add_tail(&machine->vms, &vm->node);
    }
    machine->mac[0] = 2, machine->mac[5] = (u8)index;
    machine->platform.net.port.mac[5] = (u8)index;
    claims_init(true, &fake_migration);
    claims_listen(&fake_asking);
}

/* All begin anew, each within the first `apart` ms; every third one without guests. */
static void begin(unsigned apart, unsigned percent)
{
    link_now += 10000 * MS;
    link_heard = link_said;
    loss = percent;
    for (unsigned i = 0; i < MACHINES; i++)
        machines[i].boots = link_now + (apart ? chance() % apart : 0) * MS;
}

/* One turn of all machines: what was said before it comes to all others. */
static void turn(void)
{
    unsigned until = link_said;

    for (unsigned i = 0; i < MACHINES; i++) {
        if (link_now < machines[i].boots)
            continue;
        if (machines[i].boots)
            boot(i, i % 3 ? GUESTS : 0);
        machines[i].boots = 0;
        enter(&machines[i]);
        for (unsigned k = link_heard; k != until; k++) {
            const struct said *said = &link[k % FRAMES];

            if (chance() % 100 >= loss)
                hear(said->mac, (const u8 *)&said->frame, said->len);
        }
        claims_poll();
    }
    link_heard = until;
    link_now += TURN * MS;
}

static void run(unsigned ms)
{
    for (unsigned past = 0; past < ms; past += TURN)
        turn();
}

/* Frames of that verdict, as all machines have judged. */
static u64 judged(enum proof_verdict verdict)
{
    u64 sum = 0;

    enter(here);
    for (unsigned i = 0; i < MACHINES; i++)
        sum += machines[i].counters.judged[verdict];
    return sum;
}

static unsigned claimants(void)
{
    return MACHINES - (MACHINES + 2) / 3;
}

/* Some seconds: each machine hears each claim of all others, and each says no more than its claims and two greetings a
 * second. */
static void all_count(unsigned seconds)
{
    unsigned said = link_said;

    for (unsigned i = 0; i < MACHINES; i++) {
        machines[i].taken = 0;
        memset(machines[i].taken_of, 0, sizeof(machines[i].taken_of));
    }
    run(1000 * seconds);
    assert_true(link_said - said <= seconds * (claimants() * GUESTS + 2 * MACHINES));
    for (unsigned i = 0; i < MACHINES; i++)
        for (unsigned k = 0; k < MACHINES; k++)
            if (i != k && k % 3)
                assert_true(machines[i].taken_of[k] >= (seconds - 1) * GUESTS);
}

/* Whether they boot one after the other or all at once: a second later all claims count, and go on to do so. */
static void test_all_prove_themselves(void **state)
{
    u64 unproven;

    (void)state;
    for (unsigned apart = 0; apart < 5000; apart += 2000) {
        begin(apart, 0);
        run(apart + 1100);
        unproven = judged(PROOF_UNPROVEN);
        all_count(5);
        assert_int_equal(judged(PROOF_UNPROVEN), unproven);
        for (enum proof_verdict verdict = PROOF_CROWDED; verdict < NR_PROOF_VERDICTS; verdict++)
            assert_int_equal(judged(verdict), 0);
    }
}

/* Of each twenty frames one is lost: nearly all of those that come count, and a lost one calls no others forth. */
static void test_a_link_that_loses_frames(void **state)
{
    u64 given, unproven;
    unsigned said;

    (void)state;
    begin(1000, 5);
    run(3000);
    given = judged(PROOF_GIVEN), unproven = judged(PROOF_UNPROVEN), said = link_said;
    run(10000);
    unproven = judged(PROOF_UNPROVEN) - unproven;
    assert_true(unproven * 100 < judged(PROOF_GIVEN) - given);
    assert_true(link_said - said <= 10 * (claimants() * GUESTS + 4 * MACHINES));
}

/* A greeting that was recorded calls forth nothing; a claim from before the boot of its sender, said again or with all
 * that came behind it, no more than ten greetings a second of each machine. */
static void test_recordings(void **state)
{
    static struct said recorded[1000];
    unsigned said;

    (void)state;
    begin(0, 0);
    run(3000);
    recorded[0] = machines[0].latest;
    assert_int_equal(recorded[0].frame.claim.kind, WIRE_CLAIM_GREETS);
    said = link_said;
    for (unsigned i = 0; i < 1000; i += TURN) {
        say_again(&recorded[0]);
        turn();
    }
    assert_true(link_said - said <= 1000 / TURN + claimants() * GUESTS + 2 * MACHINES);
    enter(&machines[1]);
    for (unsigned i = 0; i < 1000; i++) {
        claims_say(&machines[1].vm[0]);
        recorded[i] = machines[1].latest;
    }
    begin(0, 0);
    run(3000);
    said = link_said;
    for (unsigned i = 0; i < 1000; i += TURN) {
        say_again(&recorded[i]);
        turn();
    }
    assert_true(link_said - said <= 1000 / TURN + claimants() * GUESTS + 11 * MACHINES);
    all_count(3);
}

/* A stranger copies a frame of machine `as` and changes it, so often that he is looked at no more, from that card. */
static void flood(unsigned as, const u8 *mac, unsigned seconds)
{
    for (unsigned past = 0; past < 1000 * seconds; past += TURN) {
        struct said forged = machines[as].latest;

        memcpy(forged.mac, mac, MAC_LEN);
        forged.frame.count += 1000000;
        forged.frame.claim.epoch++;
        claim_seal(&forged.frame.claim);
        for (unsigned i = 0; i < 10 * TURN; i++)
            say_again(&forged);
        turn();
    }
}

static void count_anew(void)
{
    for (unsigned i = 0; i < MACHINES; i++)
        memset(machines[i].taken_of, 0, sizeof(machines[i].taken_of));
}

/* Ten thousand forged frames a second, which echo what they should, take no claim away: only if they come from the card
 * of a machine they drown what that machine says, and that alone. */
static void test_floods(void **state)
{
    static const u8 stranger[MAC_LEN] = { 2, 2, 2, 2, 2, 2 };

    (void)state;
    begin(0, 0);
    run(3000);
    for (unsigned own = 0; own < 2; own++) {
        count_anew();
        flood(1, own ? machines[1].mac : stranger, 3);
        assert_true(judged(PROOF_CROWDED) > 10000);
        for (unsigned i = 2; i < MACHINES; i++)
            for (unsigned k = 1; k < MACHINES; k++)
                if (i != k && k % 3 && !(own && k == 1))
                    assert_true(machines[i].taken_of[k] >= 2 * GUESTS);
        assert_true(!own || machines[2].taken_of[1] < 2 * GUESTS);
    }
    run(2000);
    all_count(3);
}

/* Without keys and [migration] no claim reaches those who would make a guest stand: anybody could say it. */
static void test_where_guests_do_not_move(void **state)
{
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .owner = 1 };

    (void)state;
    boot(0, 1);
    for (unsigned i = 0; i < 4; i++) {
        unsigned before = here->taken;

        fake_keys = i & 1;
        all = i & 2;
        claims_take(&claim, "10.0.0.9");
        assert_int_equal(here->taken - before, i > 0);
    }
    fake_keys = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_prove_themselves),
        cmocka_unit_test(test_a_link_that_loses_frames),
        cmocka_unit_test(test_recordings),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_where_guests_do_not_move),
    };

    fake_keys = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

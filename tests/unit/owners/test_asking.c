/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: stream/record.c stream/crc32c.c dev/codec.c net/bucket.c tests/unit/fake_keys.c tests/unit/stubs.c */
/* Two machines on a link, each with the same guest in its configuration: who starts it, and what they say of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"

/* All are built into this test, so that each of the two machines has variables of its own: enter(). */
#include "owners/proof.c"

static u64 now; /* ns, and ticks of the TSC */

#define rdtsc() now
#include "owners/asking.c"
#undef LOG_PREFIX
#include "owners/claims.c"

#include "tests/unit/fake_keys.h"

#define MS 1000000ULL

struct machine {
    struct config config;
    struct list vms;
    struct vm vm;
    struct platform platform;
    u8 mac[CONFIG_MAC];
    u64 draws; /* what its random numbers are */
    struct wire_proven_claim heard[64];
    unsigned nr_heard;
    bool deaf;
    /* Of asking.c and claims.c. */
    u32 asked[CONFIG_MAX_VMS];
    struct wire_claim questions[CONFIG_MAX_VMS];
    bool on, all;
    unsigned left;
    u64 again, owner;
    typeof(proofs) proofs;
};

static struct machine machines[2], *here;

static void enter(unsigned index)
{
    if (here) {
        memcpy(here->asked, asked, sizeof(asked));
        memcpy(here->questions, questions, sizeof(questions));
        here->on = on, here->all = all;
        here->left = left, here->again = again, here->owner = owner;
        here->proofs = proofs;
    }
    here = &machines[index];
    memcpy(asked, here->asked, sizeof(asked));
    memcpy(questions, here->questions, sizeof(questions));
    on = here->on, all = here->all;
    left = here->left, again = here->again, owner = here->owner;
    proofs = here->proofs;
}

struct list *vm_list(void)
{
    return &here->vms;
}

int guest_power_on(struct vm *vm, char *reason, size_t room)
{
    (void)reason, (void)room;
    vm->status = VM_RUNNING;
    return 0;
}

void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(vm->reason, sizeof(vm->reason), format, args);
    va_end(args);
    vm->status = status;
}

u64 clock_ns_to_ticks(u64 ns)
{
    return ns;
}

u64 clock_ticks_to_ns(u64 ticks)
{
    return ticks;
}

u64 clock_ns(void)
{
    return now;
}

void random_fill(u8 *bytes, u32 len)
{
    memcpy(bytes, &here->draws, len);
    here->draws += 1000; /* nonces differ */
}

const u8 *netif_port_mac(void)
{
    return here->mac;
}

u32 netif_port_ip4(void)
{
    return (u32)(here - machines) << 24 | 10;
}

void netif_peers_hear(netif_peers_fn *fn)
{
    (void)fn;
}

void netif_peers_say(const void *bytes, size_t len)
{
    struct machine *other = &machines[here == &machines[0]];

    assert_int_equal(len > sizeof(struct wire_claim), fake_keys);
    if (!other->deaf)
        memcpy(&other->heard[other->nr_heard++ % 64], bytes, len);
}

static bool owns(const struct vm *vm)
{
    return vm->status == VM_RUNNING;
}

static bool holds(const struct vm *vm, u64 *epoch)
{
    (void)vm, (void)epoch;
    return false;
}

static bool heard(const struct wire_claim *claim)
{
    return claim->epoch <= EPOCH_CLAIM;
}

static const struct claims_ops fake_migration = { owns, holds, heard };

void peers_ask(const struct config_migration *config, const struct wire_claim *claims, unsigned count)
{
    (void)config, (void)claims, (void)count;
}

bool peers_step(void)
{
    return false;
}

void peers_end(void)
{
}

static void boot(unsigned index, u64 draws, u8 mac)
{
    struct machine *m = &machines[index];

    memset(m, 0, sizeof(*m));
    m->config.net.present = m->config.migration.port = m->config.nr_vms = 1;
    strcpy(m->config.vm[0].name, "web");
    strcpy(m->vm.name, "web");
    m->vm.id = 1;
    m->vm.identity = (struct vm_identity){ .id = "web's identity", .epoch = 1 };
    m->vm.platform = &m->platform;
    m->vm.created_tsc = now;
    list_init(&m->vms);
    list_add_tail(&m->vms, &m->vm.node);
    m->draws = draws;
    m->mac[0] = 0x40;
    m->mac[5] = mac;
    enter(index);
    claims_init(true, &fake_migration);
    asking_start(&m->config);
}

/* The only machine so far. */
static void boot_first(unsigned index, u64 draws)
{
    here = NULL;
    memset(machines, 0, sizeof(machines));
    boot(index, draws, 0);
}

/* A machine that does not want to start its guest; machine 0 comes first. */
static void boot_idle(unsigned index, u64 draws)
{
    here = index ? here : NULL;
    boot(index, draws, 0);
    machines[index].config.vm[0].autostart = CONFIG_AUTOSTART_NO;
    memset(asked, 0, sizeof(asked));
    asking_start(&machines[index].config);
}

static void turn(unsigned index)
{
    struct machine *m = &machines[index];

    enter(index);
    asking_poll();
    for (unsigned i = 0; i < m->nr_heard; i++)
        hear(machines[!index].mac, (const u8 *)&m->heard[i], sizeof(m->heard[i]));
    assert_true(m->nr_heard < 64);
    m->nr_heard = 0;
}

/* However far apart they boot, and whoever has the lower number: exactly one starts it, the other says where it is.
 * With keys, too, though none of the two believes the other one until it has proved that it lives. */
static void test_exactly_one_starts(void **state)
{
    (void)state;
    now += NS_PER_S;
    for (unsigned apart = 0; apart < 450; apart += 7)
        for (u64 first = 1; first <= 4; first++) {
            fake_keys = first <= 2;
            boot_first(0, first % 2 ? 1 : 3);
            for (unsigned ms = 0; ms < 1000; ms++, now += MS) {
                if (ms == apart)
                    boot(1, 2, 0);
                turn(0);
                if (ms >= apart)
                    turn(1);
            }
            assert_int_equal((machines[0].vm.status == VM_RUNNING) + (machines[1].vm.status == VM_RUNNING), 1);
            for (unsigned i = 0; i < 2; i++) {
                const struct vm *vm = &machines[i].vm;
                const char *where = i ? "web at 10.0.0.0, epoch 1" : "web at 10.0.0.1, epoch 1";

                if (vm->status == VM_RUNNING)
                    continue;
                assert_int_equal(vm->status, VM_OFF);
                assert_int_equal(vm->elsewhere, 1);
                assert_string_equal(vm->reason, where);
            }
        }
}

/* A machine that nobody answers starts its guest in time, and has asked often enough by then: a frame may be lost. */
static void test_asking_is_short(void **state)
{
    u64 booted = now, said = claims_counters()->said;

    (void)state;
    boot_first(0, 5);
    for (; machines[0].vm.status == VM_CREATED; now += MS)
        turn(0);
    assert_int_equal(machines[0].vm.status, VM_RUNNING);
    assert_true(now - booted <= 500 * MS);
    assert_true(claims_counters()->said - said >= 4);
}

/* A machine that was kept from running for a second, whenever that was, hears the answers that have come meanwhile
 * before it starts its guest; also if the other machine stood still at the same time. */
static void test_a_machine_that_stood_still(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 400; at += 7)
        for (unsigned both = 0; both < 2; both++) {
            boot_first(1, 2);
            machines[1].vm.status = VM_RUNNING;
            boot(0, 1, 0);
            for (unsigned ms = 0; ms < 2000; ms++, now += MS) {
                bool stands = ms >= at && ms < at + 1000;

                if (!stands || !both)
                    turn(1);
                if (!stands)
                    turn(0);
            }
            assert_int_equal(machines[0].vm.status, VM_OFF);
            assert_int_equal(machines[0].vm.elsewhere, 1);
        }
}

/* Nobody waits where there is no [migration], or for a guest that is to be started anyway. */
static void test_who_is_not_asked_about(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        boot_first(0, 5);
        assert_true(asking_about(&machines[0].vm));
        memset(asked, 0, sizeof(asked));
        machines[0].config.migration.port = i;
        machines[0].config.vm[0].autostart = i ? CONFIG_AUTOSTART_YES : CONFIG_AUTOSTART_ASK;
        asking_start(&machines[0].config);
        assert_false(asking_about(&machines[0].vm));
        assert_int_equal(asking_poll(), ~0ULL);
    }
}

static unsigned judged;

static bool refuses(struct vm *vm, bool came)
{
    assert_false(came);
    judged++;
    vm_stop(vm, VM_OFF, "it asks the witness");
    return false;
}

static bool starts(const struct vm *vm)
{
    (void)vm;
    return false;
}

static bool awaits(const struct vm *vm)
{
    return vm->status == VM_OFF;
}

/* Where there is a witness, it judges each start: also by `autostart = yes`, and by a command. */
static void test_the_witness_judges(void **state)
{
    static const struct asking_judge witness = { refuses, starts, awaits };
    struct machine *machine = &machines[0];

    (void)state;
    boot_first(0, 5);
    memset(asked, 0, sizeof(asked));
    machine->config.vm[0].autostart = CONFIG_AUTOSTART_YES;
    assert_false(asking_needed(&machine->config, &machine->config.vm[0]));
    machine->config.witness.present = 1;
    assert_true(asking_needed(&machine->config, &machine->config.vm[0]));
    machine->config.vm[0].autostart = CONFIG_AUTOSTART_NO;
    assert_false(asking_needed(&machine->config, &machine->config.vm[0]));
    machine->config.vm[0].autostart = CONFIG_AUTOSTART_YES;
    assert_true(asking_may_start(&machine->vm, false));
    asking_judged_by(&witness);
    asking_start(&machine->config);
    assert_true(asking_about(&machine->vm));
    while (asking_poll() != ~0ULL)
        now += 10000000;
    assert_int_equal(judged, 1);
    assert_int_equal(machine->vm.status, VM_OFF);
    assert_true(asking_waits(&machine->vm));
    assert_false(asking_may_start(&machine->vm, false));
    asking_judged_by(NULL);
}

/* To who claims the guest under an epoch so low that ours is noise to him, we say one that he believes; to all others
 * ours. */
static void test_said_to_be_believed(void **state)
{
    struct machine *other = &machines[1];
    struct vm *vm = &machines[0].vm;

    (void)state;
    boot_first(0, 5);
    vm->status = VM_RUNNING;
    vm->identity.epoch = 3 * EPOCH_STEP;
    claims_say(vm);
    claims_say_to(vm, 7, 0);
    claims_say_to(vm, 2 * EPOCH_STEP, 0);
    assert_int_equal(other->heard[0].claim.epoch, 3 * EPOCH_STEP);
    assert_int_equal(other->heard[1].claim.epoch, 7 + EPOCH_STEP);
    assert_int_equal(other->heard[2].claim.epoch, 3 * EPOCH_STEP);
    /* Beyond what any claim says, but by force: nobody is answered who may be there, too. */
    vm->identity.epoch = EPOCH_CLAIM + EPOCH_FORCE;
    claims_say(vm);
    claims_say_to(vm, EPOCH_CLAIM, 0);
    claims_say_to(vm, EPOCH_CLAIM - 1, 0);
    assert_int_equal(other->nr_heard, 5);
    assert_int_equal(other->heard[3].claim.epoch, EPOCH_CLAIM);
    assert_int_equal(other->heard[4].claim.epoch, EPOCH_CLAIM);
    /* The machine that the guest's deed names is the eldest. */
    claims_deeded_by(owns);
    claims_say(vm);
    assert_int_equal(other->heard[4].claim.age_ms, 0);
    assert_int_equal(other->heard[5].claim.age_ms, WIRE_AGE_DEED);
    claims_deeded_by(NULL);
}

/* Emulators draw equal random numbers: by their cards two machines are two owners all the same. */
static void test_owners_differ(void **state)
{
    (void)state;
    here = NULL;
    boot(0, 12345, 1);
    boot(1, 12345, 2);
    enter(0);
    assert_int_not_equal(machines[0].owner, machines[1].owner);
    for (unsigned ms = 0; ms < 500; ms++, now += MS)
        for (unsigned i = 0; i < 2; i++)
            turn(i);
    assert_int_equal((machines[0].vm.status == VM_RUNNING) + (machines[1].vm.status == VM_RUNNING), 1);
}

/* Who has not heard the other starts, too; and what nobody can own keeps nobody from starting. */
static void test_deaf_or_lied_to(void **state)
{
    struct wire_claim lie = { .kind = WIRE_CLAIM_OWNS, .owner = 1, .name = "web", .epoch = EPOCH_CLAIM + 1 };

    (void)state;
    boot_first(0, 5);
    boot(1, 6, 0);
    memcpy(lie.vm_id, machines[0].vm.identity.id, WIRE_ID);
    claim_seal(&lie);
    machines[0].deaf = machines[1].deaf = true;
    for (unsigned ms = 0; ms < 500; ms++, now += MS)
        for (unsigned i = 0; i < 2; i++) {
            enter(i);
            hear(machines[!i].mac, (const u8 *)&lie, sizeof(lie));
            turn(i);
        }
    assert_int_equal(machines[0].vm.status, VM_RUNNING);
    assert_int_equal(machines[1].vm.status, VM_RUNNING);
}

/* What has ended here, and another machine runs, is shown there, and not what to start here. */
static void test_ended_here_runs_there(void **state)
{
    struct wire_claim claim = {
        .kind = WIRE_CLAIM_OWNS, .owner = 1, .name = "web", .epoch = 3, .ip4 = { 10, 0, 0, 9 }
    };
    struct vm *vm = &machines[0].vm;

    (void)state;
    boot_first(0, 5);
    memcpy(claim.vm_id, vm->identity.id, WIRE_ID);
    vm->status = VM_PASSED;
    strcpy(vm->reason, "verdict 0");
    claim.epoch = 2 * EPOCH_STEP; /* noise */
    claim_seal(&claim);
    hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
    assert_int_equal(vm->elsewhere, 0);
    claim.epoch = 3;
    for (unsigned i = 0; i < 3; i++) { /* only its owner counts, and only where not anybody could say it */
        claim.kind = i ? WIRE_CLAIM_OWNS : WIRE_CLAIM_HOLDS;
        all = i != 1;
        claim_seal(&claim);
        hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
        assert_int_equal(vm->elsewhere, i == 2 ? 3 : 0);
    }
    assert_int_equal(vm->status, VM_PASSED);
    assert_string_equal(vm->reason, "web at 10.0.0.9, epoch 3");
}

/* Nor is what nobody asked about and nobody has started: by `autostart = no`, or by `create`. */
static void test_idle_here_runs_there(void **state)
{
    struct wire_claim claim = {
        .kind = WIRE_CLAIM_OWNS, .owner = 1, .name = "web", .epoch = 1, .ip4 = { 10, 0, 0, 9 }
    };
    struct vm *vm = &machines[0].vm;

    (void)state;
    for (unsigned alone = 0; alone < 2; alone++) {
        boot_first(0, 5);
        machines[0].config.vm[0].autostart = CONFIG_AUTOSTART_NO;
        machines[0].config.migration.port = !alone; /* which would end with its last guest */
        memset(asked, 0, sizeof(asked));
        asking_start(&machines[0].config);
        memcpy(claim.vm_id, "another identity", WIRE_ID);
        claim_seal(&claim);
        hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
        assert_int_equal(vm->status, VM_CREATED);
        memcpy(claim.vm_id, vm->identity.id, WIRE_ID);
        claim_seal(&claim);
        hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
        assert_int_equal(vm->status, alone ? VM_CREATED : VM_OFF);
        assert_int_equal(vm->elsewhere, !alone);
    }
    boot_idle(0, 5);
    hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
    assert_string_equal(vm->reason, "web at 10.0.0.9, epoch 1");
}

/* A machine that a copy has come to, otherwise than from its owner, asks once more, for that copy alone: it is told
 * where the guest is, and decides itself. Of two that ask at once one has the right to it, of one that nobody has
 * nothing is said. */
static void test_a_copy_is_asked_about(void **state)
{
    static const struct {
        enum vm_status there;
        bool other; /* another guest, with the same MAC */
        const char *reason;
    } cases[] = { { VM_RUNNING, false, "web at 10.0.0.1, epoch 1" },
                  { VM_RUNNING, true, "its MAC is that of web at 10.0.0.1, epoch 1" },
                  { VM_INCOMING, false, NULL },
                  { VM_OFF, false, "" } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vm *copy = &machines[0].vm;

        for (unsigned k = 0; k < 2; k++) {
            boot_idle(k, k + 1);
            all = i % 2; /* what answers a question counts, though there is no [migration] */
        }
        machines[1].vm.status = cases[i].there;
        copy->status = VM_INCOMING;
        copy->identity.epoch = EPOCH_FORCE;
        copy->identity.id[0] += cases[i].other;
        for (unsigned k = 0; k < 2; k++) {
            enter(k);
            if (machines[k].vm.status == VM_INCOMING) {
                assert_true(asking_begin(&machines[k].vm));
                assert_false(asking_begin(&machines[k].vm)); /* one at a time */
            }
        }
        for (unsigned ms = 0; ms < 600; ms++, now += MS)
            for (unsigned k = 0; k < 2; k++)
                turn(k);
        enter(0);
        assert_false(asking_about(copy));
        assert_int_equal(copy->status, VM_INCOMING);
        if (cases[i].reason)
            assert_string_equal(copy->reason, cases[i].reason);
        else
            assert_int_equal((copy->elsewhere != 0) + (machines[1].vm.elsewhere != 0), 1);
    }
}

/* A copy is not let run if its owner is heard before that, though that did not answer in time. */
static void test_an_owner_that_is_heard_late(void **state)
{
    struct vm *copy = &machines[0].vm;
    struct wire_claim claim;

    (void)state;
    boot_idle(0, 1);
    copy->status = VM_INCOMING;
    enter(0);
    claim = claims_question(copy);
    claim.kind = WIRE_CLAIM_OWNS;
    claim.owner = 99;
    claim.epoch = 1;
    claim_seal(&claim);
    copy->identity.epoch = EPOCH_FORCE;
    assert_true(asking_begin(copy));
    for (unsigned ms = 0; ms < 600; ms++, now += MS)
        turn(0);
    enter(0);
    assert_false(asking_about(copy));
    assert_int_equal(copy->elsewhere, 0);
    hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
    assert_int_equal(copy->elsewhere, 1);
    copy->elsewhere = 0;
    copy->status = VM_RUNNING;
    hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
    assert_int_equal(copy->elsewhere, 0);
}

/* A copy that is gone while it is asked about: the VM that lies in its place is another one, of which the answer says
 * nothing. */
static void test_a_copy_that_is_gone(void **state)
{
    struct vm *vm = &machines[0].vm;
    struct wire_claim claim;

    (void)state;
    boot_idle(0, 1);
    vm->status = VM_INCOMING;
    assert_true(asking_begin(vm));
    claim = claims_question(vm);
    claim.kind = WIRE_CLAIM_HOLDS;
    claim.owner = 99;
    claim_seal(&claim);
    vm->id++;
    vm->incoming.asked = false; /* it comes by a move */
    assert_false(asking_about(vm));
    hear(machines[1].mac, (const u8 *)&claim, sizeof(claim));
    assert_int_equal(vm->elsewhere, 0);
    for (unsigned ms = 0; ms < 600; ms++, now += MS)
        turn(0);
    enter(0);
    assert_true(asking_begin(vm)); /* that is over, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_one_starts),
        cmocka_unit_test(test_asking_is_short),
        cmocka_unit_test(test_a_machine_that_stood_still),
        cmocka_unit_test(test_who_is_not_asked_about),
        cmocka_unit_test(test_the_witness_judges),
        cmocka_unit_test(test_said_to_be_believed),
        cmocka_unit_test(test_owners_differ),
        cmocka_unit_test(test_deaf_or_lied_to),
        cmocka_unit_test(test_ended_here_runs_there),
        cmocka_unit_test(test_idle_here_runs_there),
        cmocka_unit_test(test_a_copy_is_asked_about),
        cmocka_unit_test(test_an_owner_that_is_heard_late),
        cmocka_unit_test(test_a_copy_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

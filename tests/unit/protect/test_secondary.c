/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_keys.c */
/* sources: protect/protection.c protect/protected.c protect/guarding.c protect/guard.c protect/deed.c */
/* sources: protect/notary.c protect/failovers.c protect/heartbeat.c stream/record.c stream/crc32c.c dev/codec.c */
/* sources: config/netaddr.c tests/unit/one_vm.c tests/unit/protect_rig.c tests/unit/protect_tests.c */
/* sources: tests/unit/stubs.c */
/* The driver of protection at the machine that has the copy, and where it came to run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/asm.h"
#include "protect/failovers.h"
#include "protect/protection.h"
#include "tests/unit/protect_tests.h"

/* A swap leaves within the call that asks. What comes next is judged by that, before the host loop has turned. */
static void test_sent_at_once(void **state)
{
    (void)state;
    reset(true);
    stand_by();
    rig.watcher->dest(&vm, PROTECT_COMMIT, 0); /* reads the deed */
    pass(20);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
    rig.watcher->dest(&vm, PROTECT_ABORT, 1);
    assert_false(was_ordered(PROTECT_FREE));
    assert_true(was_ordered(PROTECT_STILL));
}

/* Force is refused as long as the other machine is heard, and changes nothing then. */
static void test_force_of_healthy(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    stand_by();
    pass(500);
    assert_int_equal(protection_force(&vm, &reason), -EBUSY);
    assert_non_null(strstr(reason, "its primary is heard"));
    assert_int_equal(p->guard.state, GUARD_STANDBY);
    rig.info.linked = false;
    assert_int_equal(protection_force(&vm, &reason), 0);
    assert_true(was_ordered(PROTECT_ADOPT));
    reset(true);
    protect();
    assert_int_equal(protection_force(&vm, &reason), -EBUSY);
    assert_non_null(strstr(reason, "expected unprotect without force"));
    assert_int_equal(p->guard.state, GUARD_PROTECTED);
    assert_true(p->wanted && rig.holds);
}

/* Of more guests than are remembered, a failover is written where it belongs. */
static void test_many_failovers(void **state)
{
    struct vm other = { .name = "db" };

    (void)state;
    reset(true);
    stand_by();
    rig.reachable = false;
    rig.silent = true;
    pass(400);
    assert_int_equal(p->guard.state, GUARD_ASKING);
    for (unsigned i = 0; i < FAILOVERS; i++)
        failovers_add(&other);
    rig.reachable = true;
    pass(300);
    assert_true(was_ordered(PROTECT_ADOPT));
    for (unsigned i = 0; i < FAILOVERS; i++)
        assert_int_equal(failovers_get(i)->running | failovers_get(i)->asked | failovers_get(i)->won, 0);
}

/* The host loop sleeps while nothing is to be done, though what has come too late changes nothing. */
static void test_sleeps(void **state)
{
    u64 before;

    (void)state;
    reset(false);
    stand_by();
    rig.silent = true;
    rig.info.linked = false;
    pass(1000);
    assert_true(rig.poll() == ~0ULL);
    reset(false);
    protect();
    checkpoint(1);
    rig.watcher->source(&vm, PROTECT_LAST, 1);
    pass(1000);
    before = rdtsc();
    assert_true(rig.poll() > before + 50 * MS);
}

static void test_takes_over(void **state)
{
    const struct failover *failover;

    (void)state;
    reset(true);
    stand_by();
    rig.info.number = 41;
    rig.watcher->dest(&vm, PROTECT_CHECKPOINTED, 41);
    assert_true(was_ordered(PROTECT_SAY));
    pass(100);
    rig.silent = true;
    pass(300);
    assert_false(was_ordered(PROTECT_CLOSE));
    pass(40);
    assert_true(was_ordered(PROTECT_CLOSE));
    assert_true(was_ordered(PROTECT_ADOPT));
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
    failover = failovers_get(0);
    assert_int_equal(failover->checkpoint, 41);
    assert_int_equal(failover->cause, FAILOVER_SILENCE);
    assert_true(failover->noticed - failover->heard > 300 * MS && failover->running >= failover->won);
    /* It is to be protected where it came from. */
    assert_true(p->wanted);
    assert_int_equal(p->interval, 40);
    pass(1100);
    assert_int_equal(rig.starts, 1);
}

/* It has won, and a large checkpoint is still put into the copy: nothing changes that any more. */
static void test_runs_later(void **state)
{
    const char *reason;

    (void)state;
    reset(true);
    stand_by();
    rig.puts = rig.silent = true;
    pass(350);
    assert_true(was_ordered(PROTECT_ADOPT));
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
    rig.watcher->dest(&vm, PROTECT_CHECKPOINTED, 1);
    rig.watcher->dest(&vm, PROTECT_LINK_LOST, 1);
    rig.watcher->dest(&vm, PROTECT_ABORT, 0);
    rig.watcher->dest(&vm, PROTECT_ABORT, 1);
    rig.watcher->dest(&vm, PROTECT_ABORT, 2);
    rig.watcher->dest(&vm, PROTECT_HIGHER_EPOCH, E + 1);
    assert_int_equal(protection_force(&vm, &reason), -EBUSY);
    rig.beats = 0;
    rig.ordered = 0;
    pass(1000);
    assert_int_equal(rig.ordered | rig.beats, 0);
    assert_int_equal(p->guard.state, GUARD_TAKEN);
    rig.has_end = false;
    vm.status = VM_RUNNING;
    vm.identity.epoch = E;
    rig.watcher->dest(&vm, PROTECT_OVER, WIRE_OK);
    assert_true(p->wanted && !p->guarded);
    assert_true(failovers_get(0)->running > failovers_get(0)->won);
    pass(1100);
    assert_int_equal(rig.starts, 1);
}

/* A swap that may be done is never taken back: ABORT is answered by PREPARED, and the same swap asked again. */
static void test_asks_on(void **state)
{
    (void)state;
    reset(true);
    stand_by();
    rig.late = true;
    rig.silent = true;
    pass(330);
    assert_true(was_ordered(PROTECT_CLOSE));
    pass(50);
    rig.watcher->dest(&vm, PROTECT_ABORT, 1);
    assert_true(was_ordered(PROTECT_STILL));
    assert_false(was_ordered(PROTECT_ADOPT));
    rig.reachable = rig.late = false;
    pass(1000);
    assert_true(rig.swaps > 5);
    rig.reachable = true;
    pass(150);
    assert_true(was_ordered(PROTECT_ADOPT));
}

/* An operator gives the copy up. If its swap may be done, the primary is never told that it was not. */
static void test_given_up(void **state)
{
    (void)state;
    for (unsigned sent = 0; sent < 2; sent++) {
        reset(true);
        stand_by();
        rig.reachable = false;
        rig.silent = rig.late = sent;
        pass(400);
        assert_int_equal(p->guard.state, sent ? GUARD_ASKING : GUARD_STANDBY);
        rig.watcher->dest(&vm, PROTECT_ABORT, 2);
        assert_int_equal(was_ordered(PROTECT_FORGET), sent);
        assert_int_equal(was_ordered(PROTECT_FREE), !sent);
    }
}

/* The end of a connection, and the work for a checkpoint, are no words of the primary. */
static void test_not_heard(void **state)
{
    (void)state;
    reset(false);
    stand_by();
    rig.info.heard = rig.now - 10 * MS;
    rig.silent = true;
    pass(250);
    rig.info.number = 1;
    rig.watcher->dest(&vm, PROTECT_CHECKPOINTED, 1);
    rig.watcher->dest(&vm, PROTECT_LINK_LOST, 1);
    rig.info.linked = false;
    pass(80);
    assert_true(p->heartbeat.silent);
}

/* The primary has gone on alone: the copy is freed. */
static void test_gives_way(void **state)
{
    (void)state;
    reset(true);
    stand_by();
    snprintf(rig.deed, sizeof(rig.deed), "1 owner " OTHER_TEXT " secondary none epoch 8");
    rig.silent = true;
    pass(400);
    assert_true(was_ordered(PROTECT_FREE));
    assert_true(failovers_get(0)->lost);
    assert_false(p->guarded);
}

/* The witness is restored from a snapshot of when the guest ran here: that takes no copy away. */
static void test_restored_witness(void **state)
{
    (void)state;
    reset(true);
    stand_by();
    snprintf(rig.deed, sizeof(rig.deed), "1 owner " ME_TEXT " secondary none epoch 3");
    rig.silent = true;
    pass(3000);
    assert_false(was_ordered(PROTECT_FREE) || was_ordered(PROTECT_ADOPT));
    assert_int_equal(protection_state(&vm), PROTECTION_SUSPENDED);
}

/* What was read before there were two copies is no deed to swap, though it says the same as the deed: P may be alone.
 */
static void test_read_anew(void **state)
{
    static const char alone[] = "1 owner " OTHER_TEXT " secondary none epoch 7";

    (void)state;
    reset(true);
    p = protection_of(&vm);
    snprintf(rig.deed, sizeof(rig.deed), "%s", alone);
    pass(50);
    vm.status = VM_OFF; /* it was made to stand, and an operator has ended it */
    pass(50);
    stand_by();
    assert_int_equal(rig.swaps, 0);
    snprintf(rig.deed, sizeof(rig.deed), "%s", alone);
    rig.silent = true;
    pass(3000);
    assert_int_equal(p->guard.state, GUARD_ASKING);
    assert_string_equal(rig.deed, alone);
}

/* The copy goes, and later the guest is started anew here: it is protected, as the configuration says. */
static void test_still_wanted(void **state)
{
    const char *reason = "";

    (void)state;
    for (unsigned configured = 0; configured < 2; configured++) {
        reset(true);
        if (configured)
            assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
        stand_by();
        rig.watcher->dest(&vm, PROTECT_ABORT, 0);
        assert_true(was_ordered(PROTECT_FREE));
        assert_int_equal(protection_state(&vm), configured ? PROTECTION_DEGRADED : PROTECTION_NONE);
        snprintf(rig.deed, sizeof(rig.deed), "1 owner " ME_TEXT " secondary none epoch 9");
        vm.identity.epoch = 9;
        pass(1200);
        assert_int_equal(rig.starts, configured);
    }
}

/* Without a witness nothing starts by itself; by an operator's word it does. */
static void test_force(void **state)
{
    const char *reason = "";

    (void)state;
    reset(false);
    assert_int_equal(protection_force(&vm, &reason), -ENOENT);
    stand_by();
    rig.silent = true;
    pass(5000);
    assert_false(was_ordered(PROTECT_ADOPT));
    assert_int_equal(protection_force(&vm, &reason), 0);
    assert_true(was_ordered(PROTECT_ADOPT));
    assert_int_equal(failovers_get(0)->cause, FAILOVER_FORCED);
    assert_int_equal(vm.identity.epoch, E + EPOCH_FORCE + ME); /* above all that the other machine may have come to */
}

/* With one, it is told as soon as it answers. */
static void test_forced_deed(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    stand_by();
    rig.reachable = false;
    rig.silent = true;
    pass(1000);
    assert_int_equal(protection_force(&vm, &reason), 0);
    assert_true(was_ordered(PROTECT_ADOPT));
    pass(1000);
    rig.reachable = true;
    pass(1200);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 65554");
    assert_int_equal(vm.identity.epoch, 65554);
}

/* `protect` right behind `unprotect`: the end of the copy before is awaited. */
static void test_again_at_once(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    protect();
    rig.reachable = false;
    assert_int_equal(protection_end(&vm), 0);
    assert_int_equal(p->guard.state, GUARD_PARTING);
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(500);
    assert_int_equal(rig.starts, 1);
    rig.reachable = true;
    pass(1500);
    assert_int_equal(rig.starts, 2);
    /* A copy of another machine's guest is not for this machine to protect. */
    reset(true);
    stand_by();
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), -EBUSY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sent_at_once),
        cmocka_unit_test(test_force_of_healthy),
        cmocka_unit_test(test_many_failovers),
        cmocka_unit_test(test_sleeps),
        cmocka_unit_test(test_takes_over),
        cmocka_unit_test(test_runs_later),
        cmocka_unit_test(test_asks_on),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_not_heard),
        cmocka_unit_test(test_gives_way),
        cmocka_unit_test(test_restored_witness),
        cmocka_unit_test(test_read_anew),
        cmocka_unit_test(test_still_wanted),

        cmocka_unit_test(test_force),
        cmocka_unit_test(test_forced_deed),
        cmocka_unit_test(test_again_at_once),
    };

    return cmocka_run_group_tests(tests, protect_begin, NULL);
}

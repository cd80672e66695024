/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_keys.c */
/* sources: protect/protection.c protect/protected.c protect/guarding.c protect/guard.c protect/deed.c */
/* sources: protect/notary.c protect/failovers.c protect/heartbeat.c stream/record.c stream/crc32c.c dev/codec.c */
/* sources: config/netaddr.c tests/unit/one_vm.c tests/unit/protect_rig.c tests/unit/protect_tests.c */
/* sources: tests/unit/stubs.c */
/* The driver of protection at the machine that runs the guest: the ends of the stream, the witness, the network and the
 * clock do as the test says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/bits.h"
#include "protect/protection.h"
#include "tests/unit/protect_tests.h"
#include "tests/unit/stubs.h"

static void test_checkpoints(void **state)
{
    (void)state;
    reset(false);
    protect();
    checkpoint(1);
    checkpoint(2);
    assert_int_equal(rig.released, 2);
    rig.beats = 0;
    for (u64 n = 3; n < 33; n++) {
        checkpoint(n);
        pass(100);
    }
    assert_int_equal(rig.beats, 60); /* one every 50 ms */
    assert_int_equal(protection_state(&vm), PROTECTION_PROTECTED);
}

/* The secondary beats, but acknowledges nothing: the primary waits for it as long as an operator's limit, at least. */
static void test_stalled(void **state)
{
    static const struct {
        u32 limit, waits; /* ms */
    } rows[] = { { 100, 2000 }, { 2000, 2000 }, { 20000, 20000 }, { 60000, 60000 } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        reset(true);
        rig.limit_ms = rows[i].limit;
        protect();
        checkpoint(1);
        pass(rows[i].waits);
        assert_int_equal(p->guard.state, GUARD_PROTECTED);
        pass(200);
        assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
        assert_false(rig.holds);
    }
}

/* Without a witness the primary goes on when the secondary is silent, and tries again each second. */
static void test_no_witness(void **state)
{
    (void)state;
    reset(false);
    protect();
    rig.silent = true;
    pass(200);
    assert_true(rig.holds);
    pass(20);
    assert_false(rig.holds);
    assert_true(was_ordered(PROTECT_ALONE));
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
    pass(900);
    assert_int_equal(rig.starts, 1);
    pass(200);
    assert_int_equal(rig.starts, 2);
}

/* The deed follows the guest, names the secondary, and is asked before the guest speaks freely again. */
static void test_parts(void **state)
{
    (void)state;
    reset(true);
    protect();
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary " OTHER_TEXT " epoch 8");
    rig.silent = true;
    rig.reachable = false;
    pass(250);
    assert_true(was_ordered(PROTECT_PART));
    assert_true(rig.holds);
    assert_int_equal(protection_state(&vm), PROTECTION_SUSPENDED);
    rig.beats = 0;
    pass(1900);
    assert_int_equal(rig.beats, 0);
    assert_false(was_ordered(PROTECT_PAUSE));
    pass(200);
    assert_true(was_ordered(PROTECT_PAUSE));
    assert_true(rig.holds);
    rig.reachable = true;
    pass(150);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
    assert_true(was_ordered(PROTECT_ALONE));
    assert_false(rig.holds);
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
}

/* The secondary was quicker: nothing that is held leaves any more. */
static void test_loses(void **state)
{
    (void)state;
    reset(true);
    protect();
    snprintf(rig.deed, sizeof(rig.deed), "1 owner " OTHER_TEXT " secondary none epoch 8");
    rig.silent = true;
    pass(270);
    assert_true(was_ordered(PROTECT_PART));
    assert_int_equal(rig.dropped, 1);
    assert_false(was_ordered(PROTECT_ALONE));
    assert_int_equal(p->guard.state, GUARD_LOST);
    assert_string_equal(vm.reason, "web at 192.0.2.11, epoch 8");
    assert_false(p->wanted);
    pass(3000);
    assert_int_equal(rig.starts, 1);
    /* The copy stays until a newer one is to come from the owner of the deed, which is read for that. */
    rig.watcher->dest(&vm, PROTECT_RESERVED, E);
    pass(20);
    rig.watcher->dest(&vm, PROTECT_RESERVED, E);
    assert_int_equal(rig.given_up, 0);
    rig.watcher->dest(&vm, PROTECT_RESERVED, E + 1);
    assert_int_equal(rig.given_up, 0);
    pass(20);
    rig.watcher->dest(&vm, PROTECT_RESERVED, E + 1);
    assert_int_equal(rig.given_up, 1);
}

/* A machine that was away for 5 s lets nothing go before it has asked, be it of the last checkpoint of all. */
static void test_away(void **state)
{
    (void)state;
    for (unsigned last = 0; last < 2; last++) {
        reset(true);
        protect();
        checkpoint(1);
        rig.info.taken = 2;
        rig.watcher->source(&vm, PROTECT_TAKEN, 2);
        snprintf(rig.deed, sizeof(rig.deed), "1 owner " OTHER_TEXT " secondary none epoch 8");
        rig.now += 5000 * MS;
        rig_beat();
        rig.watcher->source(&vm, last ? PROTECT_LAST : PROTECT_CHECKPOINTED, 2);
        assert_int_equal(rig.released, 1);
        pass(50);
        assert_int_equal(rig.dropped, 1);
        assert_int_equal(p->guard.state, GUARD_LOST);
    }
}

/* Why it was parted from is shown, and not what came of it. */
static void test_reason(void **state)
{
    static const struct {
        enum protect_event event;
        const char *reason;
    } rows[] = { { PROTECT_LINK_LOST, "the connection has ended" },
                 { PROTECT_NO_ROOM, "it has written more than a checkpoint may have" } };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        reset(true);
        protect();
        rig.reachable = false;
        rig.watcher->source(&vm, rows[i].event, 1);
        pass(50);
        rig.watcher->source(&vm, PROTECT_ABORTED, 0);
        assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
        assert_string_equal(p->reason, rows[i].reason);
    }
}

/* Without the memory to hold what the guest sends nothing is copied. Whatever ends an attempt gives it back. */
static void test_no_memory(void **state)
{
    const char *reason = "";

    (void)state;
    reset(false);
    rig.no_room = -ENOMEM;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    p = protection_of(&vm);
    assert_int_equal(rig.starts, 0);
    assert_string_equal(p->reason, "no memory to hold what it sends");
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
    rig.no_room = -EAGAIN;
    pass(1000);
    assert_string_equal(p->reason, "what was held of it before has not gone yet");
    rig.no_room = 0;
    rig.unable = true;
    pass(2000);
    assert_int_equal(rig.starts, 1);
    assert_false(rig.reserved);
    rig.unable = false;
    rig.refuses = true;
    pass(4000);
    assert_int_equal(rig.starts, 2);
    assert_false(rig.reserved);
    rig.refuses = false;
    pass(8000);
    assert_int_equal(rig.starts, 3);
    assert_true(rig.reserved);
    assert_int_equal(protection_end(&vm), 0);
    assert_true(rig.cancelled);
    assert_false(rig.reserved);
}

/* The witness is lost after the guest has stood for its copy: it does not wait for ever. */
static void test_join_fails(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    rig.limit_ms = 5000;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    p = protection_of(&vm);
    rig.reachable = false;
    rig.late = true;
    assert_int_equal(rig.watcher->source(&vm, PROTECT_STOPPED, E), 0);
    rig.watcher->source(&vm, PROTECT_PREPARED, E);
    pass(4900);
    assert_int_equal(p->guard.state, GUARD_JOINING);
    pass(200);
    assert_int_equal(p->guard.state, GUARD_PARTING); /* the swap may be done, and it is */
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary " OTHER_TEXT " epoch 8");
    assert_true(rig.holds);
    rig.watcher->source(&vm, PROTECT_ABORTED, E);
    assert_false(rig.holds);
    assert_int_equal(p->guard.state, GUARD_ALONE);
    rig.late = false;
    rig.reachable = true;
    pass(200);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
}

/* The guest has stood for its first copy, which is prepared. */
static void join(void)
{
    const char *reason = "";

    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    p = protection_of(&vm);
    assert_int_equal(rig.watcher->source(&vm, PROTECT_STOPPED, E), 0);
    rig.watcher->source(&vm, PROTECT_PREPARED, E);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary " OTHER_TEXT " epoch 8");
}

/* A swap leaves within the call that asks. What comes next is judged by that, before the host loop has turned. */
static void test_sent_at_once(void **state)
{
    (void)state;
    reset(true);
    join();
    rig.watcher->source(&vm, PROTECT_LINK_LOST, 0);
    assert_int_equal(p->guard.state, GUARD_PARTING);
    assert_true(rig.holds);
}

/* A guest that is just being reset can't be made to stand: that is tried again. */
static void test_pause_again(void **state)
{
    (void)state;
    reset(true);
    protect();
    rig.silent = rig.resets = true;
    rig.reachable = false;
    pass(2400);
    assert_false(p->paused);
    rig.resets = false;
    pass(150);
    assert_true(was_ordered(PROTECT_PAUSE));
    assert_true(p->paused);
}

/* A planned failover of which the last frames never leave: protection can't end meanwhile. It is given up, by itself
 * with a witness, and by an operator's word without. */
static void test_planned_stuck(void **state)
{
    const char *reason = "";

    (void)state;
    for (unsigned with_witness = 0; with_witness < 2; with_witness++) {
        reset(with_witness);
        protect();
        rig.announces = true;
        rig.watcher->source(&vm, PROTECT_TAKEN, 1);
        rig.held = 3;
        rig.watcher->source(&vm, PROTECT_LAST, 1);
        assert_false(rig.announces); /* the secondary may speak from now on */
        assert_int_equal(protection_end(&vm), -EBUSY);
        assert_true(p->wanted);
        pass(280);
        assert_int_equal(p->guard.state, GUARD_HANDED);
        pass(80);
        if (!with_witness)
            assert_int_equal(protection_force(&vm, &reason), 0);
        assert_false(was_ordered(PROTECT_HAND));
        assert_true(was_ordered(PROTECT_ALONE));
        assert_false(p->guarded || rig.holds);
    }
}

/* What this machine says in the guest's name is not held: it ends when another one may speak for the guest. */
static void test_announces(void **state)
{
    (void)state;
    reset(true);
    protect();
    rig.announces = true;
    rig.reachable = false;
    pass(100);
    assert_true(rig.announces);
    rig.silent = true;
    pass(250);
    assert_int_equal(p->guard.state, GUARD_PARTING);
    assert_false(rig.announces);
}

/* Planned: COMMIT is said when all that was held has gone. */
static void test_planned(void **state)
{
    (void)state;
    reset(true);
    assert_int_equal(protection_failover(&vm), -EBUSY);
    protect();
    assert_int_equal(protection_failover(&vm), 0);
    assert_true(was_ordered(PROTECT_FINISH));
    rig.watcher->source(&vm, PROTECT_TAKEN, 1);
    rig.held = 3;
    rig.watcher->source(&vm, PROTECT_LAST, 1);
    assert_int_equal(rig.released, 1);
    pass(50);
    assert_false(was_ordered(PROTECT_HAND));
    rig.held = 0;
    pass(10);
    assert_true(was_ordered(PROTECT_HAND));
    rig.beats = 0;
    pass(60);
    assert_int_equal(rig.beats, 0);
    vm.status = VM_PAUSED; /* it runs there */
    rig.watcher->source(&vm, PROTECT_OVER, WIRE_OK);
    assert_int_equal(p->guard.state, GUARD_GONE);
}

static void test_end(void **state)
{
    (void)state;
    reset(true);
    assert_int_equal(protection_end(&vm), -ENOENT);
    protect();
    assert_int_equal(protection_end(&vm), 0);
    pass(20);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 8");
    assert_int_equal(protection_state(&vm), PROTECTION_NONE);
    assert_false(rig.holds);
    pass(3000);
    assert_int_equal(rig.starts, 1);
}

/* What is under the guest's key is no deed, or another machine's. */
static void test_deed_is_anothers(void **state)
{
    static const char *const deeds[] = { "mine", "1 owner " OTHER_TEXT " secondary none epoch 9",
                                         "1 owner " OTHER_TEXT " secondary none epoch 7" };
    static const u64 claimed[] = { 0, 9, 7 }; /* it stands, as if that machine had claimed it */
    const char *reason = "";

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(deeds); i++) {
        reset(true);
        snprintf(rig.deed, sizeof(rig.deed), "%s", deeds[i]);
        assert_int_equal(protection_want(&vm, &peer, 0, &reason), 0);
        pass(3000);
        assert_int_equal(rig.starts, 0);
        assert_string_equal(rig.deed, deeds[i]);
        p = protection_of(&vm);
        assert_non_null(strstr(p->reason, deeds[i]));
        assert_int_equal(rig.claimed, claimed[i]);
        assert_false(rig.deeded(&vm));
        assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
        snprintf(rig.deed, sizeof(rig.deed),
                 "1 owner " OTHER_TEXT " secondary none epoch 6"); /* it has moved here since */
        pass(1200);
        assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 7");
        assert_true(rig.deeded(&vm));
        assert_int_equal(rig.starts, 1);
    }
}

/* An earlier boot of this machine, whose memory is lost, does not make the guest stand, and its deed is taken; but not
 * if its secondary may go on with the guest: that is for an operator to say. */
static void test_deed_of_an_earlier_boot(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    snprintf(rig.deed, sizeof(rig.deed), "1 owner 192.0.2.10:4900 00000000000000ee secondary none epoch 9");
    pass(50);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 9");
    reset(true);
    snprintf(rig.deed, sizeof(rig.deed), "1 owner 192.0.2.10:4900 00000000000000ee secondary " OTHER_TEXT " epoch 9");
    pass(3000);
    assert_int_equal(rig.claimed, 0);
    assert_int_equal(rig.swaps, 0);
    assert_int_equal(protection_force_epoch(&vm), 9);
    assert_int_equal(protection_force(&vm, &reason), 0);
    pass(50);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 9");
    assert_int_equal(protection_force_epoch(&vm), 0);
    assert_int_equal(protection_force(&vm, &reason), -ENOENT);
}

/* The deed names another machine, and the guest runs here all the same, since nobody believes such an epoch: an
 * operator's force overrules the deed. Of a guest that stands, `resolve` is asked. */
static void test_force_overrules_a_deed(void **state)
{
    const char *reason = "";

    (void)state;
    reset(true);
    snprintf(rig.deed, sizeof(rig.deed), "1 owner " OTHER_TEXT " secondary none epoch 72057594037927936");
    pass(3000);
    assert_int_equal(protection_force_epoch(&vm), 1ULL << 56);
    vm.status = VM_PAUSED;
    assert_int_equal(protection_force_epoch(&vm), 0);
    vm.status = VM_RUNNING;
    assert_int_equal(protection_force(&vm, &reason), 0);
    pass(50);
    assert_string_equal(rig.deed, "1 owner " ME_TEXT " secondary none epoch 72057594037927936");
}

/* The other machine takes no copy: it is tried more and more rarely, and at once when it is asked for again. */
static void test_backs_off(void **state)
{
    const char *reason = "";

    unsigned lines = stub_log_lines;

    (void)state;
    reset(false);
    rig.refuses = true;
    snprintf(rig.move.stats.reason, sizeof(rig.move.stats.reason), "no room");
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    assert_int_equal(protection_state(&vm), PROTECTION_SYNCING); /* it is about to be */
    pass(50);
    assert_false(rig.quiet);
    assert_int_equal(stub_log_lines, lines + 1);
    pass(7000); /* at 0, 1, 3 and 7 s */
    assert_int_equal(rig.starts, 4);
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
    pass(40000); /* at 15, 25, 35 and 45 s */
    assert_int_equal(rig.starts, 8);
    assert_int_equal(protection_of(&vm)->tries, 8);
    /* Only the first one is logged, and each with another reason. */
    assert_true(rig.quiet);
    assert_int_equal(stub_log_lines, lines + 1);
    snprintf(rig.move.stats.reason, sizeof(rig.move.stats.reason), "no name");
    pass(20000);
    assert_int_equal(rig.starts, 10);
    assert_int_equal(stub_log_lines, lines + 2);
    assert_string_equal(protection_of(&vm)->reason, "no name");
    rig.refuses = false;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    assert_int_equal(rig.starts, 11);
    assert_false(rig.quiet);
}

/* An operator's own move is not protection: it is not shown as such, nothing begins beside it, and `unprotect` leaves
 * it alone. */
static void test_beside_a_move(void **state)
{
    const char *reason = "";

    (void)state;
    reset(false);
    rig.refuses = true;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    rig.active = true;
    rig.move.request.protect = false;
    assert_int_equal(protection_state(&vm), PROTECTION_DEGRADED);
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), -EBUSY);
    assert_int_equal(protection_end(&vm), 0);
    assert_false(rig.cancelled);
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), -EBUSY);
    rig.active = false;
    /* Of an attempt that protects it is the other way round. */
    rig.refuses = false;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), 0);
    pass(50);
    assert_int_equal(protection_end(&vm), 0);
    assert_true(rig.cancelled);
}

/* A machine to which no connection may be opened is none that protects. */
static void test_a_stranger(void **state)
{
    const char *reason = "";

    (void)state;
    reset(false);
    rig.stranger = true;
    assert_int_equal(protection_want(&vm, &peer, 25, &reason), -EINVAL);
    assert_string_equal(reason, "it is no peer");
    assert_int_equal(protection_state(&vm), PROTECTION_NONE);
    rig.stranger = false;
    protect();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_no_witness),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_loses),
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_join_fails),
        cmocka_unit_test(test_sent_at_once),
        cmocka_unit_test(test_pause_again),
        cmocka_unit_test(test_planned_stuck),
        cmocka_unit_test(test_announces),
        cmocka_unit_test(test_planned),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_deed_is_anothers),
        cmocka_unit_test(test_deed_of_an_earlier_boot),
        cmocka_unit_test(test_force_overrules_a_deed),
        cmocka_unit_test(test_backs_off),
        cmocka_unit_test(test_beside_a_move),
        cmocka_unit_test(test_a_stranger),
    };

    return cmocka_run_group_tests(tests, protect_begin, NULL);
}

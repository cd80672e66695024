/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_tokens.c control/tls_view.c net/tls_counters.c */
/* sources: tests/unit/fake_keys.c control/key_commands.c */
/* sources: tests/unit/fake_protection.c control/protect_commands.c */
/* sources: guest/load/vm_report.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: control/trace_commands.c host/trace.c */
/* sources: control/dirty_commands.c */
/* sources: control/migrate_commands.c control/migrate_query.c migrate/move.c migrate/stats.c owners/handoff.c */
/* sources: stream/wire.c */
/* sources: tests/unit/fake_migration.c tests/unit/fake_witness.c control/witness_commands.c */
/* sources: control/command.c control/host_commands.c control/vm_commands.c control/net_commands.c */
/* sources: control/json.c control/status.c control/buffer.c control/text.c tests/unit/stubs.c */
/* sources: tests/unit/fake_vms.c tests/unit/command_rig.c net/mac.c */
/* sources: hv/guest_tsc.c */
/* Commands about protection. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm.h"
#include "tests/unit/command_rig.h"
#include "tests/unit/fake_migration.h"
#include "tests/unit/fake_protection.h"
#include "tests/unit/fake_vms.h"

static int setup(void **state)
{
    fake_protection = (struct fake_protection){ .there = false };
    return command_setup(state);
}

static void as_secondary(void)
{
    fake_protection.there = fake_protection.protection.guarded = true;
    fake_protection.protection.guard = (struct guard){ .state = GUARD_STANDBY, .epoch = 7 };
    fake_protection.state = PROTECTION_PROTECTED;
}

static void protects(void **state)
{
    (void)state;
    assert_int_equal(run("protect web"), -EINVAL);
    assert_int_equal(run("protect web 192.0.2.11 4"), -EINVAL);
    assert_string_equal(call.error, "interval: '4' is wrong, expected a number from 5 to 1000");
    assert_int_equal(run("protect web 2001:db8::1"), -EINVAL);
    assert_string_equal(call.error, "peer: '2001:db8::1' is wrong, expected another machine's IPv4 address, such as "
                                    "192.0.2.11 or 192.0.2.11:4900");
    assert_int_equal(run("unprotect web"), -EBUSY);
    assert_string_equal(call.error, "web: it is not protected");
    fake_protection.want = -EBUSY;
    assert_int_equal(run("protect web 192.0.2.11"), -EBUSY);
    assert_string_equal(call.error, "web: cannot protect it, it is protected already");
    fake_protection.want = 0;
    fake_protection.state = PROTECTION_SYNCING;
    assert_int_equal(run("protect web 192.0.2.11 40"), 0);
    assert_string_equal(out.buffer.text, "{\"vm\":\"web\",\"protection\":\"syncing\"}");
    assert_int_equal(fake_protection.protection.peer.port, 4900);
    assert_int_equal(fake_protection.protection.interval, 40);
    assert_int_equal(run("unprotect web"), 0);
    assert_int_equal(fake_protection.ended, 2);
}

/* Force is asked for its epoch, and is refused where there is nothing to force. */
static void forces(void **state)
{
    (void)state;
    fake_protection.failover = -EBUSY;
    assert_int_equal(run("failover web"), -EBUSY);
    assert_string_equal(call.error, "web: it is unprotected, expected protected");
    assert_int_equal(run("failover web 7"), -EBUSY);
    as_secondary();
    assert_int_equal(run("failover web"), -EBUSY);
    assert_non_null(strstr(call.error, "or --force 7 for who knows that that one is dead"));
    assert_int_equal(run("unprotect web"), -EBUSY);
    assert_non_null(strstr(call.error, "expected unprotect at the one that runs it"));
    assert_int_equal(run("failover web 8"), -EINVAL);
    assert_non_null(strstr(call.error, "repeat the epoch, 7, to confirm"));
    assert_int_equal(fake_protection.forced, 0);
    assert_int_equal(run("failover web 7"), 0);
    assert_int_equal(fake_protection.forced, 1);
    fake_protection.protection.guard.state = GUARD_PARTING;
    assert_int_equal(run("unprotect web 7"), 0);
    assert_int_equal(fake_protection.forced, 2);
    fake_protection.force = -EBUSY;
    assert_int_equal(run("unprotect web 7"), -EBUSY);
    assert_string_equal(call.error, "web: there is nothing to force, its secondary is heard");
    assert_int_equal(run("unprotect web 8"), -EINVAL);
    assert_int_equal(fake_protection.ended, 1); /* what is refused changes nothing */
    fake_protection.failover = 0;
    assert_int_equal(run("failover web"), 0);
    /* By its deed another machine owns the guest, which runs here unguarded. */
    fake_protection.protection.guarded = false;
    fake_protection.force = 0;
    fake_protection.deed_epoch = 9;
    assert_int_equal(run("unprotect web 7"), -EINVAL);
    assert_non_null(strstr(call.error, "repeat the epoch, 9, to confirm"));
    assert_int_equal(run("unprotect web 9"), 0);
    assert_int_equal(fake_protection.forced, 4);
}

static void shows(void **state)
{
    struct protection *p = &fake_protection.protection;
    const char *shown;

    (void)state;
    memset(fake_vm(0)->identity.id, 0, VM_ID);
    fake_vm(0)->identity.id[0] = 1;
    as_secondary();
    strcpy(p->notary.text, "1 owner ...");
    p->notary.known = p->beating = true;
    p->peer = (struct tcp_address){ .bytes = { 192, 0, 2, 10 }, .port = 4900 };
    fake_protection.linked = true;
    fake_protection.info =
        (struct protect_info){ .interval_ms = 25, .number = 99, .put = 21000, .pages = 44, .room_pages = 8192 };
    shown = "{\"protection\":[{\"vm\":\"web\",\"state\":\"protected\",\"role\":\"secondary\","
            "\"peer\":\"192.0.2.10:4900\",\"reason\":\"\",\"tries\":0,\"epoch\":7,\"heard-ms\":17,\"interval\":25,"
            "\"checkpoints\":99,\"put-us\":21,\"pages\":44,\"room-pages\":8192,\"held-bytes\":1514,"
            "\"held-most-bytes\":3000,\"output-waits-us\":20000,\"deed\":\"1 owner ...\","
            "\"failovers\":[{\"epoch\":6,\"cause\":\"silence\",\"outcome\":\"it went on here\","
            "\"checkpoint\":77,\"silent-ms\":300.400,\"asked-ms\":301.000,\"won-ms\":303.000,"
            "\"running-ms\":304.000,\"age-ms\":";
    assert_int_equal(run("query-protect web"), 0);
    assert_memory_equal(out.buffer.text, shown, strlen(shown)); /* the age is the clock's */
    p->guard.state = GUARD_PROTECTED;
    fake_protection.info.source = true;
    fake_protection.info.interval = 30000000;
    assert_int_equal(run("query-protect"), 0);
    assert_true(answered("\"role\":\"primary\""));
    assert_true(answered("\"effective-interval\":30.000"));
    assert_true(answered("{\"vm\":\"db\",\"state\":\"unprotected\",\"failovers\":[]}"));
    strcpy(p->reason, "the other machine is silent");
    p->tries = 12;
    for (unsigned i = PROTECTION_PROTECTED; i <= PROTECTION_SUSPENDED; i++) {
        fake_protection.state = i;
        assert_int_equal(run("query-protect web"), 0);
        assert_int_equal(answered("\"reason\":\"the other machine is silent\",\"tries\":12"),
                         i != PROTECTION_PROTECTED);
    }
    fake_protection.state = PROTECTION_DEGRADED;
    assert_int_equal(run("query-protect nobody"), -ENOENT);
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"reason\":\"degraded, see query-protect\""));
    fake_migration.halves = (struct halves){ .missing = 8192, .status = MIGRATE_POSTCOPY_ACTIVE };
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"reason\":\"postcopy-active: 0.0 MiB missing")); /* it is at more risk by that */
    fake_migration.halves.missing = 0;
}

/* The commands of moves say which are those of a protected guest. */
static void refers(void **state)
{
    (void)state;
    as_secondary();
    fake_vm(0)->status = VM_INCOMING;
    assert_int_equal(run("migrate_cancel web"), -EBUSY);
    assert_string_equal(call.error, "web: it is protected, expected unprotect at the machine that runs it");
    fake_protection.protection.guarded = false;
    assert_int_not_equal(run("migrate_cancel web"), -EBUSY);
}

/* Whoever may only look changes nothing, and who steers guests answers for no epoch. */
static void roles(void **state)
{
    (void)state;
    role = TOKEN_READ;
    assert_int_equal(run("vms"), 0);
    assert_int_equal(run("pause web"), -EPERM);
    assert_string_equal(call.error, "pause takes a token of the role operate, and this one is of the role read");
    assert_int_equal(run("console web"), -EPERM);
    assert_int_equal(run("resolve web query"), -EPERM);
    role = TOKEN_OPERATE;
    assert_int_equal(run("pause web"), 0);
    assert_int_equal(run("resume web"), 0);
    assert_int_equal(run("console web"), 0);
    assert_int_not_equal(run("failover web"), -EPERM);
    assert_int_equal(run("failover web 7"), -EPERM);
    assert_string_equal(call.error,
                        "failover under an epoch takes a token of the role admin, and this one is of the role operate");
    assert_int_equal(run("unprotect web 7"), -EPERM);
    assert_int_not_equal(run("resolve web query"), -EPERM);
    assert_int_equal(run("resolve web force-resume 7"), -EPERM);
    role = TOKEN_ADMIN;
    assert_int_not_equal(run("failover web 7"), -EPERM);
    assert_int_not_equal(run("resolve web force-resume 7"), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(protects, setup, command_teardown),
        cmocka_unit_test_setup_teardown(forces, setup, command_teardown),
        cmocka_unit_test_setup_teardown(shows, setup, command_teardown),
        cmocka_unit_test_setup_teardown(refers, setup, command_teardown),
        cmocka_unit_test_setup_teardown(roles, setup, command_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

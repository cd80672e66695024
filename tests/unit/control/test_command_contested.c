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
/* Commands about guests that another machine has, may have, or has a part of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm.h"
#include "tests/unit/command_rig.h"
#include "tests/unit/fake_migration.h"
#include "tests/unit/fake_vms.h"

/* Nothing acts on a contested VM but resolve; and force only with the epoch, so that nobody forces by habit. */
static void contested(void **state)
{
    (void)state;
    fake_migration.contested = SOURCE_IN_DOUBT;
    fake_migration.contested_epoch = 7;
    fake_migration.resolved = 0;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"status\":\"in-doubt\""));
    assert_int_equal(run("pause web"), -EBUSY);
    assert_int_equal(run("poweroff web"), -EBUSY);
    assert_string_equal(
        call.error,
        "web: cannot poweroff, it is in-doubt, expected created, running, paused or suspended; see resolve");
    assert_int_equal(run("resolve web force-resume"), -EINVAL);
    assert_int_equal(run("resolve web force-resume 6"), -EINVAL);
    assert_int_equal(fake_migration.resolved, 0);
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("\"destination\":\"has not answered yet\""));
    assert_int_equal(fake_migration.resolved, 0);
    fake_migration.contested_epoch = 8;
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("knows of no such move"));
    fake_migration.contested_epoch = 7;
    assert_int_equal(run("resolve web force-give-up 7"), 0);
    assert_int_equal(fake_migration.resolved, 1);
    assert_int_equal(fake_migration.resolution, RESOLUTION_FORCE_GIVE_UP);
    assert_int_equal(run("resolve web adopt 7"), -EBUSY);
    assert_string_equal(call.error,
                        "web: cannot adopt, it is in-doubt: only a prepared copy, which came from elsewhere, can be "
                        "adopted, expected abort, force-resume or force-give-up");
    assert_int_equal(run("resolve web abort"), 0);
    assert_int_equal(fake_migration.resolution, RESOLUTION_ABORT);
    assert_int_equal(run("calc-dirty-rate web"), -EBUSY);
    fake_migration.resolve = -ENOENT; /* it is over meanwhile */
    assert_int_equal(run("resolve web force-resume 7"), -EBUSY);
    assert_string_equal(call.error, "web: cannot force-resume, it is not in-doubt any more");
    fake_migration.resolve = 0;
    fake_migration.contested = SOURCE_SERVING; /* it runs elsewhere, on memory that is here */
    assert_int_equal(run("poweroff web"), -EBUSY);
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("\"destination\":\"runs it, and needs the memory that is here"));
    fake_migration.contested_epoch = 8;
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("force-resume lets it go on from where it was handed over"));
    assert_int_equal(run("resolve web force-resume"), -EINVAL);
    assert_int_equal(run("resolve web force-resume 8"), 0);
    fake_migration.contested_epoch = 7;
    fake_migration.contested = SOURCE_SUPERSEDED;
    assert_int_equal(run("resume web"), -EBUSY);
    assert_string_equal(call.error, "web: cannot resume, it is superseded, expected paused or suspended; see resolve");
    assert_int_equal(run("resolve web abort"), -EBUSY);
    assert_string_equal(call.error, "web: cannot abort, it is superseded: no move is left to abort, expected "
                                    "force-resume or force-give-up");
    assert_int_equal(run("resolve web query"), 0);
    assert_string_equal(out.buffer.text,
                        "{\"vm\":\"web\",\"status\":\"superseded\",\"epoch\":7,\"owner\":\"\",\"action\":\"query\"}");
    assert_int_equal(run("resolve web force-resume 7"), 0);
    assert_int_equal(fake_migration.resolution, RESOLUTION_FORCE_RESUME);
    fake_migration.contested = SOURCE_OWNER;
}

/* Of a guest in two halves nothing begins that needs all of its memory. */
static void missing_pages(void **state)
{
    (void)state;
    fake_vm(0)->mem.missing_pages = 300;
    assert_int_equal(run("calc-dirty-rate web"), -EBUSY);
    assert_string_equal(call.error, "web: cannot measure, pages of it are missing until its move is complete");
    fake_vm(0)->mem.missing_pages = 0;
}

/* Of a guest in two halves everybody is told that it is one, at either end, and how long it will be. */
static void two_halves(void **state)
{
    struct halves *halves = &fake_migration.halves;

    (void)state;
    *halves = (struct halves){ .here = true,
                               .peer = "10.9.0.4:4900",
                               .status = MIGRATE_POSTCOPY_ACTIVE,
                               .silent_ms = 12345,
                               .missing = 300 * 4096,
                               .ms_left = 250 };
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"reason\":\"postcopy-active: 1.1 MiB missing, at 10.9.0.4:4900, 250 ms left\","
                         "\"postcopy\":{\"status\":\"postcopy-active\",\"peer\":\"10.9.0.4:4900\","
                         "\"silent_ms\":12345,\"missing\":1228800,\"left_ms\":250}"));
    assert_int_equal(run("vm web"), 0);
    assert_true(answered("\"missing\":1228800,\"left_ms\":250}"));
    assert_int_equal(run("pull web"), 0);
    halves->ms_left = LEFT_UNASKED;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("1.1 MiB missing, at 10.9.0.4:4900, the rest when pulled\""));
    halves->status = MIGRATE_POSTCOPY_PAUSED;
    halves->ms_left = LEFT_UNKNOWN;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"postcopy-paused: 1.1 MiB missing, at 10.9.0.4:4900, not heard for 12 s: if it is lost "
                         "so are they, see reset and poweroff\""));
    halves->here = false;
    fake_migration.contested = SOURCE_SERVING;
    assert_int_equal(run("pause web"), -EBUSY);
    assert_string_equal(call.error,
                        "web: cannot pause, it is serving, expected running; it runs at 10.9.0.4:4900: see vms");
    assert_int_equal(run("vms"), 0);
    assert_true(answered("this end for 10.9.0.4:4900, not heard for 12 s: if it is lost, see resolve\""));
    halves->status = MIGRATE_POSTCOPY_RECOVER;
    halves->here = false;
    halves->ms_left = LEFT_UNKNOWN;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"postcopy-recover: 1.1 MiB missing, at this end for 10.9.0.4:4900\""));
    assert_int_equal(run("vm web"), 0);
    assert_true(answered("\"missing\":1228800}"));
    halves->lost = true;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("1.1 MiB missing, at this end for 10.9.0.4:4900, which knows it no more: see resolve\""));
    assert_int_equal(run("pause web"), -EBUSY);
    assert_string_equal(call.error, "web: cannot pause, it is serving, expected running; see resolve");
    fake_migration.contested = SOURCE_OWNER;
    halves->missing = 0;
    assert_int_equal(run("vms"), 0);
    assert_false(answered("missing"));
    assert_int_equal(run("vm web"), 0);
    assert_false(answered("postcopy"));
    assert_int_equal(run("pull web"), -EBUSY);
    assert_string_equal(call.error, "web: no pages of it are missing");
}

static void files_are_sent_after_it(void **state)
{
    (void)state;
    fake_migration.contested = SOURCE_OWNER;
    fake_migration.moves = 0;
    assert_int_equal(run("migrate-files web"), -ENOENT);
    assert_string_equal(call.error, "no move of a virtual machine 'web' from here is known");
    assert_int_equal(run("migrate web 10.9.0.4"), 0);
    assert_int_equal(run("migrate-files web stop"), -EBUSY);
    assert_string_equal(call.error, "web: no files are following it");
    assert_int_equal(run("migrate-files web"), 0);
    assert_true(answered("{\"vm\":\"web\",\"peer\":\"10.9.0.4:4900\",\"images\":\"coming\"}"));
    assert_int_equal(run("migrate-files web stop"), 0);
    assert_int_equal(run("migrate-files web later"), -EINVAL);
    fake_migration.move.stats.status = MIGRATE_FAILED;
    assert_int_equal(run("migrate-files web send"), -EBUSY);
    assert_string_equal(call.error, "web: cannot send its files after it, its last move has not brought it anywhere");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(contested, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(missing_pages, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(two_halves, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(files_are_sent_after_it, command_setup, command_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

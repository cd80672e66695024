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
/* Commands about the witness. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vm.h"
#include "tests/unit/command_rig.h"
#include "tests/unit/fake_vms.h"
#include "tests/unit/fake_witness.h"

static void the_witness(void **state)
{
    (void)state;
    memset(fake_vm(0)->identity.id, 1, VM_ID);
    assert_int_equal(run("witness"), 0);
    assert_string_equal(
        out.buffer.text,
        "{\"members\":["
        "{\"member\":\"http://192.0.2.9:2379\",\"status\":\"answers\",\"ms\":1.500,"
        "\"cluster\":\"cdf818194e3a8c32\",\"answered\":7,\"failed\":1,\"error\":\"\"},"
        "{\"member\":\"http://[fd09::9]:2379\",\"status\":\"silent\",\"ms\":0.000,\"cluster\":\"0\","
        "\"answered\":0,\"failed\":2,\"error\":\"no connection within 300 ms\"}],"
        "\"guests\":["
        "{\"name\":\"web\",\"key\":\"godwit/vm/01\",\"holds\":\"1 owner 192.0.2.2:4900\",\"read_ms_ago\":0},"
        "{\"name\":\"db\",\"key\":\"godwit/vm/00\",\"holds\":\"not known yet\",\"read_ms_ago\":0}],"
        "\"read\":5,\"swapped\":2,\"different\":1,\"unreachable\":3,\"test\":{\"status\":\"unstarted\"}}");
    assert_int_equal(run("witness-test 0"), -EINVAL);
    assert_int_equal(run("witness-test 3"), 0);
    assert_true(answered("\"test\":{\"status\":\"completed\",\"swaps\":\"3 of 3\",\"ms_least\":1.000,"
                         "\"ms_median\":1.400,\"ms_most\":9.000}"));
    assert_int_equal(run("witness-test"), -EBUSY);
    fake_witness_missing = true;
    assert_int_equal(run("witness"), -ENOTSUP);
    assert_string_equal(call.error, "there is no witness, expected a section [witness] in the configuration");
    assert_int_equal(run("witness-test"), -ENOTSUP);
    fake_witness_missing = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_witness, command_setup, command_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

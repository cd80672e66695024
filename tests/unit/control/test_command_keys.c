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
/* sources: tests/unit/fake_vms.c tests/unit/command_rig.c net/mac.c hv/guest_tsc.c */
/* Commands about keys, and who may give files of secrets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/command_rig.h"
#include "tests/unit/fake_keys.h"
#include "tests/unit/fake_tokens.h"

#define CODE(its_name, rate) "{\"code\":\"" its_name "\",\"bytes-per-second\":" rate "}"
#define CODES "\"cipher\":\"any\",\"codes\":[" CODE("any", "84") "," CODE("avx2", "57") "],"
#define SINCE "\"since\":\"2026-11-28T20:33:18.000000Z\"}"

static int setup(void **state)
{
    fake_keys = true;
    fake_keys_new = false;
    call = (struct call){ 0 };
    return command_setup(state);
}

static int teardown(void **state)
{
    fake_keys = false;
    return command_teardown(state);
}

/* Run a line with which this file has come. */
static int run_with(const char *line, const char *file)
{
    call.file = file;
    call.file_len = strlen(file);
    return run(line);
}

static void keys_are_shown(void **state)
{
    (void)state;
    role = TOKEN_READ;
    assert_int_equal(run("query-keys"), 0);
    assert_string_equal(out.buffer.text,
                        "{\"name\":\"alpha\"," CODES "\"keys\":["
                        "{\"of\":\"group\",\"id\":\"01234567\",\"use\":\"offered\"," SINCE ","
                        "{\"of\":\"group\",\"id\":\"89abcdef\",\"use\":\"accepted\"," SINCE ","
                        "{\"of\":\"beta@192.0.2.11\",\"id\":\"00112233\",\"use\":\"offered\"," SINCE "]}");
    fake_keys = false;
    assert_int_equal(run("query-keys"), 0);
    assert_string_equal(out.buffer.text, "{\"name\":\"\"," CODES "\"keys\":[]}");
}

static void keys_are_set(void **state)
{
    (void)state;
    assert_int_equal(run_with("keys-set", "wrong"), -EINVAL);
    assert_string_equal(call.error, "line 3: not a key; the file before it stays in use");
    assert_int_equal(run_with("keys-set", "right"), 0);
    assert_true(answered("{\"note\":\"until the next boot, "));
    assert_true(answered("\"id\":\"89abcdef\",\"use\":\"accepted\""));
    assert_true(fake_keys_new);
    fake_keys = false;
    assert_int_equal(run_with("keys-set", "right"), -EBUSY);
    assert_non_null(strstr(call.error, "without the section [keys]"));
}

static void a_certificate_is_set(void **state)
{
    (void)state;
    assert_int_equal(run_with("certificate-set", "wrong"), -EINVAL);
    assert_string_equal(call.error, "no certificate; the file before it stays in use");
    assert_int_equal(run_with("certificate-set", "right"), 0);
    assert_true(answered("{\"note\":\"until the next boot, "));
}

static void tokens_are_set(void **state)
{
    (void)state;
    assert_int_equal(run_with("tokens-set", "right"), -EBUSY);
    assert_non_null(strstr(call.error, "without tokens"));
    fake_secret = "secret";
    assert_int_equal(run_with("tokens-set", "wrong"), -EINVAL);
    assert_string_equal(call.error, "line 3: not a hash; the file before it stays in use");
    assert_false(fake_tokens_new);
    assert_int_equal(run_with("tokens-set", "right"), 0);
    assert_true(fake_tokens_new && answered("{\"note\":\"until the next boot, "));
    fake_tokens_new = false;
    fake_secret = "";
}

static void a_cipher_is_used(void **state)
{
    (void)state;
    assert_int_equal(run("cipher avx2"), 0);
    assert_string_equal(out.buffer.text, "{\"cipher\":\"avx2\"}");
    assert_int_equal(run("query-keys"), 0);
    assert_true(answered("\"cipher\":\"avx2\","));
    assert_int_equal(run("cipher sse2"), -EBUSY);
    assert_non_null(strstr(call.error, "this processor has no sse2"));
    assert_int_equal(run("cipher aes"), -EINVAL);
    assert_int_equal(run("cipher any"), 0);
    role = TOKEN_READ;
    assert_int_equal(run("cipher avx2"), -EPERM);
}

/* An admin alone, and nothing that has come in the clear, such as by the serial monitor. */
static void secrets_are_secret(void **state)
{
    (void)state;
    assert_int_equal(run("keys-set"), -EPERM);
    assert_string_equal(call.error,
                        "keys-set takes its file by HTTPS alone, from godwit: give this hypervisor a certificate");
    role = TOKEN_OPERATE;
    assert_int_equal(run_with("keys-set", "right"), -EPERM);
    assert_string_equal(call.error, "keys-set takes a token of the role admin, and this one is of the role operate");
    assert_false(fake_keys_new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_are_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_set, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_is_set, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens_are_set, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cipher_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_are_secret, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

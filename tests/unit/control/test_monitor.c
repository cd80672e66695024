/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_tokens.c control/tls_view.c net/tls_counters.c */
/* sources: tests/unit/fake_keys.c control/key_commands.c */
/* sources: tests/unit/fake_protection.c control/protect_commands.c */
/* sources: guest/load/vm_report.c control/trace_commands.c host/trace.c */
/* sources: control/monitor.c control/command.c control/host_commands.c control/vm_commands.c */
/* sources: config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: control/dirty_commands.c */
/* sources: control/migrate_commands.c control/migrate_query.c migrate/move.c control/net_commands.c migrate/stats.c */
/* sources: stream/wire.c */
/* sources: control/json.c control/status.c control/buffer.c control/text.c owners/handoff.c net/mac.c */
/* sources: tests/unit/stubs.c tests/unit/fake_vms.c tests/unit/fake_migration.c hv/guest_tsc.c */
/* sources: tests/unit/fake_witness.c control/witness_commands.c */
/* The serial monitor between keys from the test and a log that it reads: lines, editing, consoles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/monitor.h"
#include "host/serial.h"
#include "host/log.h"
#include "hv/vm.h"
#include "tests/unit/fake_tokens.h"
#include "tests/unit/fake_vms.h"

static const char *typed = "";
static char shown[8192];
static bool held, prompt;

bool serial_interrupt_on(void)
{
    return true;
}

int serial_read(void)
{
    return *typed ? (unsigned char)*typed++ : -1;
}

void log_raw(const char *text, size_t len)
{
    size_t at = strlen(shown);

    assert_true(at + len < sizeof(shown));
    memcpy(shown + at, text, len);
    shown[at + len] = '\0';
}

void log_hold(bool on)
{
    held = on;
}

void log_prompt(bool on)
{
    prompt = on;
}

bool log_quiet(void)
{
    return true;
}

bool log_prompt_shown(void)
{
    return prompt;
}

/* Type keys, and let the host loop turn; what is shown then, and nothing from before. */
static const char *keys(const char *text)
{
    typed = text;
    shown[0] = '\0';
    fake_host_work();
    return shown;
}

static int setup(void **state)
{
    (void)state;
    fake_vms_init();
    monitor_init(false);
    keys("\x03");
    return 0;
}

static void lines_are_edited(void **state)
{
    (void)state;
    assert_non_null(strstr(keys("pazz\b\x7fuse nobody\x15vmx\bs\r"), "\nname"));
    assert_non_null(strstr(shown, "web   running"));
    assert_non_null(strstr(keys("pause web\r\n"), "\nname    web\nstatus  paused\n"));
    assert_string_equal(shown + strlen(shown) - 8, "godwit> ");
    assert_non_null(strstr(keys("pause web\r"), "\nerror: web: cannot pause, it is paused, expected running\n"));
    assert_string_equal(keys("nonsense\x03"), "nonsense^C\n\rgodwit> ");
    assert_false(held);
}

static void a_console_is_shown_until_its_key(void **state)
{
    (void)state;
    assert_non_null(strstr(keys("console web\r"), "connected to web; Ctrl-] leaves\n"));
    assert_true(held);
    assert_string_equal(keys("abc"), "abc"); /* the guest echoes */
    assert_non_null(strstr(keys("d\x1dversion\r"), "\ndisconnected\n"));
    assert_non_null(strstr(shown, "Godwit"));
    assert_false(held);
    fake_console_send(fake_vm(0), "more", 4);
    assert_string_equal(keys(""), "");
}

/* Its VM moves away and is freed: nothing is read of it any more, and keys go to the line. */
static void a_console_ends_with_its_vm(void **state)
{
    (void)state;
    keys("console web\r");
    fake_console_send(fake_vm(0), "last words", 10);
    list_del(&fake_vm(0)->node);
    memset(fake_vm(0), 0xA5, sizeof(struct vm));
    assert_string_equal(keys("vmz"), "\nit is not here any more\ndisconnected\n\rgodwit> vmz");
    assert_non_null(strstr(keys("\bs\r"), "\ndb    paused"));
    assert_null(strstr(shown, "last words"));
    assert_false(held);
}

/* What is on its way here is not ours to type to: the bytes would be lost, or make its state differ from the source's.
 */
static void a_console_is_left_when_nobody_may_type(void **state)
{
    (void)state;
    keys("console web\r");
    assert_string_equal(keys("a"), "a");
    fake_vm(0)->status = VM_INCOMING;
    assert_string_equal(keys("bc"),
                        "\nerror: web: cannot type, it is incoming, expected running, paused, suspended or outgoing"
                        "\ndisconnected\n\rgodwit> c");
    assert_false(held);
    assert_non_null(strstr(keys("\x03"
                                "console web\r\x1d"),
                           "connected to web")); /* to read it is fine */
}

/* Nobody is heard before he has typed a token, which is not shown; then he may do what its role allows, until he
 * leaves.
 */
static void a_token_is_asked_for(void **state)
{
    (void)state;
    fake_secret = "secret";
    monitor_init(true);
    assert_string_equal(keys("vms"), "");
    assert_non_null(strstr(keys("\r"), "\nerror: that is no token of this hypervisor\n\rtoken: "));
    assert_null(strstr(shown, "web"));
    assert_string_equal(keys("operate-secret\r"), ""); /* nobody hears it */
    fake_passed_ns += 1000000000;
    assert_string_equal(keys("opp\berate-secr"), "");
    assert_string_equal(keys("et\r"), "\n\rgodwit> ");
    assert_non_null(strstr(keys("pause web\r"), "\nname    web\nstatus  paused\n"));
    assert_non_null(strstr(keys("resume web\r"), "status  running"));
    assert_non_null(strstr(keys("failover web 7\r"), "takes a token of the role admin"));
    assert_string_equal(keys("vms\x04"), "vms\n\rtoken: ");
    assert_string_equal(keys("read-secret\r"), "\n\rgodwit> ");
    assert_non_null(strstr(keys("pause web\r"), "takes a token of the role operate"));
    assert_non_null(strstr(keys("vms\r"), "web   running"));
    monitor_init(false);
    assert_string_equal(keys("\x04"), "\n\rgodwit> ");
}

/* Who leaves without a word is logged out after ten minutes, also from a console; and at once when the token is one no
 * more. What is typed then is no command. */
static void who_is_gone_is_logged_out(void **state)
{
    (void)state;
    fake_secret = "secret";
    monitor_init(true);
    keys("\x03operate-secret\r");
    fake_passed_ns += 599000000000;
    assert_string_equal(keys(""), "");
    assert_string_equal(keys("v"), "v");
    fake_passed_ns += 599000000000;
    assert_string_equal(keys("m"), "m");
    fake_passed_ns += 601000000000;
    assert_string_equal(keys(""), "\n\rtoken: ");
    assert_null(strstr(keys("vms\r"), "web"));
    fake_passed_ns += 1000000000;
    keys("operate-secret\rconsole web\r");
    assert_string_equal(keys("a"), "a");
    fake_passed_ns += 601000000000;
    assert_string_equal(keys(""), "\ndisconnected\n\rtoken: ");
    assert_false(held);
    keys("operate-secret\rconsole web\r");
    assert_string_equal(keys("a"), "a");
    fake_tokens_new = true;
    assert_string_equal(keys("b"), "\ndisconnected\n\rtoken: ");
    keys("\x03"
         "secret\r");
    assert_non_null(strstr(keys("vms\r"), "web   running"));
    fake_tokens_new = false;
    monitor_init(false);
    fake_passed_ns += 601000000000;
    assert_string_equal(keys(""), "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_are_edited, setup),
        cmocka_unit_test_setup(a_console_is_shown_until_its_key, setup),
        cmocka_unit_test_setup(a_console_is_left_when_nobody_may_type, setup),
        cmocka_unit_test_setup(a_console_ends_with_its_vm, setup),
        cmocka_unit_test_setup(a_token_is_asked_for, setup),
        cmocka_unit_test_setup(who_is_gone_is_logged_out, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

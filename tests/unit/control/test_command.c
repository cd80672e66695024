/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: tests/unit/fake_protection.c control/protect_commands.c control/tls_view.c net/tls_counters.c */
/* sources: guest/load/vm_report.c config/config.c config/config_check.c config/config_keys.c config/netaddr.c */
/* sources: control/trace_commands.c host/trace.c */
/* sources: control/migrate_commands.c control/migrate_query.c migrate/move.c migrate/stats.c owners/handoff.c */
/* sources: stream/wire.c */
/* sources: tests/unit/fake_tokens.c tests/unit/fake_migration.c tests/unit/fake_witness.c control/witness_commands.c */
/* sources: tests/unit/fake_keys.c control/key_commands.c control/dirty_commands.c */
/* sources: control/command.c control/host_commands.c control/vm_commands.c control/net_commands.c */
/* sources: control/json.c control/status.c control/buffer.c control/text.c tests/unit/stubs.c */
/* sources: tests/unit/fake_vms.c tests/unit/command_rig.c net/mac.c */
/* sources: hv/guest_tsc.c */
/* The command table and its arguments; JSON as it is written; and the text that is made of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/platform.h"
#include "host/cpu.h"
#include "hv/vm.h"
#include "tests/unit/command_rig.h"
#include "stream/vm_history.h"
#include "tests/unit/fake_migration.h"
#include "tests/unit/fake_vms.h"

/* The command shows these events, each as "EVENT RIP ". */
static void expect_trace(const char *line, const char *expected)
{
    char shown[512] = "";

    assert_int_equal(run(line), 0);
    for (const char *at = out.buffer.text; (at = strstr(at, "\"event\":")); at++) {
        char event[32], rip[32];

        assert_int_equal(sscanf(at, "\"event\":\"%31[^\"]\",\"rip\":\"%31[^\"]", event, rip), 2);
        snprintf(shown + strlen(shown), sizeof(shown) - strlen(shown), "%s %s ", event, rip);
    }
    assert_string_equal(shown, expected);
}

static void every_command_is_told_and_runs(void **state)
{
    size_t count;
    const struct command *table = command_table(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        char line[COMMAND_LINE] = "";
        char usage[80];

        command_usage(&table[i], usage, sizeof(usage));
        assert_non_null(table[i].run);
        assert_non_null(table[i].help);
        assert_ptr_equal(command_find(table[i].name), &table[i]);
        if (table[i].changes)
            continue;
        strcat(line, table[i].name);
        strcat(line, table[i].arg[0].type == ARG_VM ? " web" : "");
        assert_int_equal(run(line), 0);
        assert_int_equal(out.buffer.text[out.buffer.len - 1], '}');
    }
}

static void errors(void **state)
{
    static const struct {
        const char *line, *error;
        int err;
    } wrong[] = {
        { "", "no command '', see help", -ENOENT },
        { "nonsense x", "no command 'nonsense', see help", -ENOENT },
        { "help nonsense", "no command 'nonsense', see help", -ENOENT },
        { "pause", "vm is missing, expected: pause VM", -EINVAL },
        { "pause web db", "'db' is one argument too many, expected: pause VM", -EINVAL },
        { "vms 1 2 3 4 5 6", "'1' is one argument too many, expected: vms", -EINVAL },
        { "vm nobody", "no virtual machine 'nobody', there are: web, db", -ENOENT },
        { "log 257", "count: '257' is wrong, expected a number from 1 to 256", -EINVAL },
        { "log 99999999999999999999999", "count: '99999999999999999999999' is wrong, expected a number from 1 to 256",
          -EINVAL },
        { "log -1", "count: '-1' is wrong, expected a number from 1 to 256", -EINVAL },
        { "log 1 loud", "level: 'loud' is wrong, expected err, warn, info or debug", -EINVAL },
        { "pause db", "db: cannot pause, it is paused, expected running", -EBUSY },
        { "resume web", "web: cannot resume, it is running, expected paused or suspended", -EBUSY },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(run(wrong[i].line), wrong[i].err);
        assert_string_equal(call.error, wrong[i].error);
    }
}

/* The events of both processors by time, without those of others; of one guest only, filtered, and the last ones. */
static void traces(void **state)
{
    const struct vm *web = fake_vm(0);

    (void)state;
    fake_trace(0, 1000, "turn", web, 0x10);
    fake_trace(1, 2000, "cpuid", web, 0x20);
    fake_trace(1, 3000, "cpuid", fake_vm(1), 0x30);
    fake_trace(1, 4000, "irq", NULL, 0xEC);
    fake_trace(0, 5000, "io", web, 0x40);
    fake_trace(1, 6000, "cpuid", web, 0x50);
    expect_trace("trace web", "turn 0x10 cpuid 0x20 io 0x40 cpuid 0x50 ");
    expect_trace("trace web all 2", "io 0x40 cpuid 0x50 ");
    expect_trace("trace web cpuid", "cpuid 0x20 cpuid 0x50 ");
    expect_trace("trace web io,turn", "turn 0x10 io 0x40 ");
    expect_trace("trace web cpuid 1", "cpuid 0x50 ");
    expect_trace("trace db", "cpuid 0x30 ");
    for (unsigned i = 0; i < 3 * TRACE_EVENTS; i++)
        fake_trace(0, 7000 + i, "io", web, ~0ULL - i);
    assert_int_equal(run("trace web all 1000"), 0); /* as long as an answer gets */
    expect_trace("trace db", "cpuid 0x30 ");
}

static void trace_errors(void **state)
{
    static const char *const wrong[] = { "cpu", "cpuids", "irq", "cpuid,", ",cpuid", "cpuid,all", "," };
    static const char *const words[] = { "cpu", "cpuids", "irq", "", "", "all", "" };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char line[COMMAND_LINE], expected[COMMAND_LINE];

        snprintf(line, sizeof(line), "trace web %s", wrong[i]);
        snprintf(expected, sizeof(expected), "kinds: '%s' is wrong, expected all, turn, exit0, ", words[i]);
        assert_int_equal(run(line), -EINVAL);
        assert_memory_equal(call.error, expected, strlen(expected));
    }
    assert_int_equal(run("trace web all 1001"), -EINVAL);
    assert_string_equal(call.error, "count: '1001' is wrong, expected a number from 1 to 1000");
}

static void actions(void **state)
{
    struct vm_history history = { .moves = HISTORY_MOVES + 1 };

    (void)state;
    for (unsigned i = 1; i < HISTORY_MOVES; i++)
        history.move[i] = (struct history_move){ .mode = HISTORY_COLD, .from = "10.9.0.7:4900" };
    history.move[0] =
        (struct history_move){ .mode = HISTORY_COLD, .from = "10.9.0.9:4900", .epoch = 7, .stood = 4000000 };
    assert_int_equal(run("  pause\t web  "), 0);
    assert_string_equal(out.buffer.text, "{\"name\":\"web\",\"status\":\"paused\",\"epoch\":3}");
    assert_int_equal(fake_vm(0)->status, VM_PAUSED);
    assert_int_equal(run("power-button web"), 0);
    assert_int_equal(platform_of(fake_vm(0))->pm.status, PM1_POWER_BUTTON);
    assert_int_equal(run("suspend web"), -EBUSY);
    assert_int_equal(run("shutdown db"), -EBUSY);
    assert_string_equal(call.error, "db: cannot shutdown, it is paused, expected running");
    assert_int_equal(run("resume web"), 0);
    platform_of(fake_vm(0))->pm.status = 0;
    assert_int_equal(run("suspend web"), 0);
    assert_int_equal(platform_of(fake_vm(0))->pm.status, PM1_SLEEP_BUTTON);
    fake_vm(0)->asleep = true;
    assert_int_equal(run("shutdown web"), -EBUSY);
    assert_string_equal(call.error, "web: cannot shutdown, it is suspended, expected running");
    assert_int_equal(run("resume web"), 0);
    assert_int_equal(platform_of(fake_vm(0))->pm.status, PM1_SLEEP_BUTTON | PM1_POWER_BUTTON);
    fake_vm(0)->asleep = false;
    fake_vm(0)->history = &history;
    assert_int_equal(run("vm web"), 0);
    assert_non_null(
        strstr(out.buffer.text, "\"from\":\"10.9.0.9:4900\",\"epoch\":7,\"mode\":\"cold\",\"stood_ms\":4.000"));
    fake_vm(0)->history = NULL;
    assert_int_equal(run("shutdown web 0"), -EINVAL);
    assert_int_equal(run("shutdown web 5 soon"), -EINVAL);
    assert_string_equal(call.error, "late: 'soon' is wrong, expected one of leave, force");
    assert_int_equal(run("shutdown web"), 0);
    assert_string_equal(out.buffer.text, "{\"timeout\":90,\"name\":\"web\",\"status\":\"running\",\"epoch\":3}");
    assert_false(platform_of(fake_vm(0))->shutdown.force);
    assert_int_equal(run("shutdown web 5 force"), 0);
    assert_int_equal(platform_of(fake_vm(0))->shutdown.timeout, 5);
    assert_true(platform_of(fake_vm(0))->shutdown.force);
    assert_int_equal(run("vm web"), 0);
    assert_non_null(strstr(out.buffer.text, "\"shutdown\":{\"state\":\"asked\",\"timeout\":5,\"force\":true,\"ms\":"));
    assert_int_equal(run("poweroff db"), 0);
    assert_int_equal(fake_vm(1)->status, VM_OFF);
    assert_int_equal(run("poweroff db"), -EBUSY);
}

/* In which states of its VM each command makes sense, said here once more: c r p f d a o h i (enum vm_status), then g
 * for outgoing, I for in doubt, V for serving, S for superseded and z for suspended. In any other it is refused, and
 * nothing has changed. */
static void commands_make_sense_in_their_states(void **state)
{
    static const char letters[] = "crpfdaohigIVSz";
    static const struct {
        const char *line, *states;
    } commands[] = {
        { "pause web", "r" },
        { "resume web", "az" },
        { "reset web", "raz" },
        { "power-button web", "raz" },
        { "shutdown web", "r" },
        { "suspend web", "r" },
        { "poweroff web", "craz" },
        { "migrate web 10.9.0.4", "raz" },
        { "migrate-check web 10.9.0.4", "raz" },
        { "migrate_cancel web", "crpfdaohigIz" },
        { "resolve web query", "IVS" },
        { "pull web", "raVz" },
        { "migrate-start-postcopy web", "raz" },
        { "calc-dirty-rate web", "r" },
        { "dirty-trace web 100 10", "r" },
        { "start web", "cpfdoh" },
        { "forget web", "cpfdoh" },
        { "vm web", letters },
        { "console web", letters },
        { "query-dirty-rate web", letters },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        for (unsigned status = 0; letters[status]; status++) {
            bool sense = strchr(commands[i].states, letters[status]);

            fake_vms_init();
            fake_migration.moves = 0;
            fake_migration.outgoing = letters[status] == 'g';
            fake_migration.contested = letters[status] == 'I'   ? SOURCE_IN_DOUBT
                                       : letters[status] == 'V' ? SOURCE_SERVING
                                       : letters[status] == 'S' ? SOURCE_SUPERSEDED
                                                                : SOURCE_OWNER;
            fake_vm(0)->status = status <= VM_INCOMING ? (enum vm_status)status : VM_RUNNING;
            fake_vm(0)->asleep = letters[status] == 'z';
            fake_migration.cancel = 0;
            run(commands[i].line);
            assert_int_equal(sense, !strstr(call.error, ", it is "));
            if (!sense)
                assert_int_equal(fake_vm(0)->status, status <= VM_INCOMING ? status : (unsigned)VM_RUNNING);
        }
    }
    fake_migration.moves = 0;
    fake_migration.outgoing = false;
    fake_migration.contested = SOURCE_OWNER;
    fake_vm(0)->status = VM_INCOMING;
    assert_int_equal(run("reset web"), -EBUSY);
    assert_string_equal(call.error, "web: cannot reset, it is incoming, expected running, paused or suspended");
    assert_int_equal(fake_vm(0)->resets, 0);
    assert_int_equal(run("console web"), 0);
    assert_int_equal(command_check(&call, fake_vm(0)), -EBUSY);
    assert_string_equal(call.error,
                        "web: cannot type, it is incoming, expected running, paused, suspended or outgoing");
    assert_int_equal(command_check(&call, fake_vm(1)), 0);
}

/* No state is final before the operator says so: what has ended starts again, what is not wanted any more goes. */
static void lives(void **state)
{
    (void)state;
    assert_int_equal(run("poweroff web"), 0);
    assert_int_equal(run("start web nonsense"), -EINVAL);
    assert_string_equal(call.error, "web: cannot start, no nonsense here");
    assert_int_equal(run("start web kernel"), 0);
    assert_string_equal(out.buffer.text, "{\"name\":\"web\",\"status\":\"running\",\"epoch\":3}");
    assert_int_equal(fake_vm(0)->image.kernel.size, 2);
    fake_vm(0)->status = VM_CRASHED;
    fake_vm(0)->image.kernel.data = NULL;
    assert_int_equal(run("start web"), -EBUSY);
    assert_string_equal(call.error,
                        "web: cannot start, its files are elsewhere, expected it in images of [migration], or "
                        "named here");
    fake_migration.busy = true;
    assert_int_equal(run("forget web"), -EBUSY);
    assert_int_equal(run("start web kernel"), -EBUSY);
    assert_int_equal(fake_vm(0)->image.kernel.data, 0);
    fake_migration.busy = false;
    assert_int_equal(run("forget web"), 0);
    assert_int_equal(run("vm web"), -ENOENT);
    assert_int_equal(run("create web kernel=kernel,memory=5"), -EINVAL);
    assert_non_null(strstr(call.error, "memory: \"5\" is wrong, expected a size from 1M to 64G"));
    assert_int_equal(run("create web memory=16M"), -EINVAL);
    assert_int_equal(run("create web kernel=other"), -EINVAL);
    assert_string_equal(call.error, "web: cannot create, no other here");
    assert_int_equal(run("create db kernel=kernel"), -EBUSY);
    assert_string_equal(call.error, "db: a VM of that name is here already, it is paused");
    assert_int_equal(run("create web kernel=kernel,memory=16M,cmdline=a=1,b"), 0);
    assert_string_equal(out.buffer.text, "{\"name\":\"web\",\"status\":\"created\",\"epoch\":3}");
    fake_migration.judged = true; /* by the witness: it says later whether the guest may start */
    assert_int_equal(run("start web"), 0);
    assert_non_null(strstr(out.buffer.text, "\"status\":\"elsewhere\""));
    fake_migration.judged = false;
    vm_find("web")->elsewhere = 0;
    assert_int_equal(run("start web"), 0);
    assert_int_equal(run("create more kernel=kernel\n[net]\naddress=dhcp"), -EINVAL);
}

/* What the switch, a guest's card and its dirty log have counted. */
static void counters(void **state)
{
    (void)state;
    assert_int_equal(run("net"), 0);
    assert_true(answered("\"forwarded\":3,\"flooded\":0,\"unforwarded\":2,"));
    assert_true(answered("\"tx_dropped\":0,\"held\":4,\"late\":0,\"late_twice\":0,\"copied_bytes\":500}"));
    assert_true(answered("\"mac_conflicts\":5,\"address_conflicts\":6,"));
    assert_true(answered("\"syslog\":{\"server\":\"10.9.0.1:514\",\"reachable\":true,\"sent\":7,"
                         "\"lost\":8,\"waiting\":9}"));
    assert_int_equal(run("vm web"), 0);
    assert_true(answered("\"network\":{\"filtered\":8,\"malformed\":0,\"announces\":9}"));
    assert_true(answered("\"tsc\":{\"khz\":2400000,\"khz_here\":2400000,\"scaled\":true}"));
    assert_true(answered("\"dirty_log\":{\"producer\":\"off\",\"harvests\":2,"));
    assert_true(answered("\"by_fault\":5,\"by_dbit\":7,\"by_pml\":6,\"by_hypervisor\":0,"));
}

/* A guest has gone, and nothing, a check of its way back, or itself came later: where it went is said until it came. */
static void it_is_said_where_it_went(void)
{
    struct incoming *in = (struct incoming *)&migration_dest()->incoming[0];

    strcpy(fake_migration.move.name, "gone");
    for (unsigned i = 0; i < 3; i++) {
        *in = (struct incoming){ .used = i > 0, .name = "gone", .stats = { .began = 1, .released = i == 2 ? 2 : 0 } };
        assert_int_equal(run("vm gone"), -ENOENT);
        assert_string_equal(call.error,
                            i == 2 ? "no virtual machine 'gone', there are: web, db"
                                   : "no virtual machine 'gone', it has moved to 10.9.0.4:4900; there are: web, db");
    }
    strcpy(fake_migration.move.name, "web");
}

/* Another machine of the same name, of a younger epoch than the one that left. */
static void later_one_comes(void)
{
    struct incoming *in = (struct incoming *)&migration_dest()->incoming[0];

    fake_migration.move.stats.epoch = 60;
    *in = (struct incoming){ .used = true, .name = "web", .handoff.epoch = 2 };
    in->stats.began = fake_migration.move.began + 1;
}

static void moves(void **state)
{
    static const struct {
        const char *line, *error;
    } wrong[] = {
        { "migrate web", "dest is missing, expected: migrate VM DEST [OPTIONS]" },
        { "migrate web 10.9", "dest: '10.9' is wrong, expected another machine's address, such as 192.0.2.1, "
                              "192.0.2.1:4900 or [2001:db8::1]:4900" },
        { "migrate web 10.9.0.4 fast",
          "options: 'fast' is wrong, expected live, stop-copy, post-copy, hybrid, demand, cold or auto; verify, "
          "with-images; of cold: stopped, force, timeout=S (1 to 3600)" },
        { "migrate web 10.9.0.4 cold,timeout=0", "options: 'timeout=0' is wrong, expected live, " },
        { "migrate web 10.9.0.4 cold,timeout=3601", "options: 'timeout=3601' is wrong, expected live, " },
        { "migrate web 10.9.0.4 cold,timeout=1x", "options: 'timeout=1x' is wrong, expected live, " },
        { "migrate web 10.9.0.4 live,force", "options: stopped, force and timeout are for mode cold" },
        { "migrate web 10.9.0.4 cold,with-images", "options: in mode cold the images come in any case" },
        { "migrate web 10.9.0.4 cold,verify", "options: verify compares all memory before the guest is let go" },
        { "migrate db 10.9.0.4 cold", "db: cannot migrate cold, it is paused and can't shut down, expected running" },
        { "migrate web 10.9.0.4 verify,hybrid",
          "options: verify compares all memory before the guest is let go, which hybrid does not, expected one" },
        { "pull web", "web: no pages of it are missing" },
        { "migrate web 10.9.0.4 live,stop-copy", "options: these modes contradict each other, expected one of them" },
        { "migrate web 10.9.0.4 stop-copy,verify,live", "options: these modes contradict" },
        { "migrate-set-parameters speed 1", "speed: unknown key, expected downtime-limit, " },
        { "migrate-set-parameters port 4901", "port: unknown key, expected downtime-limit, " },
        { "migrate-set-parameters downtime-limit 0",
          "downtime-limit: \"0\" is wrong, expected milliseconds from 1 to 60000" },
        { "migrate-set-parameters dirty-log off",
          "dirty-log: \"off\" is wrong, expected auto, write-protect, dbit or pml" },
        { "resolve web query",
          "web: cannot resolve, it is running, expected in-doubt, serving, superseded, prepared or elsewhere" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_not_equal(run(wrong[i].line), 0);
        assert_memory_equal(call.error, wrong[i].error, strlen(wrong[i].error));
    }
    fake_vm(0)->status = VM_CREATED; /* it is started as soon as nobody else has it: it can't leave meanwhile */
    fake_migration.asking = true;
    assert_int_equal(run("migrate web 10.9.0.4 cold"), -EBUSY);
    assert_string_equal(call.error, "web: cannot migrate yet, other hypervisors are being asked who has it");
    fake_migration.asking = false;
    assert_int_equal(run("migrate-check web 10.9.0.4"), -EBUSY);
    assert_int_equal(run("migrate-check web 10.9.0.4 cold"), 0);
    fake_migration.moves = 0;
    assert_int_equal(run("migrate web 10.9.0.4 cold"), 0);
    fake_vm(0)->status = VM_RUNNING;
    assert_int_equal(run("migrate-set-parameters speed 1"), -EINVAL);
    assert_non_null(strstr(call.error, "announce-rounds or announce-step"));
    fake_migration.moves = 0;
    assert_int_equal(run("query-migrate web"), -ENOENT);
    assert_int_equal(run("migrate web 10.9.0.4 stop-copy,verify"), 0);
    assert_string_equal(out.buffer.text,
                        "{\"vm\":\"web\",\"peer\":\"10.9.0.4:4900\",\"status\":\"setup\",\"epoch\":2}");
    assert_true(fake_migration.move.request.mode == MODE_STOP_COPY && fake_migration.move.request.verify);
    fake_migration.moves = 0;
    assert_int_equal(run("migrate-check web 10.9.0.4 hybrid"), 0);
    assert_true(fake_migration.move.request.mode == MODE_HYBRID && fake_migration.move.request.check);
    assert_int_equal(run("migrate-check web 10.9.0.4 fast"), -EINVAL);
    fake_migration.moves = 0;
    assert_int_equal(run("migrate web 10.9.0.4 stop-copy,verify"), 0);
    assert_int_equal(run("query-migrate web"), 0);
    assert_true(answered("\"mode\":\"stop-copy\",\"status\":\"completed\""));
    assert_true(answered("\"total-time\":1234.567,\"downtime\":12.345"));
    assert_true(answered("\"rounds\":[{\"pages\":100,\"zero\":0,\"dirtied\":0,"));
    assert_true(answered("\"dirty-log\":{\"by-fault\":2,\"by-dbit\":30,\"by-pml\":0,"
                         "\"by-hypervisor\":1,\"harvested\":33,\"scanned-regions\":4,"));
    it_is_said_where_it_went();
    later_one_comes();
    assert_int_equal(run("query-migrate web"), 0);
    assert_true(answered("\"handoff\":"));
    assert_int_equal(run("migrate db 10.9.0.4"), -EBUSY);
    assert_int_equal(run("migrate-set-parameters max-bandwidth 5000000000"), 0);
    assert_int_equal(migration_settings()->max_bandwidth, 5000000000);
    assert_int_equal(fake_migration.limits_changed, 1);
    assert_int_equal(run("migrate-set-parameters max-bandwidth 3M"), 0);
    assert_int_equal(migration_settings()->max_bandwidth, 3 << 20);
    assert_true(answered("\"max-bandwidth\":3145728,"));
    assert_int_equal(run("migrate-set-parameters on-stall abort"), 0);
    assert_int_equal(migration_settings()->on_stall, CONFIG_STALL_ABORT);
    assert_true(answered("\"on-stall\":\"abort\","));
}

static void peers_are_shown(void **state)
{
    (void)state;
    assert_int_equal(run("query-peers"), 0);
    assert_string_equal(
        out.buffer.text,
        "{\"peers\":["
        "{\"peer\":\"192.0.2.2:4900\",\"status\":\"this\",\"answer-time\":0.000,\"claims\":0,\"found\":\"\"},"
        "{\"peer\":\"192.0.2.3:4900\",\"status\":\"answered\",\"answer-time\":2.500,\"claims\":1,"
        "\"found\":\"runs web, epoch 3\"},"
        "{\"peer\":\"192.0.2.4:4901\",\"status\":\"silent\",\"answer-time\":0.000,\"claims\":0,"
        "\"found\":\"\"}]}");
}

static void net_tests(void **state)
{
    (void)state;
    assert_int_equal(run("query-net-test"), 0);
    assert_string_equal(out.buffer.text, "{\"status\":\"unstarted\"}");
    assert_int_equal(run("net-test 10.9"), -EINVAL);
    assert_string_equal(call.error, "dest: '10.9' is wrong, expected another machine's address, such as 192.0.2.1 or "
                                    "2001:db8::1");
    assert_int_equal(run("net-test 10.9.0.4 0"), -EINVAL);
    assert_int_equal(run("net-test 10.9.0.4 16"), 0);
    assert_string_equal(out.buffer.text, "{\"status\":\"completed\",\"peer\":\"10.9.0.4:9\",\"bytes\":16777216,"
                                         "\"total-time\":250.000,\"mbps\":536.870}");
    assert_int_equal(run("net-test 10.9.0.4"), -EBUSY);
    assert_string_equal(call.error, "a test is under way, see query-net-test");
}

/* What came whole and was never told to run: taken over, or given up, by who repeats its epoch. */
static void prepared(void **state)
{
    (void)state;
    fake_migration.stranded_epoch = 9;
    fake_migration.resolved = 0;
    fake_vm(0)->status = VM_INCOMING;
    assert_int_equal(run("vms"), 0);
    assert_true(answered("\"status\":\"prepared\""));
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("\"epoch\":9,\"source\":\"has not said COMMIT: adopt the guest only if "));
    assert_int_equal(run("resolve web force-resume 9"), -EBUSY);
    assert_string_equal(call.error,
                        "web: cannot force-resume, it is prepared: it has never run here, expected adopt or "
                        "force-give-up");
    assert_int_equal(run("resolve web abort"), -EBUSY);
    assert_string_equal(call.error, "web: cannot abort, it is prepared: its source has the move, and nobody here can "
                                    "abort it, expected adopt or force-give-up");
    assert_int_equal(run("resolve web adopt"), -EINVAL);
    assert_string_equal(call.error, "web: adopt is for who knows what the other machine does, and never undone: repeat "
                                    "the epoch, 9, to confirm");
    assert_int_equal(fake_migration.resolved, 0);
    assert_int_equal(run("resolve web adopt 9"), 0);
    assert_true(fake_migration.adopted && fake_migration.resolved == 1);
    assert_int_equal(run("resolve web force-give-up 9"), 0);
    assert_true(!fake_migration.adopted && fake_migration.resolved == 2);
    fake_migration.split = true; /* it came by post-copy, and never was whole */
    assert_int_equal(run("resolve web query"), 0);
    assert_true(answered("has not said COMMIT, and has pages that are not here"));
    assert_int_equal(run("resolve web adopt 9"), -EBUSY);
    assert_string_equal(call.error, "web: cannot adopt, it is prepared: pages of it are at its source alone "
                                    "(post-copy), expected force-give-up");
    assert_int_equal(fake_migration.resolved, 2);
    fake_migration.split = false;
    fake_migration.stranded_epoch = 0;
}

static void log_counts_lines_of_a_level(void **state)
{
    (void)state;
    assert_int_equal(run("log 2"), 0);
    assert_string_equal(
        out.buffer.text,
        "{\"lines\":[{\"seq\":3,\"time\":\"2026-11-28T20:33:18.003000Z\",\"level\":\"warn\",\"text\":\"line 3\"},"
        "{\"seq\":4,\"time\":\"2026-11-28T20:33:18.004000Z\",\"level\":\"info\",\"text\":\"line 4\"}],"
        "\"next\":5}");
    assert_int_equal(run("log 10 warn"), 0);
    assert_false(answered("line 2"));
    assert_true(answered("\"seq\":1,"));
    assert_true(answered("\"seq\":3,"));
    assert_int_equal(run("log 1 err"), 0);
    assert_string_equal(out.buffer.text, "{\"lines\":[],\"next\":5}");
}

static void log_goes_on_since(void **state)
{
    (void)state;
    assert_int_equal(run("log 2 info 1"), 0); /* its first two from there on, not its last two */
    assert_true(answered("\"seq\":2,"));
    assert_true(answered("],\"next\":3}"));
    assert_false(call.no_news);
    assert_int_equal(run("log 1 debug 3"), 0);
    assert_true(answered("],\"next\":4}"));
    assert_int_equal(run("log 9 debug 5"), 0);
    assert_string_equal(out.buffer.text, "{\"lines\":[],\"next\":5}");
    assert_true(call.no_news);
    assert_int_equal(run("log 9 debug 77"), 0); /* of another boot: what is there is to be asked for */
    assert_string_equal(out.buffer.text, "{\"lines\":[],\"next\":5}");
}

static void json_escapes(void **state)
{
    (void)state;
    json_object(&out, NULL);
    json_bytes(&out, "a\"b", "\0\n\\\xff", 4);
    json_bool(&out, "t", true);
    json_array(&out, "e");
    json_close(&out);
    json_number(&out, "n", ~0ULL);
    json_close(&out);
    assert_string_equal(out.buffer.text,
                        "{\"a\\\"b\":\"\\u0000\\u000a\\\\\\u00ff\",\"t\":true,\"e\":[],\"n\":18446744073709551615}");
}

static void json_has_a_limit(void **state)
{
    static char big[BUFFER_MAX];

    (void)state;
    memset(big, 'x', sizeof(big));
    json_bytes(&out, NULL, big, sizeof(big));
    assert_true(out.buffer.failed);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_command_is_told_and_runs, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(errors, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(traces, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(trace_errors, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(actions, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(commands_make_sense_in_their_states, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(lives, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(counters, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(moves, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(peers_are_shown, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(net_tests, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(prepared, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(log_counts_lines_of_a_level, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(log_goes_on_since, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(json_escapes, command_setup, command_teardown),
        cmocka_unit_test_setup_teardown(json_has_a_limit, command_setup, command_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

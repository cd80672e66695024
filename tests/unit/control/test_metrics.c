/* SPDX-License-Identifier: BSD-2-Clause */
/* sources: control/tls_view.c net/tls_counters.c control/json.c */
/* sources: tests/unit/fake_protection.c tests/unit/fake_keys.c */
/* sources: guest/load/vm_report.c */
/* sources: control/metrics.c control/status.c control/buffer.c migrate/stats.c tests/unit/fake_migration.c */
/* sources: tests/unit/stubs.c tests/unit/fake_vms.c tests/unit/fake_witness.c hv/guest_tsc.c */
/* The metrics: their text's form, and what they say of VMs, of dirty logs and of the switch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/buffer.h"
#include "control/metrics.h"
#include "net/tls_counters.h"
#include "hv/vm.h"
#include "tests/unit/fake_migration.h"
#include "tests/unit/fake_vms.h"

static struct buffer out;

static int setup(void **state)
{
    (void)state;
    fake_vms_init();
    fake_migration.contested = SOURCE_OWNER;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buffer_fini(&out);
    return 0;
}

/* Write all metrics anew and look for a whole line. */
static bool says(const char *line)
{
    char wanted[160] = "\n";

    strcat(wanted, line);
    strcat(wanted, "\n");
    buffer_fini(&out);
    out = (struct buffer){ .failed = false };
    metrics_write(&out);
    assert_false(out.failed);
    return strstr(out.text, wanted);
}

/* Each metric has one head, and its samples stand together behind it. */
static void samples_follow_their_heads(void **state)
{
    char name[80] = "", seen[96][80];
    unsigned heads = 0;
    bool histogram = false;

    (void)state;
    assert_true(says("# TYPE godwit_vm_status gauge"));
    for (char *line = strtok(out.text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t len = strcspn(line, "{ ");

        if (!strncmp(line, "# TYPE ", 7))
            histogram = strstr(line, " histogram");
        if (strncmp(line, "# HELP ", 7) != 0) {
            assert_true(line[0] == '#' || (!strncmp(line, name, strlen(name)) && (histogram || strlen(name) == len)));
            continue;
        }
        len = strcspn(line + 7, " ");
        assert_true(len < sizeof(name) && heads < 96);
        memcpy(name, line + 7, len);
        name[len] = '\0';
        for (unsigned i = 0; i < heads; i++)
            assert_string_not_equal(seen[i], name);
        strcpy(seen[heads++], name);
    }
    assert_in_range(heads, 30, 96);
}

static void status(void **state)
{
    (void)state;
    assert_true(says("godwit_vm_status{vm=\"web\",status=\"running\"} 1"));
    assert_true(says("godwit_vm_status{vm=\"web\",status=\"incoming\"} 0"));
    fake_vm(1)->status = VM_INCOMING;
    assert_true(says("godwit_vm_status{vm=\"db\",status=\"incoming\"} 1"));
    assert_true(says("godwit_vm_status{vm=\"db\",status=\"paused\"} 0"));
    assert_true(says("godwit_vm_status{vm=\"db\",status=\"in-doubt\"} 0"));
    fake_migration.contested = SOURCE_IN_DOUBT;
    assert_true(says("godwit_vm_status{vm=\"web\",status=\"running\"} 0"));
    assert_true(says("godwit_vm_status{vm=\"web\",status=\"in-doubt\"} 1"));
    assert_true(says("godwit_vm_status{vm=\"web\",status=\"superseded\"} 0"));
}

static void counters(void **state)
{
    (void)state;
    assert_true(says("godwit_vm_dirty_harvests_total{vm=\"web\"} 2"));
    assert_true(says("godwit_vm_dirty_pages_total{vm=\"web\",producer=\"fault\"} 5"));
    assert_true(says("godwit_vm_dirty_pages_total{vm=\"db\",producer=\"dbit\"} 7"));
    assert_true(says("godwit_vm_net_filtered_frames_total{vm=\"web\"} 8"));
    assert_true(says("godwit_vm_net_announces_total{vm=\"web\"} 9"));
    assert_true(says("godwit_switch_frames_total{decision=\"unforwarded\"} 2"));
    tls_counters = (struct tls_counters){ .with[TLS_WITH_PEERS] = { .completed = 3, .worked = 1002003004 },
                                          .with[TLS_WITH_CLIENTS] = { .completed = 7, .active = 2, .received = 5 },
                                          .fault[TLS_NO_KEYS] = 4 };
    assert_true(says("godwit_tls_handshakes_total{with=\"peers\"} 3"));
    assert_true(says("godwit_tls_handshakes_total{with=\"clients\"} 7"));
    assert_true(says("godwit_tls_handshakes_active{with=\"clients\"} 2"));
    assert_true(says("godwit_tls_handshake_seconds_total{with=\"peers\"} 1.002003004"));
    assert_true(says("godwit_tls_faults_total{reason=\"no-keys\"} 4"));
    assert_true(says("godwit_tls_bytes_total{with=\"clients\",direction=\"sent\"} 0"));
    assert_true(says("godwit_tls_cipher_bytes_per_second{code=\"any\"} 84"));
    assert_true(says("godwit_tls_bytes_total{with=\"clients\",direction=\"received\"} 5"));
    assert_true(says("godwit_net_conflicts_total{of=\"mac\"} 5"));
    assert_true(says("godwit_net_conflicts_total{of=\"address\"} 6"));
    assert_true(says("godwit_port_held_frames_total{port=\"uplink\"} 4"));
    assert_true(says("godwit_port_late_frames_total{port=\"uplink\"} 0"));
    assert_true(says("godwit_migrations_mode_total{role=\"source\",mode=\"hybrid\"} 3"));
    assert_true(says("godwit_migrations_mode_total{role=\"destination\",mode=\"demand\"} 4"));
    assert_true(says("godwit_migrations_mode_total{role=\"destination\",mode=\"restore\"} 5"));
    assert_true(says("godwit_migrations_mode_total{role=\"destination\",mode=\"unknown\"} 0"));
    assert_true(says("godwit_migration_forwarded_frames_total 12"));
    assert_true(says("godwit_migration_postcopy_requests_total 15"));
    assert_true(says("godwit_migration_postcopy_recoveries_total 16"));
    assert_true(says("godwit_migration_dirty_pages_total{producer=\"fault\"} 11"));
    assert_true(says("godwit_migration_dirty_pages_total{producer=\"dbit\"} 33"));
    assert_true(says("godwit_migration_dirty_harvested_pages_total 44"));
    assert_true(says("godwit_migration_dirty_scanned_entries_total 512"));
    assert_true(says("godwit_migration_dirty_harvest_seconds_total 1.500000001"));
    assert_true(says("godwit_witness_up{member=\"http://192.0.2.9:2379\"} 1"));
    assert_true(says("godwit_witness_up{member=\"http://[fd09::9]:2379\"} 0"));
    assert_true(says("godwit_witness_answer_seconds{member=\"http://192.0.2.9:2379\"} 0.001500000"));
    assert_true(says("godwit_witness_asked_total{member=\"http://192.0.2.9:2379\",outcome=\"failed\"} 1"));
    assert_true(says("godwit_witness_questions_total{result=\"unreachable\"} 3"));
    assert_true(says("godwit_peers{status=\"silent\"} 1"));
    assert_true(says("godwit_peer_questions_total 14"));
    assert_true(says("godwit_port_copied_bytes_total{port=\"uplink\"} 500"));
}

/* Waits for missing pages: each bucket has those before it, and the last one all. */
static void post_copy(void **state)
{
    struct vm *vm = fake_vm(0);

    (void)state;
    vm->page_waits = (struct page_waits){ .ns = 1500000, .latency = { [0] = 1, [5] = 2, [PAGE_WAIT_BUCKETS - 1] = 4 } };
    vm->vcpu[0]->page_wait.ns = 2500000;
    vm->mem.requests = 9;
    fake_migration.halves = (struct halves){ .missing = 8192, .status = MIGRATE_POSTCOPY_ACTIVE };
    assert_true(says("# TYPE godwit_vm_postcopy_latency_seconds histogram"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_bucket{vm=\"web\",le=\"0.000001\"} 1"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_bucket{vm=\"web\",le=\"0.000016\"} 1"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_bucket{vm=\"web\",le=\"0.000032\"} 3"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_bucket{vm=\"web\",le=\"4.194304\"} 3"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_bucket{vm=\"web\",le=\"+Inf\"} 7"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_sum{vm=\"web\"} 0.002500000"));
    assert_true(says("godwit_vm_postcopy_latency_seconds_count{vm=\"web\"} 7"));
    assert_true(says("godwit_vm_postcopy_blocktime_seconds_total{vm=\"web\"} 0.001500000"));
    assert_true(says("godwit_vcpu_postcopy_blocktime_seconds_total{vm=\"web\",vcpu=\"0\"} 0.002500000"));
    assert_true(says("godwit_vm_postcopy_requests_total{vm=\"web\"} 9"));
    assert_true(says("godwit_vm_postcopy_missing_bytes{vm=\"web\"} 8192"));
    assert_true(says("godwit_vm_postcopy_missing_bytes{vm=\"db\"} 0"));
    assert_true(says("godwit_vm_postcopy_paused{vm=\"web\"} 0"));
    fake_migration.halves.status = MIGRATE_POSTCOPY_PAUSED;
    assert_true(says("godwit_vm_postcopy_paused{vm=\"web\"} 1"));
    assert_true(says("godwit_vm_postcopy_paused{vm=\"db\"} 0"));
    fake_migration.halves.missing = 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_follow_their_heads, setup, teardown),
        cmocka_unit_test_setup_teardown(status, setup, teardown),
        cmocka_unit_test_setup_teardown(counters, setup, teardown),
        cmocka_unit_test_setup_teardown(post_copy, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

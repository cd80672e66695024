/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics that are alike are rows of a table: a value of each VM, a field of a dirty log's or a port's counters. The
 * format wants all samples of a metric behind its head: so the outer loop goes over metrics, the inner one over VMs or
 * ports.
 */
#include "control/metrics.h"

#include <stdio.h>
#include <string.h>

#include "dirty/dirty_rate.h"
#include "hv/backend.h"
#include "control/buffer.h"
#include "control/status.h"
#include "control/tls_view.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "dev/platform.h"
#include "config/version.h"
#include "guest/load/kept.h"
#include "hv/vm.h"
#include "owners/claims.h"
#include "migrate/halves.h"
#include "migrate/migration.h"
#include "guest/load/vm_report.h"
#include "net/output.h"
#include "protect/failovers.h"
#include "protect/protection.h"
#include "owners/peers.h"
#include "owners/witness.h"
#include "save/saving.h"
#include "host/frame.h"
#include "net/netif.h"
#include "net/switch.h"
#include "net/syslog.h"

/* Write a sample in seconds, without floating point. */
static void put_seconds(struct buffer *out, const char *name, const char *label, const char *value, u64 ns)
{
    buffer_format(out, "%s{%s=\"%s\"} %lu.%09lu\n", name, label, value, (unsigned long)(ns / 1000000000),
                  (unsigned long)(ns % 1000000000));
}

static void put_host(struct buffer *out)
{
    struct frame_stats memory = frame_stats();

    metric_head(out, "godwit_build_info", "gauge", "What runs here; always 1.");
    buffer_format(out, "godwit_build_info{version=\"%s\",backend=\"%s\"} 1\n", GODWIT_VERSION, backend()->name);
    metric_head(out, "godwit_uptime_seconds", "gauge", "Time since the hypervisor has started.");
    buffer_format(out, "godwit_uptime_seconds %lu\n", (unsigned long)(clock_ns() / 1000000000));
    metric_head(out, "godwit_memory_bytes", "gauge", "Memory of the host by state.");
    buffer_format(out, "godwit_memory_bytes{state=\"free\"} %lu\n", (unsigned long)memory.free * 4096);
    buffer_format(out, "godwit_memory_bytes{state=\"used\"} %lu\n", (unsigned long)(memory.total - memory.free) * 4096);
    metric_head(out, "godwit_cpu_idle_seconds_total", "counter", "Time that a physical processor was halted.");
    for (u32 i = 0; i < cpu_count(); i++) {
        char index[12];

        snprintf(index, sizeof(index), "%u", i);
        put_seconds(out, "godwit_cpu_idle_seconds_total", "cpu", index, clock_ticks_to_ns(cpu_at(i)->idle_ticks));
    }
}

/* A metric with one value for each VM. A VM's name is letters, digits, '-', '_' and '.': nothing must be escaped. */
struct vm_metric {
    const char *name, *type, *help;
    u64 (*value)(const struct vm *vm);
    bool ns; /* the value is in nanoseconds and shown in seconds */
};

static u64 sum_interrupts(const struct vm *vm)
{
    u64 sum = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        sum += vm->vcpu[i]->interrupts_injected;
    return sum;
}

static u64 console_bytes(const struct vm *vm)
{
    u64 end = ~0ULL;

    platform_console_read((struct vm *)vm, &end, NULL, 0);
    return end;
}

static u64 unlogged_lines(const struct vm *vm)
{
    return platform_of(vm)->console.log.unshown;
}

static u64 vcpu_count(const struct vm *vm)
{
    return vm->nr_vcpus;
}

static u64 memory_size(const struct vm *vm)
{
    return vm->mem.size;
}

static u64 table_size(const struct vm *vm)
{
    return vm->npt.tables * 4096;
}

static u64 exec_splits(const struct vm *vm)
{
    return vm->npt.exec_splits;
}

static u64 host_written(const struct vm *vm)
{
    return vm->mem.bytes_written;
}

static u64 dirty_pages_rate(const struct vm *vm)
{
    return dirty_rate_of(vm)->rate;
}

static u64 epoch(const struct vm *vm)
{
    return vm->identity.epoch;
}

static u64 net_filtered(const struct vm *vm)
{
    return platform_of(vm)->net.filtered;
}

static u64 net_malformed(const struct vm *vm)
{
    return platform_of(vm)->net.malformed;
}

static u64 net_announces(const struct vm *vm)
{
    return platform_of(vm)->net.announces;
}

static u64 postcopy_missing(const struct vm *vm)
{
    struct halves halves;

    return halves_of(vm, &halves) ? halves.missing : 0;
}

static u64 postcopy_paused(const struct vm *vm)
{
    struct halves halves;

    return halves_of(vm, &halves) && halves.status == MIGRATE_POSTCOPY_PAUSED;
}

static u64 postcopy_requests(const struct vm *vm)
{
    return vm->mem.requests;
}

static u64 postcopy_blocktime(const struct vm *vm)
{
    return vm->page_waits.ns;
}

static const struct vm_metric vm_metrics[] = {
    { "godwit_vm_cpu_seconds_total", "counter", "Time that a VM's processors had, exits included.", vm_ran, true },
    { "godwit_vm_interrupts_injected_total", "counter", "Interrupts injected.", sum_interrupts, false },
    { "godwit_vm_console_bytes_total", "counter", "Bytes that a guest has sent to its console.", console_bytes, false },
    { "godwit_vm_unlogged_lines_total", "counter", "Lines of a guest that were too many for the log.", unlogged_lines,
      false },
    { "godwit_vm_vcpus", "gauge", "Virtual processors.", vcpu_count, false },
    { "godwit_vm_memory_bytes", "gauge", "A guest's RAM.", memory_size, false },
    { "godwit_vm_nested_tables_bytes", "gauge", "Memory of its nested page tables.", table_size, false },
    { "godwit_vm_exec_splits_total", "counter", "Large pages that were split as code was fetched from them.",
      exec_splits, false },
    { "godwit_vm_dirty_pages_rate", "gauge", "Pages a second that it wrote when calc-dirty-rate last asked.",
      dirty_pages_rate, false },
    { "godwit_vm_epoch", "gauge", "Of its owner: grows with each move.", epoch, false },
    { "godwit_vm_host_written_bytes_total", "counter", "Bytes that the hypervisor wrote to a guest's RAM.",
      host_written, false },
    { "godwit_vm_net_filtered_frames_total", "counter", "Frames that the guest's driver did not want.", net_filtered,
      false },
    { "godwit_vm_net_malformed_frames_total", "counter", "Frames from the guest's driver that made no sense.",
      net_malformed, false },
    { "godwit_vm_postcopy_missing_bytes", "gauge", "Bytes that are at its source alone: shown at either end.",
      postcopy_missing, false },
    { "godwit_vm_postcopy_paused", "gauge", "1: they do not come, for the other end is not there.", postcopy_paused,
      false },
    { "godwit_vm_postcopy_requests_total", "counter", "Missing pages that somebody here has asked for.",
      postcopy_requests, false },
    { "godwit_vm_postcopy_blocktime_seconds_total", "counter", "Time for which all of its vcpus waited for pages.",
      postcopy_blocktime, true },
    { "godwit_vm_net_announces_total", "counter", "Announcements asked of the guest's driver.", net_announces, false },
};

static void put_vm_metric(struct buffer *out, const struct vm_metric *metric)
{
    metric_head(out, metric->name, metric->type, metric->help);
    list_each (const struct vm, vm, vm_list()) {
        u64 value = metric->value(vm);

        if (metric->ns)
            put_seconds(out, metric->name, "vm", vm->name, value);
        else
            buffer_format(out, "%s{vm=\"%s\"} %lu\n", metric->name, vm->name, (unsigned long)value);
    }
}

static void put_vcpu_blocktime(struct buffer *out)
{
    metric_head(out, "godwit_vcpu_postcopy_blocktime_seconds_total", "counter",
                "Time for which a vcpu waited for pages.");
    list_each (const struct vm, vm, vm_list()) {
        for (u32 i = 0; i < vm->nr_vcpus; i++) {
            char labels[CONFIG_NAME + 24];

            snprintf(labels, sizeof(labels), "%s\",vcpu=\"%u", vm->name, i);
            put_seconds(out, "godwit_vcpu_postcopy_blocktime_seconds_total", "vm", labels, vm->vcpu[i]->page_wait.ns);
        }
    }
}

#define LATENCY "godwit_vm_postcopy_latency_seconds"

/* How long vcpus waited for missing pages: bucket n of the VM has what took less than 2^n us, the last one the rest. */
static void put_latency(struct buffer *out, const struct vm *vm)
{
    u64 count = 0, ns = 0;

    for (unsigned i = 0; i < PAGE_WAIT_BUCKETS - 1; i++) {
        count += vm->page_waits.latency[i];
        buffer_format(out, LATENCY "_bucket{vm=\"%s\",le=\"%u.%06u\"} %lu\n", vm->name, (1u << i) / 1000000,
                      (1u << i) % 1000000, count);
    }
    count += vm->page_waits.latency[PAGE_WAIT_BUCKETS - 1];
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        ns += vm->vcpu[i]->page_wait.ns;
    buffer_format(out, LATENCY "_bucket{vm=\"%s\",le=\"+Inf\"} %lu\n", vm->name, count);
    put_seconds(out, LATENCY "_sum", "vm", vm->name, ns);
    buffer_format(out, LATENCY "_count{vm=\"%s\"} %lu\n", vm->name, count);
}

static void put_latencies(struct buffer *out)
{
    metric_head(out, LATENCY, "histogram", "Times for which vcpus waited for missing pages.");
    list_each (const struct vm, vm, vm_list())
        put_latency(out, vm);
}

#define DIRTY(member) offsetof(struct dirty_counters, member)

/* Counters of the dirty log. One without help is a further sample of the metric before it. */
static const struct {
    const char *name, *labels, *help;
    size_t offset; /* in struct dirty_counters */
} dirty_metrics[] = {
    { "godwit_vm_dirty_harvests_total", "", "Times that the dirty log was emptied.", DIRTY(harvests) },
    { "godwit_vm_dirty_harvested_pages_total", "", "Pages that were found in the dirty log.", DIRTY(harvested) },
    { "godwit_vm_dirty_pages_total", ",producer=\"fault\"", "Pages reported to the dirty log, by who noticed.",
      DIRTY(by_fault) },
    { "godwit_vm_dirty_pages_total", ",producer=\"dbit\"", NULL, DIRTY(by_dbit) },
    { "godwit_vm_dirty_pages_total", ",producer=\"pml\"", NULL, DIRTY(by_pml) },
    { "godwit_vm_dirty_pages_total", ",producer=\"hypervisor\"", NULL, DIRTY(by_hypervisor) },
    { "godwit_vm_dirty_faults_total", "", "Write faults that were the dirty log's doing.", DIRTY(faults) },
    { "godwit_vm_dirty_scanned_entries_total", "", "Entries of nested tables searched for D bits.",
      DIRTY(scanned_entries) },
    { "godwit_vm_dirty_pml_drains_total", "", "Buffers of page-modification logging emptied.", DIRTY(pml_drains) },
};

static void put_dirty(struct buffer *out)
{
    for (size_t i = 0; i < sizeof(dirty_metrics) / sizeof(dirty_metrics[0]); i++) {
        if (dirty_metrics[i].help)
            metric_head(out, dirty_metrics[i].name, "counter", dirty_metrics[i].help);
        list_each (const struct vm, vm, vm_list()) {
            const char *count = (const char *)&vm->mem.dirty.count + dirty_metrics[i].offset;

            buffer_format(out, "%s{vm=\"%s\"%s} %lu\n", dirty_metrics[i].name, vm->name, dirty_metrics[i].labels,
                          (unsigned long)*(const u64 *)(const void *)count);
        }
    }
}

/* Write a sample for each status, 1 for the present one and 0 for the others, so that an alert rule can ask for any. */
static void put_status(struct buffer *out)
{
    metric_head(out, "godwit_vm_status", "gauge", "1 for the status that a VM has, 0 for the others.");
    list_each (const struct vm, vm, vm_list()) {
        unsigned now = shown_status(vm);

        for (unsigned status = 0; status < NR_SHOWN; status++)
            buffer_format(out, "godwit_vm_status{vm=\"%s\",status=\"%s\"} %u\n", vm->name, shown_name(status),
                          status == now);
    }
}

static void put_exits(struct buffer *out)
{
    metric_head(out, "godwit_vm_exits_total", "counter", "Exits from a guest by reason.");
    list_each (const struct vm, vm, vm_list()) {
        for (unsigned kind = 0; kind < NR_EXITS; kind++)
            buffer_format(out, "godwit_vm_exits_total{vm=\"%s\",reason=\"%s\"} %lu\n", vm->name,
                          exit_handlers[kind].name, (unsigned long)vm_exits(vm, kind));
    }
}

static void put_switch(struct buffer *out)
{
    const struct switch_counters *counters = switch_counters();
    const struct {
        const char *name;
        u64 frames;
    } decisions[] = {
        { "forwarded", counters->forwarded },     { "flooded", counters->flooded },
        { "unforwarded", counters->unforwarded }, { "storm", counters->storm_dropped },
        { "spoof", counters->spoof_dropped },     { "malformed", counters->malformed },
    };

    metric_head(out, "godwit_switch_frames_total", "counter",
                "Frames that came to the switch, by what it did with them.");
    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++)
        buffer_format(out, "godwit_switch_frames_total{decision=\"%s\"} %lu\n", decisions[i].name,
                      (unsigned long)decisions[i].frames);
    metric_head(out, "godwit_net_conflicts_total", "counter",
                "Frames in which somebody else has a MAC or an address of ours.");
    buffer_format(out, "godwit_net_conflicts_total{of=\"mac\"} %lu\ngodwit_net_conflicts_total{of=\"address\"} %lu\n",
                  (unsigned long)counters->mac_conflicts, (unsigned long)netif_port_conflicts());
}

static void put_syslog(struct buffer *out)
{
    struct syslog_status status;

    if (!syslog_status(&status))
        return;
    metric_head(out, "godwit_syslog_lines_total", "counter",
                "Lines of the log that were given to the network, or overwritten before they could be.");
    buffer_format(out, "godwit_syslog_lines_total{outcome=\"sent\"} %lu\n", (unsigned long)status.sent);
    buffer_format(out, "godwit_syslog_lines_total{outcome=\"lost\"} %lu\n", (unsigned long)status.lost);
    metric_head(out, "godwit_syslog_waiting_lines", "gauge", "Lines of the log that have not been sent yet.");
    buffer_format(out, "godwit_syslog_waiting_lines %lu\n", (unsigned long)status.waiting);
}

static const struct {
    const char *name, *help;
    size_t offset; /* in struct port_counters */
} port_metrics[] = {
    { "godwit_port_receive_frames_total", "Frames from a port into the switch.",
      offsetof(struct port_counters, rx_frames) },
    { "godwit_port_receive_bytes_total", "Bytes from a port into the switch.",
      offsetof(struct port_counters, rx_bytes) },
    { "godwit_port_receive_dropped_total", "Frames from a port that the switch refused.",
      offsetof(struct port_counters, rx_dropped) },
    { "godwit_port_transmit_frames_total", "Frames from the switch to a port.",
      offsetof(struct port_counters, tx_frames) },
    { "godwit_port_transmit_bytes_total", "Bytes from the switch to a port.",
      offsetof(struct port_counters, tx_bytes) },
    { "godwit_port_transmit_dropped_total", "Frames that a port had no room for.",
      offsetof(struct port_counters, tx_dropped) },
    { "godwit_port_held_frames_total", "Frames kept while a guest stood still for the moment of a move.",
      offsetof(struct port_counters, held) },
    { "godwit_port_late_frames_total", "Frames for a guest that reached the host where it was before.",
      offsetof(struct port_counters, late) },
    { "godwit_port_late_twice_frames_total", "The same, of frames that had reached it here: dropped.",
      offsetof(struct port_counters, late_twice) },
    { "godwit_port_copied_bytes_total", "Bytes of frames for a port that the processor moved.",
      offsetof(struct port_counters, copied_bytes) },
};

static void put_ports(struct buffer *out)
{
    for (size_t i = 0; i < sizeof(port_metrics) / sizeof(port_metrics[0]); i++) {
        metric_head(out, port_metrics[i].name, "counter", port_metrics[i].help);
        for (const struct port *port = switch_ports(); port; port = port->next)
            buffer_format(out, "%s{port=\"%s\"} %lu\n", port_metrics[i].name, port->name,
                          (unsigned long)*(const u64 *)((const char *)&port->counters + port_metrics[i].offset));
    }
}

/* Write what dirty logs counted in moves: their VMs, and the counters of these, may have left. */
static void put_logged(struct buffer *out, const struct dirty_counters *count)
{
    metric_head(out, "godwit_migration_dirty_pages_total", "counter",
                "Pages reported to the dirty logs of moves that have ended, by who noticed.");
    buffer_format(out, "godwit_migration_dirty_pages_total{producer=\"fault\"} %lu\n", count->by_fault);
    buffer_format(out, "godwit_migration_dirty_pages_total{producer=\"dbit\"} %lu\n", count->by_dbit);
    buffer_format(out, "godwit_migration_dirty_pages_total{producer=\"pml\"} %lu\n", count->by_pml);
    buffer_format(out, "godwit_migration_dirty_pages_total{producer=\"hypervisor\"} %lu\n", count->by_hypervisor);
    metric_head(out, "godwit_migration_dirty_harvested_pages_total", "counter", "Pages found in these logs.");
    buffer_format(out, "godwit_migration_dirty_harvested_pages_total %lu\n", count->harvested);
    metric_head(out, "godwit_migration_dirty_scanned_entries_total", "counter",
                "Entries searched for D bits in these moves.");
    buffer_format(out, "godwit_migration_dirty_scanned_entries_total %lu\n", count->scanned_entries);
    metric_head(out, "godwit_migration_dirty_harvest_seconds_total", "counter",
                "Time that these moves' harvests took.");
    buffer_format(out, "godwit_migration_dirty_harvest_seconds_total %lu.%09lu\n", count->harvest_ns / 1000000000,
                  count->harvest_ns % 1000000000);
}

static void put_modes(struct buffer *out, const struct migration_totals *totals)
{
    metric_head(out, "godwit_migrations_mode_total", "counter",
                "Moves that have completed, by the mode that was asked for.");
    for (enum migrate_mode mode = 0; mode < NR_MODES; mode++)
        buffer_format(out, "godwit_migrations_mode_total{role=\"source\",mode=\"%s\"} %lu\n", migrate_mode_name(mode),
                      totals->left_by[mode]);
    for (u8 said = 0; said < WIRE_MODES; said++)
        if (said <= NR_MODES || said == WIRE_MODE_IMAGE)
            buffer_format(out, "godwit_migrations_mode_total{role=\"destination\",mode=\"%s\"} %lu\n",
                          migrate_said_mode_name(said), totals->arrived_by[said]);
}

/* Write the moves, by the end at which this machine was and by how they ended; moves under way stand apart. */
static void put_moves(struct buffer *out)
{
    struct migration_totals totals = migration_totals();
    const struct image_counters *images = image_counters();
    const struct claims_counters *claims = claims_counters();

    metric_head(out, "godwit_migrations_total", "counter", "Moves that have ended.");
    buffer_format(out, "godwit_migrations_total{role=\"source\",status=\"completed\"} %lu\n", totals.completed);
    buffer_format(out, "godwit_migrations_total{role=\"source\",status=\"failed\"} %lu\n", totals.failed);
    buffer_format(out, "godwit_migrations_total{role=\"source\",status=\"cancelled\"} %lu\n", totals.cancelled);
    buffer_format(out, "godwit_migrations_total{role=\"destination\",status=\"completed\"} %lu\n", totals.arrived);
    put_modes(out, &totals);
    metric_head(out, "godwit_migrations_active", "gauge", "Moves away from here that are under way or in doubt.");
    buffer_format(out, "godwit_migrations_active %lu\n", totals.active);
    metric_head(out, "godwit_migration_wire_bytes_total", "counter", "Bytes sent by moves that have ended.");
    buffer_format(out, "godwit_migration_wire_bytes_total %lu\n", totals.wire_bytes);
    metric_head(out, "godwit_migration_forwarded_frames_total", "counter",
                "Frames sent on after guests that have left.");
    buffer_format(out, "godwit_migration_forwarded_frames_total %lu\n", totals.forwarded);
    metric_head(out, "godwit_migration_postcopy_bytes_total", "counter",
                "Bytes sent of guests that ran elsewhere already.");
    buffer_format(out, "godwit_migration_postcopy_bytes_total %lu\n", totals.postcopy_bytes);
    metric_head(out, "godwit_migration_postcopy_requests_total", "counter", "Pages that destinations have asked for.");
    buffer_format(out, "godwit_migration_postcopy_requests_total %lu\n", totals.postcopy_requests);
    metric_head(out, "godwit_migration_postcopy_recoveries_total", "counter",
                "Connections made anew by which post-copy went on.");
    buffer_format(out, "godwit_migration_postcopy_recoveries_total %lu\n", totals.recoveries);
    put_logged(out, &totals.logged);
    metric_head(out, "godwit_vms_superseded_total", "counter",
                "Guests that stood here because another machine owns them.");
    buffer_format(out, "godwit_vms_superseded_total %lu\n", totals.superseded);
    metric_head(out, "godwit_claims_total", "counter", "Claims of guests between hypervisors.");
    buffer_format(out, "godwit_claims_total{direction=\"said\"} %lu\n", claims->said);
    buffer_format(out, "godwit_claims_total{direction=\"heard\"} %lu\n", claims->heard);
    buffer_format(out, "godwit_claims_total{direction=\"malformed\"} %lu\n", claims->malformed);
    buffer_format(out, "godwit_claims_total{direction=\"noise\"} %lu\n", claims->noise);
    for (enum proof_verdict verdict = PROOF_GIVEN + 1; verdict < NR_PROOF_VERDICTS; verdict++)
        buffer_format(out, "godwit_claims_total{direction=\"%s\"} %lu\n", proof_verdict_name(verdict),
                      claims->judged[verdict]);
    metric_head(out, "godwit_migration_noise_total", "counter",
                "Moves to here refused for an epoch that nobody believes.");
    buffer_format(out, "godwit_migration_noise_total %lu\n", migration_dest()->noise);
    metric_head(out, "godwit_images_total", "counter",
                "Images that were saved or restored here, and such that were not.");
    buffer_format(out, "godwit_images_total{outcome=\"saved\"} %lu\n", images->saved);
    buffer_format(out, "godwit_images_total{outcome=\"restored\"} %lu\n", images->restored);
    buffer_format(out, "godwit_images_total{outcome=\"failed\"} %lu\n", images->failed);
    metric_head(out, "godwit_incoming_bytes", "gauge",
                "RAM that is held for guests on their way here, prepared ones included.");
    buffer_format(out, "godwit_incoming_bytes %lu\n", totals.incoming);
    metric_head(out, "godwit_images_kept_bytes", "gauge",
                "Memory of files that came with guests which start from them.");
    buffer_format(out, "godwit_images_kept_bytes %lu\n", kept_bytes());
    metric_head(out, "godwit_incoming_limit_bytes", "gauge", "How much that may be, of all hosts and of one.");
    buffer_format(out, "godwit_incoming_limit_bytes{of=\"all\"} %lu\n", totals.incoming_limit);
    buffer_format(out, "godwit_incoming_limit_bytes{of=\"host\"} %lu\n", totals.incoming_limit_per_host);
}

static void put_peers(struct buffer *out)
{
    unsigned count[NR_PEER_STATUS] = { 0 };
    const struct peer *peer;

    for (unsigned i = 0; (peer = peers_get(i)); i++)
        count[peer->query.status]++;
    metric_head(out, "godwit_peers", "gauge",
                "Hypervisors that the configuration names, by how they answered at the boot.");
    for (unsigned status = 0; status < NR_PEER_STATUS; status++)
        buffer_format(out, "godwit_peers{status=\"%s\"} %u\n", peer_status_name((enum peer_status)status),
                      count[status]);
    metric_head(out, "godwit_peer_questions_total", "counter",
                "Questions that came over connections and were answered.");
    buffer_format(out, "godwit_peer_questions_total %lu\n", migration_totals().questions);
}

static void put_witness(struct buffer *out)
{
    const struct witness_counters *counters = witness_counters();
    const struct witness_member *member;

    if (!witness_configured())
        return;
    metric_head(out, "godwit_witness_up", "gauge",
                "1 for a member of the witness that answered the last question to it.");
    for (unsigned i = 0; (member = witness_member(i)); i++)
        buffer_format(out, "godwit_witness_up{member=\"%s\"} %d\n", member->url, member->answering);
    metric_head(out, "godwit_witness_answer_seconds", "gauge", "How long a member's last answer took.");
    for (unsigned i = 0; (member = witness_member(i)); i++)
        put_seconds(out, "godwit_witness_answer_seconds", "member", member->url, member->ns);
    metric_head(out, "godwit_witness_asked_total", "counter", "Questions to a member, by whether it answered.");
    for (unsigned i = 0; (member = witness_member(i)); i++) {
        buffer_format(out, "godwit_witness_asked_total{member=\"%s\",outcome=\"answered\"} %lu\n", member->url,
                      member->answered);
        buffer_format(out, "godwit_witness_asked_total{member=\"%s\",outcome=\"failed\"} %lu\n", member->url,
                      member->failed);
    }
    metric_head(out, "godwit_witness_questions_total", "counter", "Questions to the witness, by their results.");
    buffer_format(out, "godwit_witness_questions_total{result=\"read\"} %lu\n", counters->read);
    buffer_format(out, "godwit_witness_questions_total{result=\"swapped\"} %lu\n", counters->swapped);
    buffer_format(out, "godwit_witness_questions_total{result=\"different\"} %lu\n", counters->different);
    buffer_format(out, "godwit_witness_questions_total{result=\"unreachable\"} %lu\n", counters->unreachable);
}

/* Of each guest that is protected, or is to be. */
static void put_protected(struct buffer *out)
{
    list_each (const struct vm, vm, vm_list()) {
        enum protection_state state = protection_state(vm);
        struct port_output_stats held;
        struct protect_info info;

        if (state == PROTECTION_NONE)
            continue;
        port_output_stats(&platform_of(vm)->net.port, &held);
        buffer_format(out, "godwit_vm_protection{vm=\"%s\",state=\"%s\"} 1\n", vm->name, protection_state_name(state));
        buffer_format(out, "godwit_vm_output_held_bytes{vm=\"%s\"} %lu\n", vm->name, held.bytes);
        if (!migration_protect_info(vm, &info))
            continue;
        buffer_format(out, "godwit_vm_checkpoints{vm=\"%s\"} %lu\n", vm->name, info.number);
        put_seconds(out, "godwit_vm_checkpoint_pause_seconds", "vm", vm->name, info.pause);
    }
}

static void put_protection(struct buffer *out)
{
    const struct heartbeat_counters *beats = heartbeat_counters();

    metric_head(out, "godwit_vm_protection", "gauge", "1 for the state of a guest that is protected, or is to be.");
    metric_head(out, "godwit_vm_output_held_bytes", "gauge", "What such a guest has sent, and is held.");
    metric_head(out, "godwit_vm_checkpoints", "gauge", "Checkpoints since its first copy was whole.");
    metric_head(out, "godwit_vm_checkpoint_pause_seconds", "gauge", "How long it stood for the last one.");
    put_protected(out);
    metric_head(out, "godwit_failovers_total", "counter", "Protected guests that went on here.");
    buffer_format(out, "godwit_failovers_total %lu\n", failovers_count());
    metric_head(out, "godwit_heartbeats_total", "counter",
                "Heartbeats of protected guests; strange ones are of none here.");
    buffer_format(out, "godwit_heartbeats_total{direction=\"said\"} %lu\n", beats->said);
    buffer_format(out, "godwit_heartbeats_total{direction=\"heard\"} %lu\n", beats->heard);
    buffer_format(out, "godwit_heartbeats_total{direction=\"strange\"} %lu\n", beats->strange);
    buffer_format(out, "godwit_heartbeats_total{direction=\"old\"} %lu\n", beats->old);
    buffer_format(out, "godwit_heartbeats_total{direction=\"forged\"} %lu\n", beats->forged);
}

void metrics_write(struct buffer *out)
{
    put_host(out);
    put_status(out);
    for (size_t i = 0; i < sizeof(vm_metrics) / sizeof(vm_metrics[0]); i++)
        put_vm_metric(out, &vm_metrics[i]);
    put_vcpu_blocktime(out);
    put_latencies(out);
    put_dirty(out);
    put_exits(out);
    put_switch(out);
    put_syslog(out);
    put_ports(out);
    tls_view_metrics(out);
    put_moves(out);
    put_peers(out);
    put_witness(out);
    put_protection(out);
}

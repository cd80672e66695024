/* SPDX-License-Identifier: BSD-2-Clause */
/* Shows what is known of moves, by the names of QEMU's query-migrate where it has one. docs/migration.md explains
 * each. */
#include <errno.h>
#include <string.h>

#include "control/command.h"
#include "control/commands.h"
#include "control/json.h"
#include "dirty/vm_dirty.h"
#include "host/clock.h"
#include "hv/vm.h"
#include "migrate/migration.h"
#include "owners/peers.h"

#define PAGE_BYTES 4096

/* Write nanoseconds as milliseconds with a fraction. */
static void put_ms(struct json *out, const char *key, u64 ns)
{
    json_milli(out, key, ns / 1000);
}

static void put_ram(struct json *out, const struct migrate_stats *stats)
{
    json_object(out, "ram");
    json_number(out, "transferred", stats->transferred);
    json_number(out, "remaining", stats->remaining);
    json_number(out, "total", stats->total);
    json_number(out, "duplicate", stats->duplicate);
    json_number(out, "normal", stats->normal);
    json_number(out, "normal-bytes", stats->normal_bytes);
    json_number(out, "dirty-pages-rate", stats->dirty_pages_rate);
    json_number(out, "dirty-sync-count", stats->dirty_sync_count);
    json_milli(out, "mbps", stats->bytes_per_second / 125);
    json_number(out, "pages-per-second", stats->pages_per_second);
    json_number(out, "page-size", PAGE_BYTES);
    json_number(out, "precopy-bytes", stats->precopy_bytes);
    json_number(out, "postcopy-bytes", stats->postcopy_bytes);
    json_number(out, "postcopy-requests", stats->postcopy_requests);
    json_number(out, "postcopy-recoveries", stats->recoveries);
    json_number(out, "downtime-bytes", stats->downtime_bytes);
    json_number(out, "downtime-verify-bytes", stats->downtime_verify_bytes);
    json_close(out);
}

static void put_phases(struct json *out, const struct migrate_phases *phases)
{
    json_object(out, "phases");
    put_ms(out, "setup", phases->setup);
    put_ms(out, "precopy", phases->precopy);
    put_ms(out, "stop", phases->stop);
    put_ms(out, "final-ram", phases->final_ram);
    put_ms(out, "device-state", phases->device_state);
    put_ms(out, "commit", phases->commit);
    put_ms(out, "postcopy", phases->postcopy);
    json_close(out);
}

/* Write what the dirty log noticed from one harvest to the next, which that harvest brought, and what it took. */
static void put_logged(struct json *out, const struct migrate_stats *stats, unsigned harvest)
{
    struct dirty_counters count = { 0 };

    if (harvest < stats->harvests)
        migrate_logged(stats, harvest, harvest + 1, &count);
    json_object(out, "dirty-log");
    json_number(out, "by-fault", count.by_fault);
    json_number(out, "by-dbit", count.by_dbit);
    json_number(out, "by-pml", count.by_pml);
    json_number(out, "by-hypervisor", count.by_hypervisor);
    json_number(out, "harvested", count.harvested);
    json_number(out, "scanned-regions", count.scanned_regions);
    json_number(out, "scanned-entries", count.scanned_entries);
    json_number(out, "harvest-us", count.harvest_ns / 1000);
    json_close(out);
}

/* Write a round, and the harvest of that number that came at its end, or before the guest stood. */
static void put_round(struct json *out, const char *key, const struct migrate_stats *stats,
                      const struct policy_round *round, unsigned harvest)
{
    json_object(out, key);
    json_number(out, "pages", round->pages);
    json_number(out, "zero", round->zero);
    json_number(out, "dirtied", round->dirtied);
    json_number(out, "left", policy_left(round));
    json_number(out, "hot", round->hot);
    json_number(out, "bytes", round->bytes);
    json_milli(out, "ms", round->us);
    json_number(out, "throttle", round->throttle);
    json_number(out, "write-limit", round->write_limit);
    json_milli(out, "verify-ms", round->digest_us);
    put_logged(out, stats, harvest);
    json_close(out);
}

static void put_rounds(struct json *out, const struct migrate_stats *stats)
{
    json_array(out, "rounds");
    for (unsigned i = 0; i < stats->rounds; i++)
        put_round(out, NULL, stats, &stats->round[i], i);
    json_close(out);
    put_round(out, "stopped-round", stats, &stats->stopped, stats->rounds);
}

static void put_prediction(struct json *out, const struct policy_prediction *prediction)
{
    json_object(out, "prediction");
    json_milli(out, "downtime", prediction->downtime_us);
    json_number(out, "bytes-per-second", prediction->rate);
    json_number(out, "dirty-pages-rate", prediction->dirty_rate);
    json_number(out, "working-set", prediction->working_set);
    json_number(out, "next-round", prediction->next);
    json_number(out, "converged", prediction->converged);
    json_bool(out, "stalled", prediction->stalled);
    json_bool(out, "gave-up", prediction->over_limit);
    json_close(out);
}

static void put_warnings(struct json *out, const struct migrate_stats *stats)
{
    const struct wire_accepted *accepted = &stats->accepted;
    char text[200];

    json_array(out, "warnings");
    for (u32 i = 0; i < accepted->count; i++)
        json_string(out, NULL, accepted->warning[i]);
    if (migrate_stall_warning(stats, text, sizeof(text)))
        json_string(out, NULL, text);
    json_close(out);
}

/* Write what has become of the files from which it starts. */
static void put_files(struct json *out, const struct move *move)
{
    const struct migrate_stats *stats = move_stats(move);

    if (move_files(move) == FILES_NONE)
        return;
    json_object(out, "images");
    json_string(out, "status", migrate_files_name(move_files(move)));
    json_number(out, "bytes", stats->file_bytes);
    json_string(out, "reason", stats->files_reason);
    json_close(out);
}

/* What a check, or a move of mode auto, has measured, and what it says of each mode. */
static void put_forecast(struct json *out, const struct migrate_stats *stats)
{
    const struct predict_known *known = &stats->known;

    json_object(out, "measured");
    json_number(out, "used-pages", known->used);
    json_bool(out, "watched", !known->unwatched);
    json_number(out, "dirty-pages-rate", known->dirty_rate);
    json_number(out, "working-set", known->working_set);
    json_number(out, "busy", known->busy / 10000);
    json_number(out, "bytes-per-second", known->rate);
    json_milli(out, "round-trip", known->rtt_us);
    json_close(out);
    json_array(out, "forecast");
    for (enum migrate_mode mode = 0; mode < NR_FORECASTS; mode++) {
        const struct forecast *row = &stats->forecast[mode];

        json_object(out, NULL);
        json_string(out, "mode", migrate_mode_name(mode));
        json_bool(out, "fails", row->fails);
        json_bool(out, "within-limit", !row->over_limit);
        json_milli(out, "total-time", row->total_us == ~0ULL ? 0 : row->total_us);
        json_milli(out, "downtime", row->downtime_us);
        json_number(out, "rounds", row->rounds);
        json_number(out, "bytes", row->bytes);
        json_number(out, "slowdown", forecast_slowdown(row));
        json_number(out, "waits", row->waits);
        json_close(out);
    }
    json_close(out);
}

static void put_choice(struct json *out, const struct migrate_stats *stats)
{
    json_string(out, "chosen-mode", migrate_mode_name(stats->chosen));
    json_string(out, "choice", stats->choice);
}

static const char *mode_name(const struct migration_request *request)
{
    if (request->file.ops)
        return request->mode == MODE_LIVE ? "save-live" : "save";
    return request->check ? "check" : migrate_mode_name(request->mode);
}

/* Write what a row of the list has. */
static void put_move_head(struct json *out, const struct move *move)
{
    const struct migrate_stats *stats = move_stats(move);
    char peer[TCP_ADDRESS_TEXT];

    move_peer(&move->request, peer);
    json_string(out, "role", "source");
    json_string(out, "vm", move->name);
    json_string(out, "peer", peer);
    json_string(out, "mode", mode_name(&move->request));
    json_string(out, "status", migrate_status_name(stats->status));
    json_number(out, "epoch", stats->epoch);
    put_ms(out, "age", clock_ns() - move->began);
    put_ms(out, "total-time", stats->total_time ? stats->total_time : clock_ns() - move->began);
    put_ms(out, "downtime", stats->downtime);
    json_string(out, "error", stats->error ? wire_code_name(stats->error) : "");
    json_string(out, "reason", stats->reason);
}

/* How much of a guest in two halves is missing, and for how long, if that is known. */
static void put_missing(struct json *out, u64 bytes, u64 ms)
{
    json_number(out, "postcopy-missing", bytes);
    if (ms < LEFT_UNASKED)
        json_number(out, "postcopy-left", ms);
}

static bool serves(const struct move *move)
{
    return move->live && move->live->handoff.state == SOURCE_SERVING;
}

/* How far post-copy had come: as in progress of struct migrate_stats. */
static void put_progress(struct json *out, const struct migrate_stats *stats)
{
    json_array(out, "postcopy-progress");
    for (unsigned i = 0; i < stats->samples; i++) {
        json_object(out, NULL);
        put_ms(out, "ms", stats->progress[i].ns);
        json_number(out, "pages", stats->progress[i].pages);
        json_number(out, "requests", stats->progress[i].requests);
        json_close(out);
    }
    json_close(out);
}

static void put_connections(struct json *out, const struct move *move)
{
    json_array(out, "connections");
    for (unsigned i = 0; i < move->connections; i++)
        put_ms(out, NULL, move->connected[i]);
    json_close(out);
}

static void put_move(struct json *out, const struct move *move)
{
    const struct migrate_stats *stats = move_stats(move);
    u64 ms = LEFT_UNKNOWN, missing = serves(move) ? source_missing(move->live, &ms) : 0;

    put_move_head(out, move);
    json_uuid(out, "vm_id", move->vm_id);
    json_bool(out, "verify", move->request.verify);
    json_string(out, "dirty-log", dirty_producer_name(move->log));
    put_ms(out, "setup-time", stats->setup_time);
    put_ms(out, "expected-downtime", stats->expected_downtime);
    json_number(out, "downtime-limit", stats->downtime_limit);
    put_ms(out, "verify-time", stats->verify_time);
    put_ms(out, "round-trip", stats->rtt);
    json_number(out, "wire-bytes", stats->wire_bytes);
    json_number(out, "frames-forwarded", stats->forwarded);
    json_number(out, "cpu-throttle-percentage", stats->cpu_throttle);
    json_number(out, "write-limit", stats->write_limit);
    put_connections(out, move);
    put_files(out, move);
    put_warnings(out, stats);
    put_missing(out, missing, ms);
    put_ram(out, stats);
    put_phases(out, &stats->phases);
    if (stats->known.rate)
        put_forecast(out, stats);
    if (stats->choice[0])
        put_choice(out, stats);
    put_prediction(out, &stats->prediction);
    put_rounds(out, stats);
    put_progress(out, stats);
}

/* The destination's view of an attempt, in the source's words. */
static const char *incoming_status(const struct incoming *in)
{
    if (in->dry_run && in->handoff.state != DEST_RECEIVING)
        return in->error ? "failed" : "completed";
    switch (in->handoff.state) {
    case DEST_RECEIVING: return "active";
    case DEST_PREPARED: return "device";
    case DEST_INCOMPLETE: return migrate_status_name(dest_fill_status(in));
    case DEST_RUNNING:
    case DEST_GONE: return in->error ? "failed" : "completed";
    default: return in->error == WIRE_E_CANCEL ? "cancelled" : "failed";
    }
}

static void put_incoming_head(struct json *out, const struct incoming *in)
{
    json_string(out, "role", "destination");
    json_string(out, "vm", in->name);
    json_string(out, "peer", in->peer);
    json_string(out, "mode", in->dry_run ? "check" : migrate_said_mode_name(in->mode));
    json_string(out, "status", incoming_status(in));
    json_number(out, "epoch", in->handoff.epoch);
    put_ms(out, "age", clock_ns() - in->stats.began);
    put_ms(out, "total-time", in->stats.released ? in->stats.released - in->stats.reserved : 0);
    put_ms(out, "downtime", in->stats.released ? in->prepare.paused_ns + in->stats.run_ns : 0);
    json_string(out, "error", in->error ? wire_code_name(in->error) : "");
    json_string(out, "reason", in->reason);
}

/* How long the guest has waited for pages that were missing: all of it, each vcpu, and how many waits took less than 1,
 * 2, 4 ... us. */
static void put_waits(struct json *out, const struct vm *vm)
{
    const struct page_waits *waits = &vm->page_waits;

    put_ms(out, "postcopy-blocktime", waits->ns);
    json_array(out, "postcopy-vcpu-blocktime");
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        put_ms(out, NULL, vm->vcpu[i]->page_wait.ns);
    json_close(out);
    json_array(out, "postcopy-latency");
    for (unsigned i = 0; i < PAGE_WAIT_BUCKETS; i++)
        json_number(out, NULL, waits->latency[i]);
    json_close(out);
}

/* Of a whole copy: which of the modes that mode auto chooses has it been? */
static enum migrate_mode mode_seen(const struct incoming *in)
{
    if (!in->handoff.split)
        return MODE_LIVE;
    return in->stats.rounds ? MODE_HYBRID : MODE_POSTCOPY;
}

static void put_incoming(struct json *out, const struct incoming *in)
{
    bool incomplete = in->handoff.state == DEST_INCOMPLETE;
    u64 ms = LEFT_UNKNOWN, missing = incomplete ? dest_missing(migration_dest(), in, &ms) : 0;

    put_incoming_head(out, in);
    json_uuid(out, "vm_id", in->vm_id);
    if (in->mode == MODE_AUTO + 1 && in->stats.prepared)
        json_string(out, "chosen-mode", migrate_mode_name(mode_seen(in)));
    json_string(out, "handoff", dest_state_name(in->handoff.state));
    json_number(out, "normal", in->stats.pages);
    json_number(out, "duplicate", in->stats.zero);
    json_number(out, "suspects", in->stats.suspects);
    json_number(out, "sections", in->stats.sections);
    json_number(out, "frames-forwarded", in->stats.frames);
    json_number(out, "frames-delivered", in->stats.delivered);
    put_ms(out, "verify-time", in->stats.verify_ns);
    json_number(out, "postcopy-requests", in->stats.wanted);
    put_missing(out, missing, ms);
    json_number(out, "postcopy-recoveries", in->stats.recoveries);
    if (in->handoff.split && dest_state_runs(in->handoff.state))
        put_waits(out, in->vm);
    json_number(out, "downtime-verify-bytes", in->stats.verify_bytes);
    json_object(out, "phases");
    put_ms(out, "resume", in->stats.run_ns);
    put_ms(out, "announce", in->stats.announce_ns);
    json_close(out);
}

static const struct incoming *newest_incoming(const char *name)
{
    const struct incoming *newest = NULL;

    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        const struct incoming *in = &migration_dest()->incoming[i];

        if (in->used && !strcmp(in->name, name) && (!newest || in->stamp > newest->stamp))
            newest = in;
    }
    return newest;
}

/* Has a guest of that name come to run here after that time? A check of a move here, or an attempt that failed, says
 * nothing of where the guest is. */
static bool came_after(const char *name, u64 time)
{
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        const struct incoming *in = &migration_dest()->incoming[i];

        if (in->used && !strcmp(in->name, name) && in->stats.released > time)
            return true;
    }
    return false;
}

bool query_moved_away(const char *name, char to[TCP_ADDRESS_TEXT])
{
    const struct move *move = moves_find(name);

    if (!move || move->request.check || move->request.file.ops || move_stats(move)->status != MIGRATE_COMPLETED ||
        came_after(name, move->began))
        return false;
    tcp_address_text(&move->request.to, to);
    return true;
}

/* Show the last move of that name, whichever way it went. Epochs do not tell which that is: a VM that was made anew
 * begins with low ones. */
static int query_one(struct call *call, const char *name)
{
    const struct incoming *in = newest_incoming(name);
    const struct move *move = moves_find(name);

    if (move && (!in || move->began > in->stats.began))
        put_move(call->out, move);
    else if (in)
        put_incoming(call->out, in);
    else
        return call_fail(call, -ENOENT, "no move of a virtual machine '%.32s' is known here", name);
    return 0;
}

int command_query_migrate(struct call *call)
{
    struct json *out = call->out;
    const struct move *move;

    if (call->arg[0].given)
        return query_one(call, call->arg[0].text);
    json_array(out, "moves");
    for (unsigned i = 0; (move = moves_get(i)); i++) {
        json_object(out, NULL);
        put_move_head(out, move);
        json_close(out);
    }
    for (unsigned i = 0; i < DEST_ATTEMPTS; i++) {
        const struct incoming *in = &migration_dest()->incoming[i];

        if (!in->used || !in->name[0])
            continue;
        json_object(out, NULL);
        put_incoming_head(out, in);
        json_close(out);
    }
    json_close(out);
    return 0;
}

int command_query_peers(struct call *call)
{
    struct json *out = call->out;
    const struct peer *peer;

    json_array(out, "peers");
    for (unsigned i = 0; (peer = peers_get(i)); i++) {
        char address[TCP_ADDRESS_TEXT];

        tcp_address_text(&peer->address, address);
        json_object(out, NULL);
        json_string(out, "peer", address);
        json_string(out, "status", peer->own ? "this" : peer_status_name(peer->query.status));
        put_ms(out, "answer-time", peer->answered ? peer->answered - peer->began : 0);
        json_number(out, "claims", peer->query.heard);
        json_string(out, "found", peer->found);
        json_close(out);
    }
    json_close(out);
    return 0;
}

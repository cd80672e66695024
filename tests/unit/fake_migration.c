/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/fake_migration.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dirty/dirty_rate.h"
#include "dirty/vm_dirty.h"
#include "host/bits.h"
#include "guest/load/power.h"
#include "hv/vm.h"
#include "migrate/vm_files.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "control/dirty_trace.h"
#include "owners/peers.h"
#include "save/saving.h"

struct fake_migration fake_migration = { .status = MIGRATE_COMPLETED };

static struct config_migration settings = { .downtime_limit = 20, .max_rounds = 20 };
static struct dest dest;

struct config_migration *migration_settings(void)
{
    return &settings;
}

struct image_counters *image_counters(void)
{
    static struct image_counters counters;

    return &counters;
}

const struct dest *migration_dest(void)
{
    return &dest;
}

/* The guest of this move runs at its destination, on memory that is here. */
static const struct source *serve(const struct move *move)
{
    static struct source source;

    source.handoff.state = SOURCE_SERVING;
    source.stats = move->stats;
    return &source;
}

int migration_start(struct vm *vm, const struct migration_request *request, const char **reason)
{
    struct move *move = &fake_migration.move;

    if (fake_migration.moves) {
        *reason = "a move is under way";
        return -EBUSY;
    }
    fake_migration.moves = 1;
    *move = (struct move){ .request = *request, .log = DIRTY_DBIT };
    snprintf(move->name, sizeof(move->name), "%s", vm->name);
    move->stats = (struct migrate_stats){ .status = fake_migration.status,
                                          .epoch = 2,
                                          .total_time = 1234567890,
                                          .downtime = 12345678,
                                          .expected_downtime = 15000000,
                                          .total = 64 << 20,
                                          .remaining = 48 << 20,
                                          .dirty_sync_count = 2,
                                          .bytes_per_second = 1000000,
                                          .normal = 100,
                                          .accepted = { 1, 0, { "its clock would be another" } },
                                          .rounds = 1,
                                          .round[0] = { .pages = 100, .us = 1500 },
                                          .harvests = 1,
                                          .logged = { { .by_fault = 1, .harvested = 3, .harvest_ns = 1000 },
                                                      { .by_fault = 3,
                                                        .by_dbit = 30,
                                                        .by_hypervisor = 1,
                                                        .harvested = 36,
                                                        .scanned_regions = 4,
                                                        .scanned_entries = 2048,
                                                        .harvest_ns = 13999 } },
                                          .stopped = { .pages = 7, .us = 900 } };
    if (fake_migration.status == MIGRATE_FAILED) { /* before anything was sent */
        move->stats.error = WIRE_E_LINK;
        strcpy(move->stats.reason, "no connection to the destination");
        move->stats.normal = move->stats.downtime = move->stats.rounds = 0;
        move->log = DIRTY_OFF;
    }
    if (fake_migration.status >= MIGRATE_POSTCOPY_ACTIVE && fake_migration.status <= MIGRATE_POSTCOPY_RECOVER)
        move->live = serve(move);
    return 0;
}

void migration_limits_changed(void)
{
    fake_migration.limits_changed++;
}

int migration_cancel(struct vm *vm)
{
    struct migrate_stats *stats = &fake_migration.move.stats;

    (void)vm;
    if (fake_migration.moves && stats->status == MIGRATE_ACTIVE) {
        stats->status = MIGRATE_CANCELLED;
        stats->error = WIRE_E_CANCEL;
        strcpy(stats->reason, "cancelled");
    }
    return fake_migration.cancel;
}

int migration_resolve(struct vm *vm, enum resolution resolution)
{
    (void)vm;
    fake_migration.resolution = resolution;
    fake_migration.resolved++;
    return fake_migration.resolve;
}

bool migration_active(const struct vm *vm)
{
    (void)vm;
    return fake_migration.contested;
}

bool migration_stranded(const struct vm *vm, u64 *epoch)
{
    (void)vm;
    *epoch = fake_migration.stranded_epoch;
    return fake_migration.stranded_epoch;
}

int migration_settle(struct vm *vm, bool adopt)
{
    (void)vm;
    fake_migration.adopted = adopt;
    fake_migration.resolved++;
    return fake_migration.resolve;
}

bool asking_about(const struct vm *vm)
{
    return fake_migration.asking && !strcmp(vm->name, "web");
}

bool asking_may_start(struct vm *vm, bool came)
{
    (void)came;
    if (fake_migration.judged) {
        vm->status = VM_OFF;
        vm->elsewhere = 1;
    }
    return !fake_migration.judged;
}

int asking_force(struct vm *vm, char *reason, size_t room)
{
    return guest_power_on(vm, reason, room);
}

bool halves_of(const struct vm *vm, struct halves *halves)
{
    *halves = fake_migration.halves;
    return halves->missing && !strcmp(vm->name, "web");
}

u64 dest_missing(const struct dest *of, const struct incoming *in, u64 *ms)
{
    (void)of, (void)in;
    *ms = 250;
    return 300 * WIRE_PAGE;
}

enum migrate_status dest_fill_status(const struct incoming *in)
{
    (void)in;
    return MIGRATE_POSTCOPY_RECOVER;
}

const struct incoming *dest_stranded(const struct dest *of, const void *vm)
{
    static struct incoming in;

    (void)of, (void)vm;
    in.handoff.split = fake_migration.split;
    return fake_migration.stranded_epoch ? &in : NULL;
}

u64 source_missing(const struct source *source, u64 *ms)
{
    (void)source;
    *ms = LEFT_UNASKED;
    return 5 * WIRE_PAGE;
}

/* A move under way that may be split. */
int halves_make(struct vm *vm)
{
    (void)vm;
    return !fake_migration.moves || fake_migration.move.stats.status != MIGRATE_ACTIVE ? -ENOENT
           : fake_migration.move.request.file.ops                                      ? -ENODEV
           : fake_migration.move.request.verify                                        ? -ENOTSUP
                                                                                       : 0;
}

int halves_join(struct vm *vm)
{
    (void)vm;
    return fake_migration.halves.missing ? 0 : -ENOENT;
}

bool migration_unknown(const struct vm *vm)
{
    (void)vm;
    return fake_migration.contested_epoch == 8;
}

enum source_state migration_contested(const struct vm *vm, u64 *epoch)
{
    (void)vm;
    *epoch = fake_migration.contested_epoch;
    return fake_migration.contested;
}

bool migration_done_with(const struct vm *vm)
{
    (void)vm;
    return !fake_migration.busy;
}

int migration_forget(struct vm *vm)
{
    if (fake_migration.busy)
        return -EBUSY;
    list_del(&vm->node);
    return 0;
}

unsigned migration_settle_ended(void)
{
    return 2;
}

bool migration_outgoing(const struct vm *vm)
{
    (void)vm;
    return fake_migration.outgoing;
}

struct move *moves_get(unsigned index)
{
    return index < fake_migration.moves ? &fake_migration.move : NULL;
}

struct move *moves_find(const char *name)
{
    struct move *move = moves_get(0);

    return move && !strcmp(move->name, name) ? move : NULL;
}

int vm_files_send(struct move *move, u64 max_bandwidth, const char **reason)
{
    (void)max_bandwidth;
    *reason = "its last move has not brought it anywhere";
    if (move->stats.status != MIGRATE_COMPLETED)
        return -EBUSY;
    move->stats.files = FILES_COMING;
    return 0;
}

int vm_files_stop(struct move *move)
{
    bool come = move->stats.files == FILES_COMING;

    fake_migration.move.stats.files = FILES_FAILED;
    return come ? 0 : -ENOENT;
}

const struct migrate_stats *move_stats(const struct move *move)
{
    return &move->stats;
}

const struct peer *peers_get(unsigned index)
{
    static const struct peer peers[] = {
        { .address = { .bytes = { 192, 0, 2, 2 }, .port = 4900 }, .own = true },
        { .address = { .bytes = { 192, 0, 2, 3 }, .port = 4900 },
          .query = { .status = PEER_ANSWERED, .heard = 1 },
          .began = 1000000,
          .answered = 3500000,
          .found = "runs web, epoch 3" },
        { .address = { .bytes = { 192, 0, 2, 4 }, .port = 4901 }, .query = { .status = PEER_SILENT } },
    };

    return index < ARRAY_SIZE(peers) ? &peers[index] : NULL;
}

const char *peer_status_name(enum peer_status status)
{
    static const char *const names[] = { "unasked", "asked", "answered", "silent" };

    return names[status];
}

const struct claims_counters *claims_counters(void)
{
    static const struct claims_counters counters = { .said = 4, .heard = 5, .malformed = 6, .judged = { 7, 8, 9 } };

    return &counters;
}

const char *proof_verdict_name(enum proof_verdict verdict)
{
    static const char *const names[] = { "given", "unproven", "crowded", "version", "forged", "replayed" };

    return names[verdict];
}

struct migration_totals migration_totals(void)
{
    return (struct migration_totals){
        .completed = 3,
        .left_by = { [MODE_HYBRID] = 3 },
        .arrived_by = { [1 + MODE_DEMAND] = 4, [WIRE_MODE_IMAGE] = 5 },
        .superseded = 2,
        .wire_bytes = 1000,
        .forwarded = 12,
        .postcopy_requests = 15,
        .recoveries = 16,
        .questions = 14,
        .logged = { .harvested = 44, .by_fault = 11, .by_dbit = 33, .scanned_entries = 512, .harvest_ns = 1500000001 },
    };
}

const char *dirty_producer_name(enum dirty_producer producer)
{
    static const char *const names[] = { "off", "write-protect", "dbit", "pml" };

    return names[producer];
}

static struct dirty_rate dirty_rate;

int dirty_rate_start(struct vm *vm, u32 ms)
{
    (void)vm;
    dirty_rate = (struct dirty_rate){ .status = DIRTY_RATE_MEASURING, .calc_time = ms };
    return 0;
}

const struct dirty_rate *dirty_rate_of(const struct vm *vm)
{
    (void)vm;
    return &dirty_rate;
}

/* An interval of 100 ms with two runs, of 2 and of 8 pages; then the end. */
static const char stream[] = "godwit-dirty-trace 1 vm=web pages=64 page=4096 every-ms=100 for-ms=100 producer=dbit\n"
                             "I\xA0\x8D\x06\x03\x02\x20\x08\0\0Ewhole\n";
static struct dirty_trace dirty_trace;

int dirty_trace_start(struct vm *vm, u32 every_ms, u32 for_ms)
{
    if (dirty_trace.status == DIRTY_TRACE_TRACING)
        return -EBUSY;
    dirty_trace = (struct dirty_trace){
        .status = DIRTY_TRACE_TRACING, .every_ms = every_ms, .for_ms = for_ms, .put = sizeof(stream) - 1
    };
    snprintf(dirty_trace.vm, sizeof(dirty_trace.vm), "%s", vm->name);
    return 0;
}

int dirty_trace_stop(void)
{
    int err = dirty_trace.status == DIRTY_TRACE_TRACING ? 0 : -EINVAL;

    dirty_trace.status = DIRTY_TRACE_ENDED;
    snprintf(dirty_trace.reason, sizeof(dirty_trace.reason), "stopped");
    return err;
}

const struct dirty_trace *dirty_trace_query(void)
{
    return &dirty_trace;
}

void dirty_trace_take(u64 offset)
{
    dirty_trace.taken = offset;
}

size_t dirty_trace_read(u64 *offset, char *bytes, size_t room)
{
    size_t len = MIN(room, MIN((size_t)10, (size_t)(dirty_trace.put - MIN(*offset, dirty_trace.put))));

    memcpy(bytes, stream + MIN(*offset, dirty_trace.put), len);
    if (*offset + len == dirty_trace.put)
        dirty_trace.status = DIRTY_TRACE_ENDED;
    return len;
}

/* IPv4 only: the real one is lwIP's. */
int tcp_address_parse(const char *text, u16 port, struct tcp_address *address)
{
    char name[32];
    unsigned given = port;

    if (sscanf(text, "%31[0-9.]:%u", name, &given) < 1 || inet_pton(AF_INET, name, address->bytes) != 1)
        return -EINVAL;
    address->ip6 = false;
    address->port = (u16)given;
    return 0;
}

void tcp_address_text(const struct tcp_address *address, char text[TCP_ADDRESS_TEXT])
{
    const u8 *b = address->bytes;

    snprintf(text, TCP_ADDRESS_TEXT, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], address->port);
}

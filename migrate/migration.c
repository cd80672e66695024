/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "migrate"
#include "migrate/migration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/context.h"
#include "host/log.h"
#include "host/rtc.h"
#include "host/host_work.h"
#include "hv/vm.h"
#include "owners/allowed.h"
#include "owners/announcer.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "migrate/moves.h"
#include "stream/reception.h"
#include "stream/tcp_transport.h"
#include "migrate/vm_dest.h"
#include "migrate/vm_ended.h"
#include "migrate/vm_files.h"
#include "stream/vm_history.h"
#include "migrate/vm_source.h"
#include "host/frame.h"
#include "mm/guest_missing.h"
#include "net/netif.h"
#include "net/uplink.h"

#define POLL_NS 10000000ULL /* while something is under way: to see time-outs, and what no event tells us */

static struct config_migration settings;
static struct reception reception;
static struct migration_totals totals;

struct config_migration *migration_settings(void)
{
    return &settings;
}

const struct dest *migration_dest(void)
{
    return &vm_dest;
}

/* --- Away from here ----------------------------------------------------------------------------------------- */

static struct vm_source *source_make(struct vm *vm)
{
    struct vm_source *from = vm_source_find(vm);

    if (from)
        return from;
    from = calloc(1, sizeof(*from));
    if (!from)
        return NULL;
    from->vm = vm;
    from->totals = &totals;
    source_init(&from->source, &vm_source_ops, from, vm->identity.id, vm->identity.epoch, claims_owner());
    list_add_tail(&vm_sources, &from->node);
    return from;
}

static void add_postcopy(struct migration_totals *to, const struct migrate_stats *stats)
{
    to->postcopy_bytes += stats->postcopy_bytes;
    to->postcopy_requests += stats->postcopy_requests;
    to->recoveries += stats->recoveries;
}

static void move_count(const struct move *move)
{
    totals.wire_bytes += move->stats.wire_bytes;
    totals.forwarded += move->stats.forwarded;
    add_postcopy(&totals, &move->stats);
    migrate_logged(&move->stats, 0, move->stats.harvests, &totals.logged);
    if (move->request.check || move->request.file.ops)
        return;
    totals.completed += move->stats.status == MIGRATE_COMPLETED;
    totals.left_by[move->request.mode] += move->stats.status == MIGRATE_COMPLETED;
    totals.failed += move->stats.status == MIGRATE_FAILED;
    totals.cancelled += move->stats.status == MIGRATE_CANCELLED;
}

/* A move is over. Files that are sent after one that was over before add to what was sent in it. */
static void move_end(struct vm_source *from)
{
    u64 before = from->move->stats.wire_bytes;

    vm_source_end(from);
    from->move->stats = from->source.stats;
    from->move->live = NULL;
    if (from->again)
        totals.wire_bytes += from->move->stats.wire_bytes - before;
    else
        move_count(from->move);
    from->move = NULL;
}

/* For a constant text as *reason; returns err. */
static int refuse(int err, const char *text, const char **reason)
{
    *reason = text;
    return err;
}

int migration_start(struct vm *vm, const struct migration_request *request, const char **reason)
{
    struct migrate_settings engine = move_settings(&settings, request);
    char text[TCP_ADDRESS_TEXT];
    struct vm_source *from;
    int err;

    assert_host_loop();
    if (!netif_port_configured())
        return refuse(-EINVAL, "this machine has no network, expected a [net] section in its configuration", reason);
    if (!request->file.ops && !tcp_transport_may(&request->to, reason))
        return -EINVAL;
    from = source_make(vm);
    if (!from)
        return refuse(-ENOMEM, "no memory", reason);
    if (guest_mem_missing_count(&vm->mem))
        return refuse(-EBUSY, "pages of it are missing here until its move is complete: see vms, and pull", reason);
    if (vm->mem.dirty.producer != DIRTY_OFF && !from->source.logging && !request->check)
        return refuse(-EBUSY, "its dirty log is in use, by calc-dirty-rate, dirty-trace or the dirty-log of its [vm]",
                      reason);
    if (!from->move && moves_full())
        return refuse(-EBUSY, "too many moves are under way", reason);
    if (!source_settle(&from->source))
        return refuse(-EBUSY, "a move is under way or in doubt, or it is protected: see query-migrate, query-protect",
                      reason);
    if (from->move)
        move_end(from);
    from->to = request->to;
    from->cold = move_cold(request);
    from->log = (enum dirty_producer)settings.dirty_log;
    from->split = (enum dirty_split)settings.dirty_split;
    err = source_start(&from->source, &engine);
    if (err)
        return refuse(err, err == -ENOMEM ? "no memory" : err == -EPERM ? "it is not ours to move" : "failed", reason);
    from->file = request->file;
    from->move = moves_begin(from, request);
    move_peer(request, text);
    if (!request->quiet)
        pr_info("%s: %s to %s, epoch %lu", vm->name, request->check ? "check of a move" : "move", text,
                from->source.stats.epoch);
    return 0;
}

void migration_limits_changed(void)
{
    list_each (struct vm_source, from, &vm_sources)
        source_limit(&from->source, settings.downtime_limit, settings.max_bandwidth);
}

int migration_cancel(struct vm *vm)
{
    struct vm_source *from = vm_source_find(vm);

    assert_host_loop();
    if (vm->status == VM_INCOMING)
        return dest_cancel(&vm_dest, vm);
    return from ? source_cancel(&from->source) : -ENOENT;
}

int migration_resolve(struct vm *vm, enum resolution resolution)
{
    struct vm_source *from = vm_source_find(vm);

    vm->reason[0] = '\0'; /* source_told() */
    return from ? source_resolve(&from->source, resolution) : -ENOENT;
}

bool migration_active(const struct vm *vm)
{
    const struct vm_source *from = vm_source_find(vm);

    return from && source_active(&from->source);
}

enum source_state migration_contested(const struct vm *vm, u64 *epoch)
{
    const struct vm_source *from = vm_source_find(vm);
    enum source_state state = from ? from->source.handoff.state : SOURCE_OWNER;

    if (state != SOURCE_IN_DOUBT && state != SOURCE_SERVING && state != SOURCE_SUPERSEDED)
        return SOURCE_OWNER;
    *epoch = from->source.handoff.proposed;
    return state;
}

bool migration_outgoing(const struct vm *vm)
{
    const struct vm_source *from = vm_source_find(vm);

    return from && from->frozen && from->source.stage != STAGE_TAKE;
}

bool migration_unknown(const struct vm *vm)
{
    const struct vm_source *from = vm_source_find(vm);

    return from && from->source.handoff.lost;
}

bool migration_owns(const struct vm *vm)
{
    const struct vm_source *from = vm_source_find(vm);

    return (vm_running(vm) || vm->status == VM_PAUSED) && (!from || source_owns(&from->source.handoff));
}

bool migration_holds(const struct vm *vm, u64 *epoch)
{
    const struct vm_source *from = vm_source_find(vm);
    const struct incoming *in = dest_find(&vm_dest, vm, DEST_PREPARED);

    if (from && source_holds(&from->source.handoff))
        *epoch = from->source.handoff.proposed;
    else if (in && !in->handoff.split) /* else the source has a part of it */
        *epoch = in->handoff.epoch;
    else
        return false;
    return true;
}

/* Tell the source of a claim. If the VM stands because of it, `reason` names the other owner until somebody decides. */
static void source_told(struct vm *vm, struct vm_source *from, const struct wire_claim *claim, u64 age)
{
    const struct handoff_source *handoff = &from->source.handoff, before = *handoff;
    const u8 *a = claim->ip4;

    source_heard(&from->source, claim, age);
    if (handoff->state != SOURCE_SUPERSEDED ||
        (before.state == SOURCE_SUPERSEDED && before.proposed == handoff->proposed))
        return;
    snprintf(vm->reason, sizeof(vm->reason), "%.31s at %u.%u.%u.%u, epoch %lu", claim->name, a[0], a[1], a[2], a[3],
             claim->epoch);
    pr_warn("%s: superseded, another machine owns it: %s", vm->name, vm->reason);
}

/* Another machine claims this VM. Returns false if the epoch is noise. */
static bool vm_heard(struct vm *vm, const struct wire_claim *claim)
{
    struct vm_source *from = vm_source_find(vm);
    u64 age = claims_age_ms(vm);
    bool loses = claim->epoch == vm->identity.epoch && !claim_prevails(claim, claims_owner(), age);

    if (claim->epoch < vm->identity.epoch || loses) {
        claims_say_to(vm, claim->epoch, loses && !claim_judges(claim, claims_owner()) ? claim->owner : 0);
        return true;
    }
    if (!vm_alive(vm) || vm->status == VM_CREATED)
        return true;
    if (epoch_is_noise(from ? from->source.handoff.proposed : vm->identity.epoch, claim->epoch))
        return false;
    from = source_make(vm);
    if (from)
        source_told(vm, from, claim, age);
    else
        pr_err("%s: another machine owns it, and there is no memory to note that", vm->name);
    return true;
}

bool migration_heard(const struct wire_claim *claim)
{
    bool credible = true;

    if (claim->epoch > EPOCH_CLAIM)
        return false;
    dest_heard(&vm_dest, claim);
    list_each (struct vm, vm, vm_list()) {
        if (!memcmp(vm->identity.id, claim->vm_id, WIRE_ID))
            credible &= vm_heard(vm, claim);
    }
    return credible;
}

bool migration_stranded(const struct vm *vm, u64 *epoch)
{
    const struct incoming *in = dest_stranded(&vm_dest, vm);

    if (in)
        *epoch = in->handoff.epoch;
    return in;
}

int migration_settle(struct vm *vm, bool adopt)
{
    return dest_resolve(&vm_dest, vm, adopt);
}

int migration_protect(struct vm *vm, enum protect_order order, u64 epoch)
{
    struct vm_source *from = vm_source_find(vm);

    return from ? source_protect(&from->source, order, epoch) : dest_protect(&vm_dest, vm, order);
}

bool migration_protect_info(const struct vm *vm, struct protect_info *info)
{
    const struct vm_source *from = vm_source_find(vm);

    return from ? source_protect_info(&from->source, info) : dest_protect_info(&vm_dest, vm, info);
}

struct migration_totals migration_totals(void)
{
    struct migration_totals now = totals;

    now.questions = reception.questions;
    list_each (const struct vm_source, from, &vm_sources) {
        now.active += source_active(&from->source);
        if (from->move)
            add_postcopy(&now, &from->source.stats);
    }
    now.incoming = dest_held(&vm_dest);
    now.incoming_limit = vm_dest.limit;
    now.incoming_limit_per_host = vm_dest.limit_per_host;
    return now;
}

/* No move of this VM is under way any more. */
static void source_clear(struct vm_source *from)
{
    struct move *move = from->move;

    if (move)
        move_end(from);
    if (!from->gone)
        return;
    forward_end(&from->forward);
    list_del(&from->node);
    free(from);
    if (move)
        vm_files_due(move, settings.max_bandwidth);
}

/* When, by the TSC, has it something to do though nothing happens? */
static u64 source_due(const struct vm_source *from)
{
    u64 due, now = clock_ns();

    if (!source_protect_due(&from->source, &due) && !source_watch_due(&from->source, &due))
        return ~0ULL;
    return rdtsc() + clock_ns_to_ticks(MAX(due, now) - now);
}

/* Do the source's next step. Returns true if more can be done at once; `next` comes down to when it is due. */
static bool source_turn(struct vm_source *from, u64 *next)
{
    bool more;

    /* If the guest has ended there is nothing to move. */
    if (from->vm && !vm_alive(from->vm) && !from->cold.on && source_cancel(&from->source) == -EBUSY)
        source_protect_ended(&from->source);
    more = source_step(&from->source);
    if (from->source.stage == STAGE_FOLLOW) /* which may take long, and no frames are sent on any more */
        forward_end(&from->forward);
    if (from->gone && from->vm) {
        pr_info("%s: gone to epoch %lu", from->vm->name, from->source.handoff.epoch);
        vm_ended_destroy(from->vm);
    }
    if (source_active(&from->source))
        *next = MIN(*next, source_due(from));
    else
        source_clear(from); /* which may free it */
    return more;
}

/* --- To here, and the host loop -------------------------------------------------------------------------------- */

void migration_take(const struct transport *transport, const struct wire_header *header, const char *peer)
{
    if (dest_accept(&vm_dest, transport, header, peer))
        pr_warn("connection from %s refused: too many", peer);
    else if (!header || !(header->required & WIRE_FEATURE_PROTECT)) /* such a guest is brought again and again */
        pr_info("connection from %s", peer);
}

static const struct reception_ops visits = { .now = clock_ns, .answer = allowed_answer, .pass_on = migration_take };

static void accepted(struct tcp_stream *stream)
{
    struct transport transport = tcp_transport(stream);
    char peer[RECEPTION_PEER];

    tcp_transport_peer(stream, peer, sizeof(peer));
    reception_accept(&reception, &transport, peer);
}

static u64 migration_poll(void)
{
    u64 next = MIN(MIN(announcer_poll(), claims_poll()), asking_poll());
    bool more = false, busy = false;

    list_each_safe (struct vm_source, from, &vm_sources) {
        /* A move that has just ended, by a command perhaps, is still to be cleared away. */
        if (!source_active(&from->source) && !from->move && !from->gone) {
            vm_source_idle(from);
            continue;
        }
        busy = true;
        more |= source_turn(from, &next);
    }
    if (reception_busy(&reception)) {
        busy = true;
        more |= reception_step(&reception);
    }
    if (dest_busy(&vm_dest)) {
        busy = true;
        more |= dest_step(&vm_dest);
    }
    vm_ended_bury();
    tcp_stream_push_all();
    if (more)
        return rdtsc();
    return busy ? MIN(next, rdtsc() + clock_ns_to_ticks(POLL_NS)) : next;
}

/* If the VM has just left, frames for it are no longer sent on. */
static void returns(const struct vm *vm)
{
    list_each (struct vm_source, from, &vm_sources) {
        if (from->gone && !memcmp(from->source.vm_id, vm->identity.id, VM_ID))
            forward_end(&from->forward);
    }
}

static void note_arrival(struct vm *vm, const struct incoming *in, u64 stood)
{
    struct history_move move = { .epoch = in->handoff.epoch, .at = rtc_now_ns(), .stood = stood };

    move.mode = in->cold ? HISTORY_COLD : in->handoff.split ? HISTORY_SPLIT : HISTORY_WHOLE;
    snprintf(move.from, sizeof(move.from), "%s", in->peer);
    vm_history_add(vm, &move);
    totals.arrived_by[in->mode]++;
}

/* Ended VMs of the same name or identity are forgotten. */
static void arrived(struct vm *vm, u64 stood)
{
    vm_ended_make_way(vm);
    totals.arrived++;
    each_attempt (in, &vm_dest)
        if (in->used && in->vm == vm)
            note_arrival(vm, in, stood);
}

static const struct vm_dest_watcher watcher = { returns, arrived };
static const struct claims_ops claims_ops = { migration_owns, migration_holds, migration_heard };

void migration_init(const struct config_migration *config)
{
    u64 free = frame_stats().free << PAGE_SHIFT;

    settings = *config;
    vm_dest_watch(&watcher);
    announcer_init(&settings.announce);
    dest_init(&vm_dest, &vm_dest_ops, NULL);
    dest_limit(&vm_dest, config->incoming_memory ? config->incoming_memory : free - free / 16,
               config->incoming_memory_per_host ? config->incoming_memory_per_host : free - free / 8);
    reception_init(&reception, &visits);
    moves_init();
    host_work_add(migration_poll);
    tcp_transport_insecure(config->insecure);
    claims_init(config->port != 0, &claims_ops);
    if (!config->port)
        return;

    int err = tcp_stream_listen((u16)config->port, tcp_transport_trust(), accepted);

    if (err)
        pr_err("cannot listen on port %u: error %d", config->port, err);
    else
        pr_info("port %u takes guests%s", config->port, uplink_mac() ? "" : "; but there is no network card");
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* An order to an end of the stream may end it at once, and report that from within: so it is the last thing of an
 * action. */
#define LOG_PREFIX "protect"
#include "protect/guarding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/platform.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "migrate/migration.h"
#include "net/netif.h"
#include "net/output.h"
#include "owners/announcer.h"
#include "owners/claims.h"
#include "owners/handoff.h"
#include "protect/failovers.h"

#define WAIT_NS (2 * NS_PER_S)   /* for what decides; or the limit, where that is longer */
#define AGAIN_NS (NS_PER_S / 10) /* until that is tried again which could not be done */

static const char *const states[] = { "alone", "joining", "protected", "parting", "handed",
                                      "lost",  "standby", "asking",    "taken",   "gone" };

/* What has brought a guard into another state, in words. */
static const char *const events[NR_GUARD_EVENTS] = {
    [GUARD_DEED] = "by its deed",
    [GUARD_SILENT] = "the other machine is silent",
    [GUARD_LINK_LOST] = "the connection has ended",
    [GUARD_ABORTED] = "the copy there was given up",
    [GUARD_RUNNING] = "it runs there",
    [GUARD_OWNER_HEARD] = "the primary runs it",
    [GUARD_OVERRULED] = "another machine claims it",
    [GUARD_STOPPED] = "it stands for its first copy",
    [GUARD_PREPARED] = "the copy is whole",
    [GUARD_STALLED] = "no checkpoint is acknowledged",
    [GUARD_LAST] = "an operator sends it there",
    [GUARD_WAITED] = "no answer has come",
    [GUARD_COMMIT] = "the primary hands it over",
    [GUARD_ABORT] = "the primary gives the copy up",
    [GUARD_QUERY] = "the primary gives the copy up",
    [GUARD_GIVE_UP] = "an operator gives the copy up",
    [GUARD_LEAVE] = "protection ends",
    [GUARD_FORCE] = "an operator has decided",
};

bool guarding_me(struct deed_host *me)
{
    u32 ip4 = netif_port_ip4();

    *me = (struct deed_host){ .owner = claims_owner(), .port = (u16)migration_settings()->port };
    memcpy(me->ip4, &ip4, sizeof(me->ip4));
    return ip4;
}

bool guarding_is_here(const struct deed_host *host)
{
    struct deed_host me;

    return guarding_me(&me) && !memcmp(host->ip4, me.ip4, sizeof(me.ip4));
}

static struct port *port_of(const struct vm *vm)
{
    return &platform_of(vm)->net.port;
}

/* --- Actions ------------------------------------------------------------------------------------------------------ */

static void ask(struct protection *p)
{
    struct deed wanted = guard_wanted(&p->guard);

    notary_swap(&p->notary, &wanted);
}

/* The copy there will never run; by an operator's word the guest gets an epoch above all that are known. An attempt
 * whose copy is not prepared yet is broken off as any move. */
static void go_on_alone(struct protection *p, struct vm *vm)
{
    p->paused = false;
    if (p->forced && !migration_resolve(vm, RESOLUTION_FORCE_RESUME))
        return;
    if (migration_protect(vm, PROTECT_ALONE, 0)) /* nothing is in doubt: COMMIT was not said yet */
        migration_cancel(vm);
}

/* The guest stands for another machine's: whose, is its reason, with the epoch that `resolve` asks for. */
static void name_owner(const struct protection *p, struct vm *vm, u64 epoch)
{
    const struct deed *deed = &p->notary.deed;
    bool named = p->notary.known && deed->present && deed->owner.owner != p->guard.me.owner;
    const u8 *a = named ? deed->owner.ip4 : p->guard.other.ip4;

    if (!vm->reason[0])
        snprintf(vm->reason, sizeof(vm->reason), "%s at %u.%u.%u.%u, epoch %lu", vm->name, a[0], a[1], a[2], a[3],
                 epoch);
}

static void carry_out(struct protection *p, struct vm *vm, unsigned actions, u64 number)
{
    static const struct {
        unsigned action;
        enum protect_order order;
    } orders[] = {
        { GUARD_DO_CLOSE, PROTECT_CLOSE },          { GUARD_DO_SAY_QUERY, PROTECT_PART },
        { GUARD_DO_SAY_CHECKPOINTED, PROTECT_SAY }, { GUARD_DO_SAY_PREPARED, PROTECT_STILL },
        { GUARD_DO_ADOPT, PROTECT_ADOPT },
    };
    u64 epoch = MAX(p->guard.epoch, p->notary.known ? p->notary.deed.epoch : 0);

    if (actions & GUARD_DO_STAND) {
        name_owner(p, vm, epoch);
        migration_protect(vm, PROTECT_STAND, epoch);
    }
    if (actions & GUARD_DO_DROP)
        port_output_drop(port_of(vm));
    if (actions & GUARD_DO_RELEASE)
        port_output_release(port_of(vm), number);
    if (actions & GUARD_DO_OPEN)
        port_output_end(port_of(vm));
    if (actions & GUARD_DO_ASK)
        ask(p);
    if (actions & GUARD_DO_READ)
        notary_read(&p->notary, clock_ns() + NS_PER_S);
    p->hand |= actions & GUARD_DO_SAY_COMMIT;
    for (unsigned i = 0; i < ARRAY_SIZE(orders); i++)
        if (actions & orders[i].action)
            migration_protect(vm, orders[i].order, 0);
    if (actions & GUARD_DO_FREE) /* if a takeover may be done, nobody is told that it is not */
        migration_protect(vm, actions & GUARD_DO_SAY_ABORTED ? PROTECT_FREE : PROTECT_FORGET, 0);
    if (actions & GUARD_DO_PAUSE) /* a guest that is just being reset can't be stopped yet: see_late() tries again */
        p->paused = !migration_protect(vm, PROTECT_PAUSE, 0);
    if (actions & GUARD_DO_RUN)
        go_on_alone(p, vm);
}

/* --- What a failover was ------------------------------------------------------------------------------------------ */

static enum failover_cause cause_of(enum guard_event event)
{
    switch (event) {
    case GUARD_COMMIT: return FAILOVER_PLANNED;
    case GUARD_FORCE: return FAILOVER_FORCED;
    case GUARD_OVERRULED: return FAILOVER_CLAIM;
    default: return FAILOVER_SILENCE;
    }
}

/* The one to here that is under way; NULL: none, or so many others have come since that its place is another's. */
static struct failover *failover_of(const struct protection *p)
{
    return p->failover && !memcmp(p->failover->vm_id, p->vm_id, VM_ID) ? p->failover : NULL;
}

/* The secondary has left STANDBY, or ASKING. */
static void note_failover(struct protection *p, const struct vm *vm, enum guard_event event, enum guard_state before)
{
    struct failover *failover = failover_of(p);
    struct protect_info info;

    if (p->guard.state == GUARD_GONE && failover)
        failover->lost = true;
    if (p->guard.state == GUARD_GONE)
        p->failover = NULL;
    if (p->guard.state != GUARD_ASKING && p->guard.state != GUARD_TAKEN)
        return;
    if (before == GUARD_STANDBY) {
        p->failover = failover = failovers_add(vm);
        failover->epoch = p->guard.epoch;
        failover->cause = cause_of(event);
        failover->heard = p->heartbeat.heard;
        failover->noticed = clock_ns();
        if (migration_protect_info(vm, &info))
            failover->checkpoint = info.number;
    }
    if (p->guard.state == GUARD_TAKEN && failover)
        failover->won = clock_ns();
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

/* Before anything else is judged: a swap that has left this machine may be done. It leaves within the call that asks,
 * long before the next turn of the host loop. */
static void see_sent(struct protection *p)
{
    if (p->guard.asked || !notary_sent(&p->notary))
        return;
    guard_event(&p->guard, GUARD_SENT, NULL);
    if (failover_of(p))
        p->failover->asked = clock_ns();
}

static void event_with(struct protection *p, struct vm *vm, enum guard_event event, u64 number, const struct deed *deed)
{
    enum guard_state before = p->guard.state;
    unsigned actions;

    see_sent(p);
    actions = guard_event(&p->guard, event, deed);
    if (p->guard.state != before) {
        p->since = clock_ns();
        p->hand = false;
        notary_stop(&p->notary);
        note_failover(p, vm, event, before);
        if (p->prepared || p->tries <= 1) /* else it is one more try to make a copy */
            pr_info("%s: epoch %lu, %s, was %s: %s", vm->name, p->guard.epoch, states[p->guard.state], states[before],
                    events[event]);
        if (event != GUARD_DEED && before != GUARD_PARTING) /* it says why it was parted from */
            snprintf(p->reason, sizeof(p->reason), "%s", events[event]);
        p->forced = event == GUARD_FORCE;
        if (p->guard.state == GUARD_PARTING || p->guard.state == GUARD_HANDED) /* it is not held */
            announcer_stop(vm);
    }
    carry_out(p, vm, actions, number);
}

void guarding_event(struct protection *p, struct vm *vm, enum guard_event event, u64 number)
{
    event_with(p, vm, event, number, NULL);
}

void guarding_deed(struct protection *p, struct vm *vm)
{
    struct deed deed = p->notary.deed;

    event_with(p, vm, GUARD_DEED, 0, &deed);
}

/* --- What the ends of the stream report --------------------------------------------------------------------------- */

/* There are two copies from now on. */
static void begin(struct protection *p, enum guard_state state, const struct protect_info *info,
                  const struct tcp_address *address)
{
    struct deed_host me, other = { .owner = info->other, .port = address->port };

    guarding_me(&me);
    memcpy(other.ip4, address->bytes, sizeof(other.ip4));
    guard_init(&p->guard, state, witness_configured(), info->epoch, &me, &other);
    p->heartbeat = (struct heartbeat){ .to = *address, .epoch = info->epoch, .me = me.owner, .other = info->other };
    p->heartbeat.limit = info->limit_ms * NS_PER_MS;
    p->heartbeat.patience = state == GUARD_STANDBY ? p->heartbeat.limit : p->heartbeat.limit * 2 / 3;
    memcpy(p->heartbeat.vm_id, p->vm_id, sizeof(p->heartbeat.vm_id));
    p->guarded = true;
    p->prepared = p->hand = p->paused = false;
    p->since = clock_ns();
    notary_stop(&p->notary);
}

static void start_beating(struct protection *p)
{
    heartbeat_begin(&p->heartbeat);
    p->beating = true;
}

void guarding_end(struct protection *p)
{
    if (p->beating)
        heartbeat_end(&p->heartbeat);
    p->beating = p->guarded = p->notary.known = false;
    p->next_try = clock_ns() + NS_PER_S;
}

static int stopped(struct protection *p, struct vm *vm)
{
    struct protect_info info;

    if (!migration_protect_info(vm, &info))
        return -EINVAL;
    port_output_hold(port_of(vm));
    begin(p, GUARD_ALONE, &info, &p->peer);
    guarding_event(p, vm, GUARD_STOPPED, 0);
    return 0;
}

static void source_prepared(struct protection *p, struct vm *vm)
{
    p->prepared = true;
    p->since = clock_ns();
    start_beating(p);
    guarding_event(p, vm, GUARD_PREPARED, 0);
}

static void checkpointed(struct protection *p, struct vm *vm, bool last, u64 number)
{
    heartbeat_note(&p->heartbeat, clock_ns());
    if (p->heartbeat.silent)
        return; /* this machine was away: its frames would be too late */
    if (p->guard.state == GUARD_PROTECTED)
        p->since = clock_ns();
    guarding_event(p, vm, GUARD_CHECKPOINTED, number);
    if (last)
        guarding_event(p, vm, GUARD_LAST, number);
}

/* The attempt has ended before there was a copy. */
static void note_failure(struct protection *p, const struct vm *vm)
{
    const struct move *move = moves_find(vm->name);

    if (move)
        protection_failed(p, vm, move_stats(move)->reason);
}

static void source_over(struct protection *p, struct vm *vm)
{
    u64 epoch;

    p->next_try = clock_ns() + MAX(p->delay, NS_PER_S);
    if (!p->guarded) {
        port_output_drop(port_of(vm)); /* it never came to hold */
        note_failure(p, vm);
        return;
    }
    if (migration_contested(vm, &epoch) == SOURCE_SUPERSEDED)
        guarding_event(p, vm, GUARD_OVERRULED, 0);
    else if (!migration_owns(vm) && !vm_ended(vm))
        guarding_event(p, vm, GUARD_RUNNING, 0);
    else /* an operator has resolved it, or there never was a whole copy */
        guarding_event(p, vm, p->prepared ? GUARD_FORCE : GUARD_LEAVE, 0);
    p->lost = p->guard.state == GUARD_LOST;
    if (p->lost || p->guard.state == GUARD_GONE)
        p->wanted = false; /* who has it now protects it */
    if (!p->prepared && p->guard.state == GUARD_ALONE)
        note_failure(p, vm);
    if (p->guard.state != GUARD_PARTING)
        guarding_end(p);
}

/* Contract: struct protect_watcher. */
static int source_reports(struct vm *vm, enum protect_event event, u64 number)
{
    struct protection *p = protection_of(vm);

    if (!p || (!p->guarded && event != PROTECT_STOPPED && event != PROTECT_OVER))
        return 0;
    switch (event) {
    case PROTECT_STOPPED: return stopped(p, vm);
    case PROTECT_PREPARED: source_prepared(p, vm); break;
    case PROTECT_TAKEN: port_output_mark(port_of(vm), number); break;
    case PROTECT_CHECKPOINTED:
    case PROTECT_LAST: checkpointed(p, vm, event == PROTECT_LAST, number); break;
    case PROTECT_NO_ROOM:
    case PROTECT_ENDED:
        guarding_event(p, vm, GUARD_LEAVE, 0);
        if (event == PROTECT_NO_ROOM)
            snprintf(p->reason, sizeof(p->reason), "it has written more than a checkpoint may have");
        break;
    case PROTECT_LINK_LOST: guarding_event(p, vm, GUARD_LINK_LOST, 0); break;
    case PROTECT_ABORTED: guarding_event(p, vm, GUARD_ABORTED, 0); break;
    case PROTECT_OVER: source_over(p, vm); break;
    default: break; /* UNKNOWN tells nothing: it may have asked before it was started anew */
    }
    return 0;
}

/* The copy is prepared: this machine is the secondary. */
static void standby(struct vm *vm)
{
    struct protection *p = protection_make(vm);
    struct tcp_address peer;
    struct protect_info info;
    bool known = p && migration_protect_info(vm, &info);
    const char *address = known ? strchr(info.peer, '@') : NULL; /* behind the peer's name, if it has one */

    if (!known || tcp_address_parse(address ? address + 1 : info.peer, 0, &peer)) {
        migration_protect(vm, PROTECT_FREE, 0);
        return;
    }
    if (p->guarded)
        guarding_end(p);
    p->notary.known = false; /* a swap is of a deed that was read since there are two copies */
    peer.port = (u16)migration_settings()->port;
    p->peer = peer;
    p->interval = info.interval_ms;
    p->lost = false;
    p->tries = 0;
    begin(p, GUARD_STANDBY, &info, &peer);
    start_beating(p);
}

/* Force takes an epoch above all that are known here: so whoever else runs it stands, by claims and by the deed alike.
 */
static void take_forced_epoch(const struct protection *p, struct vm *vm)
{
    u64 known = MAX(p->guard.epoch, p->notary.known ? p->notary.deed.epoch : 0);

    vm->identity.epoch = epoch_forced(known, EPOCH_FORCE + claims_owner() % EPOCH_FORCE);
}

/* The guest runs here now: it is to be protected where it came from. */
static void dest_over(struct protection *p, struct vm *vm, u64 code)
{
    if (code && p->guard.state != GUARD_GONE)
        pr_info("%s: the copy of epoch %lu is void", vm->name, p->guard.epoch);
    if (!code) {
        if (p->forced)
            take_forced_epoch(p, vm);
        failovers_won();
        if (failover_of(p))
            p->failover->running = clock_ns();
        p->wanted = true;
        snprintf(p->reason, sizeof(p->reason), "it has just gone on here");
    }
    p->failover = NULL;
    guarding_end(p);
}

/* The copy here, which has lost, is in the way of a new one of the same guest. It goes if the deed names another owner.
 */
static void give_way(struct protection *p, struct vm *vm, u64 epoch)
{
    struct deed_host me;

    guarding_me(&me);
    if (!p->lost || epoch <= p->guard.epoch)
        return;
    if (!p->notary.known)
        notary_read(&p->notary, 0);
    else if (p->notary.deed.present && p->notary.deed.owner.owner != me.owner && p->notary.deed.epoch >= p->guard.epoch)
        migration_resolve(vm, RESOLUTION_FORCE_GIVE_UP);
}

/* Contract: struct protect_watcher. */
static void dest_reports(struct vm *vm, enum protect_event event, u64 number)
{
    struct protection *p = protection_of(vm);

    if (event == PROTECT_STANDBY)
        standby(vm);
    if (p && event == PROTECT_RESERVED)
        give_way(p, vm, number);
    if (!p || !p->guarded || event == PROTECT_STANDBY)
        return;
    switch (event) {
    case PROTECT_CHECKPOINTED: guarding_event(p, vm, GUARD_CHECKPOINT, number); break;
    case PROTECT_COMMIT: guarding_event(p, vm, GUARD_COMMIT, 0); break;
    case PROTECT_ABORT:
        guarding_event(p, vm, number == 0 ? GUARD_ABORT : number == 1 ? GUARD_QUERY : GUARD_GIVE_UP, 0);
        break;
    case PROTECT_OWNER_HEARD: guarding_event(p, vm, GUARD_OWNER_HEARD, 0); break;
    case PROTECT_HIGHER_EPOCH: guarding_event(p, vm, GUARD_OVERRULED, 0); break;
    case PROTECT_OVER: dest_over(p, vm, number); break;
    default: break; /* a lost connection: silence decides */
    }
}

void guarding_start(void)
{
    static const struct protect_watcher watcher = { source_reports, dest_reports };

    migration_protect_watch(&watcher);
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

/* What has not come within the time for it becomes an event. Returns when that may be so next. */
static u64 see_late(struct protection *p, struct vm *vm)
{
    const struct guard *guard = &p->guard;
    u64 limit = MAX(WAIT_NS, p->heartbeat.limit);
    enum guard_event late = GUARD_WAITED;

    switch (guard->state) {
    case GUARD_JOINING: late = GUARD_LEAVE; break;
    case GUARD_PROTECTED: late = GUARD_STALLED; break;
    case GUARD_PARTING: limit = WAIT_NS; break; /* the other machine is not awaited any more */
    case GUARD_HANDED: limit = p->heartbeat.limit; break;
    default: return ~0ULL;
    }
    if (p->paused || !p->prepared)
        return ~0ULL;
    if (clock_ns() - p->since > limit)
        guarding_event(p, vm, late, 0);
    return MAX(p->since + limit + 1, clock_ns() + AGAIN_NS);
}

/* The last frames have gone: the secondary may be told. */
static void hand_over(struct protection *p, struct vm *vm)
{
    struct port_output_stats held;

    if (port_output_stats(port_of(vm), &held) && held.frames)
        return;
    p->hand = false;
    p->since = clock_ns();
    migration_protect(vm, PROTECT_HAND, 0);
}

u64 guarding_poll(struct protection *p, struct vm *vm)
{
    struct protect_info info = { .linked = false };
    u64 next = ~0ULL;

    see_sent(p);
    migration_protect_info(vm, &info);
    if (p->beating) {
        if (info.heard > p->heartbeat.heard)
            heartbeat_note(&p->heartbeat, info.heard);
        next = heartbeat_poll(&p->heartbeat, guard_keeps(&p->guard) && info.linked, info.number);
        if (p->heartbeat.silent)
            guarding_event(p, vm, GUARD_SILENT, 0);
    }
    if (p->guarded && p->hand)
        hand_over(p, vm);
    return p->guarded ? MIN(next, see_late(p, vm)) : next;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Of a guest that this machine runs, and that is not guarded, the deed is kept true: it names this machine alone, under
 * the guest's epoch or the last one under which it was protected. Only then protection is tried. */
#define LOG_PREFIX "protect"
#include "protect/protection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "dev/platform.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/host_work.h"
#include "host/log.h"
#include "migrate/migration.h"
#include "net/netif.h"
#include "net/output.h"
#include "owners/claims.h"
#include "protect/guarding.h"
#include "protect/starting.h"
#include "stream/tcp_transport.h"

#define DELAY_MAX_NS (10 * NS_PER_S)

/* Why this machine can neither protect guests nor take copies of such; NULL: it can. */
static const char *off = "this machine takes no guests, expected [net] and [migration] in its configuration";

/* The guest; NULL: it is gone. Beside a copy that comes may be one that has ended here, or was never started. */
static struct vm *vm_of(const struct protection *p)
{
    struct vm *ended = NULL;

    list_each (struct vm, vm, vm_list()) {
        if (memcmp(p->vm_id, vm->identity.id, VM_ID) != 0)
            continue;
        if (!vm_ended(vm))
            return vm;
        ended = vm;
    }
    return ended;
}

/* --- What is wanted ----------------------------------------------------------------------------------------------- */

static int refuse(int err, const char *text, const char **reason)
{
    *reason = text;
    return err;
}

/* Is it copied to be protected? Another move of it is an operator's. */
static bool is_copied(const struct vm *vm)
{
    const struct move *move = migration_active(vm) ? moves_find(vm->name) : NULL;

    return move && move->request.protect;
}

int protection_want(struct vm *vm, const struct tcp_address *peer, u32 interval, const char **reason)
{
    struct protection *p = protection_make(vm);

    if (off)
        return refuse(-EINVAL, off, reason);
    if (!p)
        return refuse(-ENOMEM, "no memory", reason);
    if (netif_port_owns(peer->bytes, false))
        return refuse(-EINVAL, "the other machine is this one itself, expected another one's address", reason);
    if (!tcp_transport_may(peer, reason))
        return -EINVAL;
    if (p->wanted ? p->guarded || !tcp_address_equal(&p->peer, peer) : protection_is_secondary(p))
        return refuse(-EBUSY, "it is protected already: see query-protect and unprotect", reason);
    if (migration_active(vm) && !is_copied(vm)) /* the end of a copy that was not wanted any more is awaited */
        return refuse(-EBUSY, "a move of it is under way, or in doubt: see query-migrate", reason);
    p->wanted = true;
    p->peer = *peer;
    p->interval = interval ? interval : PROTECTION_INTERVAL;
    p->next_try = p->delay = p->tries = 0;
    p->reason[0] = '\0';
    return 0;
}

int protection_end(struct vm *vm)
{
    struct protection *p = protection_of(vm);

    if (!p || !p->wanted)
        return -ENOENT;
    if (p->guarded && p->guard.state == GUARD_HANDED)
        return -EBUSY;
    p->wanted = false;
    if (p->guarded)
        guarding_event(p, vm, GUARD_LEAVE, 0);
    else if (is_copied(vm))
        migration_cancel(vm);
    return 0;
}

int protection_failover(struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    return p && p->guarded && p->guard.state == GUARD_PROTECTED ? migration_protect(vm, PROTECT_FINISH, 0) : -EBUSY;
}

/* Another machine owns it, by the deed. An operator's force and a higher epoch overrule that. So does this machine if
 * it was itself, in an earlier boot, whose memory is lost; but a secondary of that time may go on with the guest. */
static bool is_anothers(const struct protection *p, const struct vm *vm)
{
    const struct deed *deed = &p->notary.deed;

    if (!p->notary.known || p->forced || !deed->present || deed->owner.owner == claims_owner() ||
        deed->epoch < vm->identity.epoch)
        return false;
    return deed->secondary.owner || !guarding_is_here(&deed->owner);
}

u64 protection_force_epoch(const struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    if (!p || (!p->guarded && (!migration_owns(vm) || !is_anothers(p, vm))))
        return 0;
    return p->guarded ? p->guard.epoch : p->notary.deed.epoch;
}

int protection_force(struct vm *vm, const char **reason)
{
    struct protection *p = protection_of(vm);
    struct protect_info info = { .linked = false };
    enum guard_state before;

    if (!protection_force_epoch(vm))
        return -ENOENT;
    if (!p->guarded) {
        p->forced = true;
        notary_read(&p->notary, 0);
        return 0;
    }
    before = p->guard.state;
    migration_protect_info(vm, &info);
    if (before == GUARD_STANDBY && info.linked && !p->heartbeat.silent)
        return refuse(-EBUSY, "its primary is heard, and runs it: expected failover there, without force", reason);
    if (before == GUARD_PROTECTED || before == GUARD_JOINING)
        return refuse(-EBUSY, "its secondary is heard: expected unprotect without force, and force behind that",
                      reason);
    guarding_event(p, vm, GUARD_FORCE, 0);
    return p->guard.state == before ? refuse(-EBUSY, "this machine knows that it may run it", reason) : 0;
}

/* --- What is shown ------------------------------------------------------------------------------------------------ */

enum protection_state protection_state(const struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    if (!p || vm_ended(vm) || (!p->guarded && !p->wanted))
        return PROTECTION_NONE;
    if (!p->guarded && !migration_owns(vm))
        return PROTECTION_NONE;
    if (!p->guarded) /* is it copied, or about to be? */
        return is_copied(vm) || (!p->next_try && !p->reason[0]) ? PROTECTION_SYNCING : PROTECTION_DEGRADED;
    switch (p->guard.state) {
    case GUARD_ALONE:
    case GUARD_JOINING: return PROTECTION_SYNCING;
    case GUARD_PROTECTED:
    case GUARD_STANDBY: return PROTECTION_PROTECTED;
    case GUARD_PARTING:
    case GUARD_HANDED:
    case GUARD_ASKING: return PROTECTION_SUSPENDED;
    case GUARD_TAKEN: return PROTECTION_DEGRADED; /* it is about to run here */
    default: return PROTECTION_NONE;
    }
}

const char *protection_state_name(enum protection_state state)
{
    static const char *const names[] = { "unprotected", "syncing", "protected", "degraded", "suspended" };

    return names[state];
}

/* --- The host loop ------------------------------------------------------------------------------------------------ */

/* The deed that a guest which runs here alone should have; false: it has that, or there is no witness. */
static bool deed_due(const struct protection *p, const struct vm *vm, const struct deed_host *me, struct deed *due)
{
    const struct deed *deed = &p->notary.deed;

    *due = (struct deed){ .present = true, .owner = *me };
    due->epoch = MAX(MAX(vm->identity.epoch, deed->epoch), p->guard.epoch);
    return witness_configured() && !(p->notary.known && deed_equal(deed, due));
}

/* An earlier owner's copy runs here, which does not know that it has lost: it stands from now on, as if that machine
 * had said so itself. */
static void stand(const struct protection *p, struct vm *vm)
{
    const struct deed *deed = &p->notary.deed;
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .epoch = deed->epoch, .owner = deed->owner.owner };

    if (guarding_is_here(&deed->owner))
        return;
    claim.age_ms = WIRE_AGE_DEED; /* it prevails, whichever of the two is the judge */
    claim.rival = claims_owner();
    memcpy(claim.vm_id, p->vm_id, sizeof(claim.vm_id));
    memcpy(claim.ip4, deed->owner.ip4, sizeof(claim.ip4));
    snprintf(claim.name, sizeof(claim.name), "%s", vm->name);
    migration_heard(&claim);
}

/* See to it that the deed names this machine alone. Returns true when it does. */
static bool follow(struct protection *p, struct vm *vm)
{
    struct deed_host me;
    struct deed due;

    if (!guarding_me(&me)) {
        snprintf(p->reason, sizeof(p->reason), "this machine has no IPv4 address yet");
        return false;
    }
    notary_step(&p->notary);
    if (!deed_due(p, vm, &me, &due)) {
        p->forced = false;
        return true;
    }
    if (p->notary.fault[0])
        snprintf(p->reason, sizeof(p->reason), "%s", p->notary.fault);
    if (notary_busy(&p->notary))
        return false;
    if (is_anothers(p, vm)) {
        snprintf(p->reason, sizeof(p->reason), "by the witness another machine owns it: \"%.140s\"", p->notary.text);
        stand(p, vm);
        notary_read(&p->notary, clock_ns() + NS_PER_S);
    } else {
        notary_swap(&p->notary, &due);
    }
    return false;
}

/* Begin to make a copy. The memory to hold what the guest sends is needed only when the copy is whole, but a copy for
 * which there is none would be in vain. It is given back in guarding.c. */
static void try_to_protect(struct protection *p, struct vm *vm)
{
    struct migration_request request = { .to = p->peer,
                                         .mode = MODE_LIVE,
                                         .protect = true,
                                         .interval = p->interval,
                                         .quiet = p->tries > 0,
                                         .above = p->notary.known ? p->notary.deed.epoch : 0,
                                         .limit = migration_settings()->heartbeat_limit };
    struct port *port = &platform_of(vm)->net.port;
    const char *reason = "";
    int err = port_output_reserve(port);

    p->tries++;
    p->delay = MIN(MAX(2 * p->delay, NS_PER_S), DELAY_MAX_NS);
    p->next_try = clock_ns() + p->delay;
    if (err == -EAGAIN) {
        protection_failed(p, vm, "what was held of it before has not gone yet");
    } else if (err) {
        protection_failed(p, vm, "no memory to hold what it sends");
    } else if (migration_start(vm, &request, &reason)) {
        port_output_drop(port);
        protection_failed(p, vm, reason);
    }
}

/* Returns the time of clock_ns at which to call again. */
static u64 turn(struct protection *p, struct vm *vm)
{
    if (p->guarded) {
        if (p->prepared)
            p->delay = p->tries = 0;
        if (notary_step(&p->notary))
            guarding_deed(p, vm);
        return p->guarded ? MIN(guarding_poll(p, vm), notary_next(&p->notary)) : 0;
    }
    if (!migration_owns(vm) || migration_active(vm)) {
        notary_step(&p->notary);
        return notary_next(&p->notary);
    }
    p->lost = false;
    if (!follow(p, vm))
        return MIN(notary_next(&p->notary), clock_ns() + NS_PER_S);
    if (p->wanted && clock_ns() >= p->next_try)
        try_to_protect(p, vm);
    return p->wanted ? p->next_try : ~0ULL;
}

/* Host work. */
static u64 protection_poll(void)
{
    u64 next = starting_poll(), now;

    if (witness_configured())
        list_each (struct vm, vm, vm_list())
            protection_make(vm);
    list_each_safe (struct protection, p, &protections) {
        struct vm *vm = vm_of(p);

        if (vm) {
            next = MIN(next, turn(p, vm));
        } else {
            guarding_end(p);
            protection_free(p);
        }
    }
    now = clock_ns();
    return next == ~0ULL ? next : rdtsc() + clock_ns_to_ticks(next - MIN(next, now));
}

/* The first machine of the list that is not this one. */
static void want_as_configured(const struct config_vm *config)
{
    struct vm *vm = vm_find(config->name);
    const char *reason = "";

    for (unsigned i = 0; vm && i < CONFIG_PROTECT && config->protect[i].port; i++) {
        struct tcp_address peer = { .port = (u16)config->protect[i].port };

        memcpy(peer.bytes, config->protect[i].bytes, 4);
        if (netif_port_owns(peer.bytes, false))
            continue;
        if (protection_want(vm, &peer, config->protect_interval, &reason))
            pr_err("%s: cannot protect it, %s", vm->name, reason);
        return;
    }
}

/* Contract: claims_deeded_by. */
static bool is_deeded(const struct vm *vm)
{
    const struct protection *p = protection_of(vm);

    return p && p->notary.known && p->notary.deed.owner.owner == claims_owner() &&
           p->notary.deed.epoch >= vm->identity.epoch;
}

void protection_init(const struct config *config)
{
    if (!config->net.present || !config->migration.port)
        return;
    off = heartbeat_open((u16)config->migration.port) ? NULL : "this machine has had no memory for heartbeats";
    guarding_start();
    starting_init();
    claims_deeded_by(is_deeded);
    for (u32 i = 0; i < config->nr_vms; i++)
        want_as_configured(&config->vm[i]);
    host_work_add(protection_poll);
}

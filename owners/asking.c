/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "asking"
#include "owners/asking.h"

#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/log.h"
#include "guest/load/power.h"
#include "hv/vm.h"
#include "owners/claims.h"
#include "owners/handoff.h"
#include "owners/peers.h"
#include "stream/wire.h"

#define QUESTIONS 4 /* one may be lost */
#define AGAIN_MS (ASKING_MS / QUESTIONS)

static u32 asked[CONFIG_MAX_VMS]; /* the ids of the guests that are asked about; 0: not this one, or no longer */
static struct wire_claim questions[CONFIG_MAX_VMS];
static const struct config_migration *config_peers; /* names them */
static bool on;
static const struct asking_judge *judge; /* NULL: there is none */
static bool heeds;    /* is a guest that is not started yet elsewhere, too, if another machine claims it? */
static unsigned left; /* questions; they count, not the time: a machine that was kept from running has heard nothing */
static u64 again;     /* host TSC: when the next question is due; behind the last one, when asking is over */

_Static_assert(CONFIG_MAX_VMS <= WIRE_QUESTIONS, "a peer is asked about all of them");

static const struct claims_listener claims_listener = { asking_about, asking_heard };

/* Ask the first `count` questions; without any, only name the peers. */
static void ask(unsigned count)
{
    peers_ask(config_peers, questions, count);
    on = count > 0;
    left = QUESTIONS;
    again = rdtsc();
}

void asking_judged_by(const struct asking_judge *of_guests)
{
    judge = of_guests;
}

bool asking_may_start(struct vm *vm, bool came)
{
    return !judge || judge->may_start(vm, came);
}

bool asking_waits(const struct vm *vm)
{
    return judge && judge->waits(vm);
}

bool asking_needed(const struct config *config, const struct config_vm *vm)
{
    return config_asks(config) && (vm->autostart == CONFIG_AUTOSTART_ASK ||
                                   (vm->autostart == CONFIG_AUTOSTART_YES && config->witness.present));
}

void asking_start(const struct config *config)
{
    unsigned count = 0;

    claims_listen(&claims_listener);
    for (u32 i = 0; i < config->nr_vms; i++) {
        struct vm *vm = asking_needed(config, &config->vm[i]) ? vm_find(config->vm[i].name) : NULL;

        if (!vm || vm->status != VM_CREATED)
            continue;
        asked[i] = vm->id;
        questions[count++] = claims_question(vm);
    }
    config_peers = &config->migration;
    heeds = config_asks(config);
    ask(count);
}

bool asking_begin(struct vm *copy)
{
    if (on)
        return false;
    copy->incoming.asked = true;
    asked[0] = copy->id;
    questions[0] = claims_question(copy);
    ask(1);
    return true;
}

static void start(struct vm *vm)
{
    char reason[120];

    if (!guest_power_on(vm, reason, sizeof(reason)))
        return;
    pr_err("%s: %s", vm->name, reason);
    vm_stop(vm, VM_CRASHED, "%s", reason);
}

/* Is the guest still to be started, or on its way here? If a command has started it, it is not asked about any more. */
static bool waits(const struct vm *vm)
{
    return vm->status == VM_CREATED || vm->status == VM_INCOMING;
}

/* The guest in a place among those that are asked about; NULL: there is none, or no longer: it may have been removed.
 */
static struct vm *asked_at(unsigned index)
{
    list_each (struct vm, vm, vm_list()) {
        if (vm->id == asked[index])
            return waits(vm) ? vm : NULL;
    }
    return NULL;
}

/* The VM's place; NULL: it is none of these guests, or no longer. */
static u32 *place(const struct vm *vm)
{
    for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
        if (vm->id == asked[i])
            return waits(vm) ? &asked[i] : NULL;
    return NULL;
}

bool asking_about(const struct vm *vm)
{
    return place(vm) || (judge && judge->starts(vm));
}

u64 asking_poll(void)
{
    bool more, due = rdtsc() >= again, over = due && !left;

    if (!on)
        return ~0ULL;
    more = peers_step(); /* first, so that an answer that came in time is heard in time */
    for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
        struct vm *vm = asked_at(i);

        asked[i] = over || !vm ? 0 : vm->id;
        if (vm && over && vm->status == VM_CREATED && asking_may_start(vm, false))
            start(vm);
        else if (vm && due)
            claims_ask(vm);
    }
    if (due && left) {
        left--;
        again = rdtsc() + clock_ns_to_ticks(AGAIN_MS * NS_PER_MS);
    }
    if (!over)
        return more ? rdtsc() : again;
    on = false;
    peers_end();
    return ~0ULL;
}

/* A guest that is not started here or has ended, and that runs elsewhere, must not be started here by mistake. The
 * claim replaces the reason for which the guest had ended. */
static void idle_heard(struct vm *vm, const struct wire_claim *claim, const char *where)
{
    if (claim->kind != WIRE_CLAIM_OWNS || vm->elsewhere == claim->epoch ||
        epoch_is_noise(MAX(vm->identity.epoch, vm->elsewhere), claim->epoch))
        return;
    if (vm->status == VM_CREATED)
        vm_stop(vm, VM_OFF, "not started");
    vm->elsewhere = claim->epoch;
    snprintf(vm->reason, sizeof(vm->reason), "%.31s at %s, epoch %lu", claim->name, where, claim->epoch);
}

/* The guest that we ask about, or one with its MAC, is elsewhere. Who brought a copy decides what becomes of it. */
static void found(struct vm *vm, const struct wire_claim *claim, const char *where)
{
    const char *how = memcmp(vm->identity.id, claim->vm_id, WIRE_ID) ? "its MAC is that of " : "";

    vm->elsewhere = claim->epoch;
    if (vm->status == VM_CREATED)
        vm_stop(vm, VM_OFF, "%s%.31s at %s, epoch %lu", how, claim->name, where, claim->epoch);
    else
        snprintf(vm->reason, sizeof(vm->reason), "%s%.31s at %s, epoch %lu", how, claim->name, where, claim->epoch);
}

void asking_heard(const struct wire_claim *claim, const char *where)
{
    if (!claim->epoch || claim->epoch > EPOCH_CLAIM)
        return; /* noise */
    list_each (struct vm, vm, vm_list()) {
        u32 *at = place(vm);
        bool same = !memcmp(vm->identity.id, claim->vm_id, WIRE_ID);
        bool copy = vm->status == VM_INCOMING && vm->incoming.asked;

        if ((at || copy) && claims_are_of(claim, vm)) {
            if (at)
                *at = 0;
            found(vm, claim, where);
        } else if (same && claims_are_heeded() && (vm_ended(vm) || (vm->status == VM_CREATED && heeds))) {
            idle_heard(vm, claim, where);
        }
    }
}

int asking_force(struct vm *vm, char *reason, size_t room)
{
    u64 epoch = epoch_forced(vm->elsewhere, EPOCH_FORCE + claims_owner() % EPOCH_FORCE);
    int err = guest_power_on(vm, reason, room);

    if (err)
        return err;
    pr_warn("%s: started by force under epoch %lu, though another machine has it under %lu", vm->name, epoch,
            vm->elsewhere);
    vm->identity.epoch = epoch;
    vm->elsewhere = 0;
    claims_say(vm);
    return 0;
}

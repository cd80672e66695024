/* SPDX-License-Identifier: BSD-2-Clause */
/* A round: read the deed; ask the machines that it names, each by its address; swap it. Whatever goes wrong, the next
 * round begins a second later. */
#define LOG_PREFIX "protect"
#include "protect/starting.h"

#include <stdio.h>
#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/panic.h"
#include "guest/load/power.h"
#include "net/tcp_stream.h"
#include "owners/asking.h"
#include "owners/claims.h"
#include "owners/handoff.h"
#include "owners/peer_query.h"
#include "protect/guarding.h"
#include "protect/notary.h"
#include "stream/tcp_transport.h"

#define AGAIN_NS NS_PER_S
#define ANSWER_NS NS_PER_S /* for a machine to answer */
#define ASKED 2            /* machines that a deed names */

/* A machine that the deed names. */
struct named {
    struct tcp_address address;
    struct peer_query query;
    struct tcp_stream *connecting;
    bool claims; /* it has said that it has the guest */
};

static struct starting {
    u32 id; /* of the VM; 0: this place is free */
    struct notary notary;
    struct wire_claim question;
    struct named named[ASKED];
    unsigned count;
    bool asking; /* the machines are asked */
    u64 since;   /* ns */
} all[CONFIG_MAX_VMS];

static u64 now(void *ctx)
{
    (void)ctx;
    return clock_ns();
}

static int connect(void *ctx, struct transport *transport)
{
    struct named *named = ctx;

    return tcp_transport_dial(&named->address, &named->connecting, transport);
}

static void heard(void *ctx, const struct wire_claim *claim)
{
    struct named *named = ctx;
    struct tcp_address host = named->address;
    char where[TCP_ADDRESS_TEXT];

    host.port = 0;
    tcp_address_text(&host, where);
    named->claims = true;
    claims_take(claim, where);
}

static const struct peer_query_ops ops = { .now = now, .connect = connect, .heard = heard };

/* The guest, if it still waits; NULL: an operator has decided, or it has come from elsewhere. */
static struct vm *waiting(const struct starting *starting)
{
    list_for_each (node, vm_list()) {
        struct vm *vm = container_of(node, struct vm, node);

        if (vm->id == starting->id)
            return vm_ended(vm) && vm->elsewhere ? vm : NULL;
    }
    return NULL;
}

/* This round is over; the next one begins in a second. */
static void again(struct starting *starting)
{
    for (unsigned i = 0; i < starting->count; i++) {
        struct named *named = &starting->named[i];

        peer_query_end(&named->query);
        if (named->connecting)
            tcp_stream_abort(named->connecting);
        named->connecting = NULL;
    }
    starting->count = 0;
    starting->asking = false;
    notary_stop(&starting->notary); /* no swap is in doubt */
    notary_read(&starting->notary, clock_ns() + AGAIN_NS);
}

static void forget(struct starting *starting)
{
    again(starting);
    notary_fini(&starting->notary);
    starting->id = 0;
}

static void because(struct vm *vm, const char *text)
{
    snprintf(vm->reason, sizeof(vm->reason), "%s", text);
}

/* Ask a machine of the deed, unless it is this one: its memory is another since then. */
static void ask(struct starting *starting, const struct deed_host *host)
{
    struct named *named = &starting->named[starting->count];
    struct deed_host me;

    guarding_me(&me);
    if (!host->owner || (!memcmp(me.ip4, host->ip4, sizeof(me.ip4)) && me.port == host->port))
        return;
    *named = (struct named){ .address.port = host->port };
    memcpy(named->address.bytes, host->ip4, sizeof(host->ip4));
    peer_query_start(&named->query, &ops, named, &starting->question, 1);
    starting->count++;
}

/* The witness has answered. Is the deed this machine's, by the swap? Else ask those that it names. */
static bool take_deed(struct starting *starting, const struct vm *vm)
{
    const struct notary *notary = &starting->notary;

    if (notary->swaps && deed_equal(&notary->deed, &notary->wanted))
        return true;
    if (notary->swaps) {
        again(starting);
        return false;
    }
    starting->question = claims_question(vm);
    starting->asking = true;
    starting->since = clock_ns();
    ask(starting, &notary->deed.owner);
    ask(starting, &notary->deed.secondary);
    return false;
}

/* Are all of them heard, and has none of them the guest? */
static bool all_answered(struct starting *starting, struct vm *vm)
{
    bool answered = true, late = clock_ns() - starting->since > ANSWER_NS;
    char where[TCP_ADDRESS_TEXT];

    for (unsigned i = 0; i < starting->count; i++) {
        struct named *named = &starting->named[i];

        while (named->query.status == PEER_ASKED && peer_query_step(&named->query))
            continue;
        answered &= named->query.status == PEER_ANSWERED;
        if (!named->claims && !(late && named->query.status == PEER_ASKED))
            continue;
        tcp_address_text(&named->address, where);
        snprintf(vm->reason, sizeof(vm->reason), "%s, which the witness names, %s", where,
                 named->claims ? "has it, or a copy of it" : "does not answer");
        again(starting);
        return false;
    }
    return answered;
}

static void start(struct starting *starting, struct vm *vm)
{
    char reason[sizeof(vm->reason)] = "";

    vm->identity.epoch = starting->notary.deed.epoch;
    vm->elsewhere = 0;
    forget(starting);
    if (guest_power_on(vm, reason, sizeof(reason)))
        pr_err("%s: %s", vm->name, reason);
    because(vm, reason);
}

static void step(struct starting *starting, struct vm *vm)
{
    const struct protection *copy = protection_of(vm); /* of the same guest, and it may have come meanwhile */
    struct notary *notary = &starting->notary;
    struct deed wanted = { .present = true };

    wanted.epoch = MIN(MAX(notary->deed.epoch + 1, vm->identity.epoch), EPOCH_MAX);
    if (copy && copy->guarded)
        return;
    if (starting->asking && all_answered(starting, vm) && guarding_me(&wanted.owner)) {
        starting->asking = false;
        notary_swap(notary, &wanted);
    }
    if (notary_step(notary) && take_deed(starting, vm))
        start(starting, vm);
    else if (notary->fault[0])
        because(vm, notary->fault);
}

u64 starting_poll(void)
{
    u64 next = ~0ULL;

    for (unsigned i = 0; i < CONFIG_MAX_VMS; i++) {
        struct starting *starting = &all[i];
        struct vm *vm = starting->id ? waiting(starting) : NULL;

        if (vm)
            step(starting, vm);
        else if (starting->id)
            forget(starting);
        if (starting->asking)
            next = MIN(next, clock_ns() + PEER_AGAIN_MS * 100000ULL);
        else if (starting->id)
            next = MIN(next, notary_next(&starting->notary));
    }
    return next;
}

/* Contract: struct asking_judge. */
static bool may_start(struct vm *vm)
{
    struct starting *starting = NULL;

    if (!witness_configured())
        return true;
    for (unsigned i = 0; i < CONFIG_MAX_VMS && !starting; i++)
        if (!all[i].id || all[i].id == vm->id)
            starting = &all[i];
    assert(starting); /* only guests of the configuration start by themselves */
    forget(starting);
    starting->id = vm->id;
    if (!vm_ended(vm))
        vm_stop(vm, VM_OFF, "not started");
    because(vm, "the witness is asked whether it may start");
    vm->elsewhere = MAX(vm->identity.epoch, 1);
    notary_init(&starting->notary, vm->identity.id);
    notary_read(&starting->notary, 0);
    return false;
}

/* Contract: struct asking_judge. A swap that has left this machine may be done. */
static bool starts(const struct vm *vm)
{
    for (unsigned i = 0; i < CONFIG_MAX_VMS; i++)
        if (all[i].id == vm->id && all[i].notary.swaps && notary_sent(&all[i].notary))
            return true;
    return false;
}

void starting_init(void)
{
    static const struct asking_judge judge = { may_start, starts };

    asking_judged_by(&judge);
}

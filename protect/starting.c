/* SPDX-License-Identifier: BSD-2-Clause */
/* A round: read the deed; ask the machines that it names, each by its address; swap it. Whatever goes wrong, the next
 * round begins a second later. */
#define LOG_PREFIX "protect"
#include "protect/starting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bits.h"
#include "host/clock.h"
#include "host/log.h"
#include "guest/load/power.h"
#include "net/tcp_stream.h"
#include "owners/allowed.h"
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

/* A guest that waits. */
struct starting {
    struct list node;
    u32 id;    /* of the VM */
    bool came; /* a move has made it this machine's, under its epoch */
    struct notary notary;
    struct wire_claim question;
    struct named named[ASKED];
    unsigned count;
    bool asking; /* the machines are asked */
    u64 since;   /* ns */
};

static struct list all = { &all, &all };

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
    allowed_take(claim, where);
}

static const struct peer_query_ops ops = { .now = now, .connect = connect, .heard = heard };

/* The guest, if it still waits; NULL: an operator has decided, or it has come from elsewhere. */
static struct vm *waiting(const struct starting *starting)
{
    list_each (struct vm, vm, vm_list()) {
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
    list_del(&starting->node);
    free(starting);
}

static void because(struct vm *vm, const char *text)
{
    snprintf(vm->reason, sizeof(vm->reason), "%.*s", (int)sizeof(vm->reason) - 1, text);
}

/* Ask a machine of the deed, unless it is this one, or an earlier boot of it. */
static void ask(struct starting *starting, const struct deed_host *host)
{
    struct named *named = &starting->named[starting->count];

    if (!host->owner || guarding_is_here(host))
        return;
    *named = (struct named){ .address.port = host->port };
    memcpy(named->address.bytes, host->ip4, sizeof(host->ip4));
    peer_query_start(&named->query, &ops, named, &starting->question, 1);
    starting->count++;
}

/* The witness has answered. Is the deed this machine's, by the swap? Else ask those that it names, but not about a
 * guest that has come by a move since: they have given it away. */
static bool take_deed(struct starting *starting, struct vm *vm)
{
    const struct notary *notary = &starting->notary;

    if (notary->swaps && deed_equal(&notary->deed, &notary->wanted))
        return true;
    if (notary->swaps) {
        again(starting);
        return false;
    }
    vm->elsewhere = MAX(vm->elsewhere, notary->deed.epoch); /* force goes above that */
    starting->question = claims_question(vm);
    starting->asking = true;
    starting->since = clock_ns();
    if (starting->came && notary->deed.epoch < vm->identity.epoch)
        return false;
    ask(starting, &notary->deed.owner);
    ask(starting, &notary->deed.secondary);
    return false;
}

/* Are all of them heard, and has none of them the guest? */
static bool all_answered(struct starting *starting, struct vm *vm)
{
    bool answered = true, late = clock_ns() - starting->since > ANSWER_NS;
    const char *why;
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
                 named->claims                              ? "has it, or a copy of it"
                 : tcp_transport_may(&named->address, &why) ? "does not answer"
                                                            : "is no peer in this host's keyring");
        again(starting);
        return false;
    }
    return answered;
}

static void start(const struct starting *starting, struct vm *vm)
{
    char reason[sizeof(vm->reason)] = "";

    vm->identity.epoch = starting->notary.deed.epoch;
    vm->elsewhere = 0;
    if (guest_power_on(vm, reason, sizeof(reason)))
        pr_err("%s: %s", vm->name, reason);
    because(vm, reason);
}

/* Do what can be done now. Returns true if the guest was started. */
static bool step(struct starting *starting, struct vm *vm)
{
    const struct protection *copy = protection_of(vm); /* of the same guest, and it may have come meanwhile */
    struct notary *notary = &starting->notary;
    struct deed wanted = { .present = true };

    wanted.epoch = MIN(MAX(notary->deed.epoch + 1, vm->identity.epoch), EPOCH_MAX);
    if (copy && copy->guarded)
        return false;
    if (starting->asking && all_answered(starting, vm) && guarding_me(&wanted.owner)) {
        starting->asking = false;
        notary_swap(notary, &wanted);
    }
    if (notary_step(notary) && take_deed(starting, vm)) {
        start(starting, vm);
        return true;
    }
    if (notary->fault[0])
        because(vm, notary->fault);
    return false;
}

u64 starting_poll(void)
{
    u64 next = ~0ULL;

    list_each_safe (struct starting, starting, &all) {
        struct vm *vm = waiting(starting);

        if (!vm || step(starting, vm))
            forget(starting);
        else if (starting->asking)
            next = MIN(next, clock_ns() + PEER_AGAIN_MS * 100000ULL);
        else
            next = MIN(next, notary_next(&starting->notary));
    }
    return next;
}

/* The VM's; NULL: it does not wait. */
static struct starting *starting_of(const struct vm *vm)
{
    list_each (struct starting, starting, &all) {
        if (starting->id == vm->id)
            return starting;
    }
    return NULL;
}

/* Contract: struct asking_judge. */
static bool may_start(struct vm *vm, bool came)
{
    struct starting *starting = starting_of(vm);

    if (!witness_configured())
        return true;
    if (starting)
        forget(starting);
    if (!vm_ended(vm))
        vm_stop(vm, VM_OFF, "not started");
    vm->elsewhere = MAX(vm->identity.epoch, 1);
    starting = calloc(1, sizeof(*starting));
    because(vm, starting ? "the witness is asked whether it may start" : "no memory to ask the witness");
    if (!starting)
        return false;
    starting->id = vm->id;
    starting->came = came;
    list_add_tail(&all, &starting->node);
    notary_init(&starting->notary, vm->identity.id);
    notary_read(&starting->notary, 0);
    return false;
}

/* Contract: struct asking_judge. */
static bool waits(const struct vm *vm)
{
    return starting_of(vm);
}

/* Contract: struct asking_judge. A swap that has left this machine may be done. */
static bool starts(const struct vm *vm)
{
    struct starting *starting = starting_of(vm);

    return starting && starting->notary.swaps && notary_sent(&starting->notary);
}

void starting_init(void)
{
    static const struct asking_judge judge = { may_start, starts, waits };

    asking_judged_by(&judge);
}

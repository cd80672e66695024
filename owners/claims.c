/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "claims"
#include "owners/claims.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/asm.h"
#include "host/clock.h"
#include "tls/keyring.h"
#include "tls/random.h"
#include "dev/platform.h"
#include "host/log.h"
#include "hv/vm.h"
#include "owners/handoff.h"
#include "stream/record.h"
#include "net/netif.h"

static struct claims_counters counters;
static u64 owner; /* this machine's number: random, and made of its card's MAC, too, as emulators draw equal numbers */
static bool all;  /* there is [migration]: also claim VMs that never moved */
static u64 claims_due; /* host TSC: when all are claimed again */
static const struct claims_ops *ops;
static const struct claims_listener *listener;
static bool (*deeded)(const struct vm *vm); /* NULL: there is no witness */

const struct claims_counters *claims_counters(void)
{
    return &counters;
}

u64 claims_owner(void)
{
    return owner;
}

void claims_deeded_by(bool (*names_us)(const struct vm *vm))
{
    deeded = names_us;
}

u64 claims_age_ms(const struct vm *vm)
{
    if (deeded && deeded(vm))
        return WIRE_AGE_DEED;
    return clock_ticks_to_ns(rdtsc() - vm->created_tsc) / 1000000;
}

/* A claim about no VM yet, not sealed. */
static struct wire_claim claim_begin(enum wire_claim_kind kind)
{
    struct wire_claim claim = { .kind = (u16)kind, .owner = owner };
    u32 ip4 = netif_port_ip4();

    memcpy(claim.ip4, &ip4, sizeof(claim.ip4));
    return claim;
}

static struct wire_claim claim_of(const struct vm *vm, enum wire_claim_kind kind, u64 epoch, u64 rival)
{
    struct wire_claim claim = claim_begin(kind);

    claim.epoch = MIN(epoch, EPOCH_CLAIM);
    claim.rival = rival;
    claim.age_ms = claims_age_ms(vm);
    memcpy(claim.vm_id, vm->identity.id, sizeof(claim.vm_id));
    memcpy(claim.name, vm->name, sizeof(claim.name));
    memcpy(claim.mac, platform_of(vm)->net.port.mac, sizeof(claim.mac));
    claim_seal(&claim);
    return claim;
}

static void say(const struct wire_claim *claim)
{
    struct wire_proven_claim said = { .claim = *claim };
    size_t len = sizeof(said.claim);

    if (keyring_present()) {
        said.claim.proof = WIRE_PROOF;
        claim_seal(&said.claim);
        len = proof_make(&said);
    }
    netif_peers_say(&said, len);
    counters.said++;
}

static void greet(void)
{
    struct wire_claim claim = claim_begin(WIRE_CLAIM_GREETS);

    claim_seal(&claim);
    say(&claim);
}

void claims_say_to(const struct vm *vm, u64 heard, u64 rival)
{
    struct wire_claim claim;

    if ((!all && vm->identity.epoch <= 1) || !ops->owns(vm))
        return;
    /* The epoch of the claimant may be higher than it says, too, and we would answer each other for ever. */
    if (heard == EPOCH_CLAIM && vm->identity.epoch > heard)
        return;
    claim = claim_of(vm, WIRE_CLAIM_OWNS, epoch_to_say(vm->identity.epoch, heard), rival);
    say(&claim);
}

void claims_say(const struct vm *vm)
{
    claims_say_to(vm, vm->identity.epoch, 0);
}

struct wire_claim claims_question(const struct vm *vm)
{
    return claim_of(vm, WIRE_CLAIM_ASKS, vm->identity.epoch, 0);
}

void claims_ask(const struct vm *vm)
{
    struct wire_claim question = claims_question(vm);

    say(&question);
}

bool claims_are_heeded(void)
{
    return all || keyring_present();
}

bool claims_are_of(const struct wire_claim *claim, const struct vm *vm)
{
    return !memcmp(vm->identity.id, claim->vm_id, WIRE_ID) ||
           !memcmp(platform_of(vm)->net.port.mac, claim->mac, sizeof(claim->mac));
}

/* What we have to say of a VM to another machine that is about to start it, or a VM with its MAC. False: nothing. */
static bool answer(const struct vm *vm, struct wire_claim *claim)
{
    u64 epoch = vm->identity.epoch;
    enum wire_claim_kind kind = WIRE_CLAIM_HOLDS;

    if (ops->owns(vm))
        kind = WIRE_CLAIM_OWNS;
    else if (listener->about(vm))
        kind = WIRE_CLAIM_ASKS;
    else if (!ops->holds(vm, &epoch))
        return false;
    *claim = claim_of(vm, kind, epoch, 0);
    return true;
}

/* Where the sender of the claim is, by its own words. */
static struct where {
    char text[16];
} claim_where(const struct wire_claim *claim)
{
    const u8 *a = claim->ip4;
    struct where where;

    snprintf(where.text, sizeof(where.text), "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
    return where;
}

unsigned claims_answer(const struct wire_claim *question, bool heeded, struct wire_claim answers[WIRE_ANSWERS])
{
    unsigned count = 0;

    if (question->owner == owner)
        return 0;
    counters.heard += heeded;
    if (heeded && question->owner < owner) /* of two machines that ask, the lower number has the right to start it */
        listener->heard(question, claim_where(question).text);
    list_each (const struct vm, vm, vm_list()) {
        if (count < WIRE_ANSWERS && claims_are_of(question, vm))
            count += answer(vm, &answers[count]);
    }
    return count;
}

/* Is the line about so many of the same kind to be logged? If there are twice as many as at the last line. */
static bool tells(u64 count)
{
    return !(count & (count - 1));
}

void claims_take(const struct wire_claim *claim, const char *where)
{
    if (claim->owner == owner)
        return; /* our own claim, come back by a loop in the network */
    counters.heard++;
    if (claim->kind != WIRE_CLAIM_ASKS || claim->owner < owner)
        listener->heard(claim, where);
    if (claim->kind != WIRE_CLAIM_OWNS || !claims_are_heeded() || ops->heard(claim))
        return;
    if (tells(++counters.noise))
        pr_warn("%lu claims with epochs that nobody believes, the last of epoch %lu", counters.noise, claim->epoch);
}

static void count(enum proof_verdict verdict)
{
    u64 frames = ++counters.judged[verdict];

    if (verdict > PROOF_UNPROVEN && tells(frames))
        pr_warn("%lu claims on the link that do not count: %s", frames, proof_verdict_name(verdict));
}

/* Weigh a frame with this claim, where there are keys; and say our number if its sender has not echoed it. */
static enum proof_verdict weigh(const struct wire_claim *claim, const u8 *mac, const u8 *bytes, size_t len)
{
    enum proof_verdict verdict = proof_judge(mac, bytes, len);

    count(verdict);
    if (verdict == PROOF_UNPROVEN && claim->kind <= WIRE_CLAIM_HOLDS && proof_greets())
        greet();
    return verdict;
}

static void say_answers(const struct wire_claim *claim, bool proven)
{
    struct wire_claim answers[WIRE_ANSWERS];
    unsigned count = claims_answer(claim, proven, answers);

    for (unsigned i = 0; i < count; i++)
        say(&answers[i]);
}

/* A frame with a claim has come on the link. */
static void hear(const u8 *mac, const u8 *bytes, size_t len)
{
    enum proof_verdict verdict = PROOF_GIVEN;
    struct wire_claim claim;
    int err = claim_read(&claim, bytes, len);

    if (err == -ENOTSUP) {
        count(PROOF_VERSION);
        return;
    }
    if (err || (claim.kind > WIRE_CLAIM_HOLDS && !keyring_present())) {
        counters.malformed++;
        return;
    }
    if (claim.owner == owner)
        return; /* our own claim, come back by a loop in the network */
    if (keyring_present())
        verdict = weigh(&claim, mac, bytes, len);
    if (verdict > PROOF_UNPROVEN)
        return;
    if (claim.kind == WIRE_CLAIM_ASKS)
        say_answers(&claim, verdict == PROOF_GIVEN);
    else if (verdict == PROOF_GIVEN && claim.kind <= WIRE_CLAIM_HOLDS)
        claims_take(&claim, claim_where(&claim).text);
}

void claims_init(bool of_all, const struct claims_ops *migration)
{
    u64 mac = 0;

    all = of_all;
    ops = migration;
    memcpy(&mac, netif_port_mac(), MAC_LEN);
    random_fill((u8 *)&owner, sizeof(owner));
    owner ^= mac;
    netif_peers_hear(hear);
}

void claims_listen(const struct claims_listener *asking)
{
    listener = asking;
}

/* Say the claims of all VMs when it is time. Returns the host TSC of the next time, ~0 if there is none. */
static u64 claim_all(void)
{
    bool any = false;

    list_each (const struct vm, vm, vm_list())
        any |= all || vm->identity.epoch > 1;
    if (!any)
        return ~0ULL;
    if (rdtsc() >= claims_due) {
        list_each (struct vm, vm, vm_list())
            claims_say(vm);
        claims_due = rdtsc() + clock_ns_to_ticks(WIRE_CLAIM_MS * NS_PER_MS);
    }
    return claims_due;
}

/* The same of a greeting: with keys no machine is silent for long. */
static u64 greet_all(void)
{
    u64 time = clock_ns();

    if (!keyring_present())
        return ~0ULL;
    if (time >= proof_silent_until())
        greet();
    return rdtsc() + clock_ns_to_ticks(proof_silent_until() - time);
}

u64 claims_poll(void)
{
    u64 claims = claim_all(), greeting = greet_all();

    return MIN(claims, greeting);
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "claims"
#include "migrate/claims.h"

#include <string.h>

#include "hv/cpu/asm.h"
#include "hv/cpu/clock.h"
#include "hv/cpu/random.h"
#include "hv/dev/platform.h"
#include "hv/lib/log.h"
#include "hv/vm.h"
#include "migrate/asking.h"
#include "migrate/migration.h"
#include "migrate/record.h"
#include "net/netif.h"

static struct claims_counters counters;
static u64 owner; /* this machine since its boot: random, and of its card's MAC, as emulators draw equal numbers */
static bool all;  /* VMs that never moved are claimed, too */

const struct claims_counters *claims_counters(void)
{
    return &counters;
}

u64 claims_owner(void)
{
    return owner;
}

u64 claims_age_ms(const struct vm *vm)
{
    return clock_ticks_to_ns(rdtsc() - vm->created_tsc) / 1000000;
}

static void say(const struct vm *vm, enum wire_claim_kind kind, u64 epoch)
{
    struct wire_claim claim = { .kind = (u16)kind, .epoch = epoch, .owner = owner };
    u32 ip4 = netif_port_ip4();

    claim.age_ms = claims_age_ms(vm);
    memcpy(claim.vm_id, vm->identity.id, sizeof(claim.vm_id));
    memcpy(claim.name, vm->name, sizeof(claim.name));
    memcpy(claim.mac, platform_of(vm)->net.port.mac, sizeof(claim.mac));
    memcpy(claim.ip4, &ip4, sizeof(claim.ip4));
    claim_seal(&claim);
    netif_peers_say(&claim, sizeof(claim));
    counters.said++;
}

void claims_say(const struct vm *vm)
{
    if ((all || vm->identity.epoch > 1) && migration_owns(vm))
        say(vm, WIRE_CLAIM_OWNS, vm->identity.epoch);
}

void claims_ask(const struct vm *vm)
{
    say(vm, WIRE_CLAIM_ASKS, vm->identity.epoch);
}

/* Somebody is about to start a guest. Is it ours, or has ours its MAC, or is there a copy here that may be the only
 * one?
 */
static void answer(const struct wire_claim *claim)
{
    list_for_each (node, vm_list()) {
        const struct vm *vm = container_of(node, struct vm, node);
        u64 epoch = vm->identity.epoch;

        if (memcmp(vm->identity.id, claim->vm_id, WIRE_ID) != 0 &&
            memcmp(platform_of(vm)->net.port.mac, claim->mac, sizeof(claim->mac)) != 0)
            continue;
        if (migration_owns(vm))
            say(vm, WIRE_CLAIM_OWNS, epoch);
        else if (migration_holds(vm, &epoch))
            say(vm, WIRE_CLAIM_HOLDS, epoch);
    }
}

static void hear(const u8 *bytes, size_t len)
{
    struct wire_claim claim;

    if (claim_read(&claim, bytes, len)) {
        counters.malformed++;
        return;
    }
    if (claim.owner == owner)
        return; /* our own, by a loop in the network */
    counters.heard++;
    if (claim.kind == WIRE_CLAIM_ASKS) {
        answer(&claim);
        return;
    }
    asking_heard(&claim);
    if (claim.kind != WIRE_CLAIM_OWNS || migration_heard(&claim))
        return;
    counters.noise++;
    if (!(counters.noise & (counters.noise - 1))) /* each further line at twice as many */
        pr_warn("%lu claims with epochs that nobody believes, the last of epoch %lu", counters.noise, claim.epoch);
}

void claims_init(bool of_all)
{
    u64 mac = 0;

    all = of_all;
    memcpy(&mac, netif_port_mac(), MAC_LEN);
    random_fill((u8 *)&owner, sizeof(owner));
    owner ^= mac;
    netif_peers_hear(hear);
}

u64 claims_poll(void)
{
    static u64 next; /* host TSC */
    bool any = false;

    list_for_each (node, vm_list())
        any |= all || container_of(node, struct vm, node)->identity.epoch > 1;
    if (!any)
        return ~0ULL;
    if (rdtsc() >= next) {
        list_for_each (node, vm_list())
            claims_say(container_of(node, struct vm, node));
        next = rdtsc() + clock_ns_to_ticks(WIRE_CLAIM_MS * 1000000ULL);
    }
    return next;
}

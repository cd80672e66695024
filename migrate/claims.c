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
#include "migrate/migration.h"
#include "migrate/record.h"
#include "net/netif.h"

static struct claims_counters counters;
static u64 owner; /* this machine since its boot */
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

void claims_say(const struct vm *vm)
{
    struct wire_claim claim = { .kind = WIRE_CLAIM_OWNS, .epoch = vm->identity.epoch, .owner = owner };
    u32 ip4 = netif_port_ip4();

    if ((!all && vm->identity.epoch == 1) || !migration_owns(vm))
        return;
    claim.age_ms = claims_age_ms(vm);
    memcpy(claim.vm_id, vm->identity.id, sizeof(claim.vm_id));
    memcpy(claim.name, vm->name, sizeof(claim.name));
    memcpy(claim.mac, platform_of(vm)->net.port.mac, sizeof(claim.mac));
    memcpy(claim.ip4, &ip4, sizeof(claim.ip4));
    claim_seal(&claim);
    netif_peers_say(&claim, sizeof(claim));
    counters.said++;
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
    if (migration_heard(&claim))
        return;
    counters.noise++;
    if (!(counters.noise & (counters.noise - 1))) /* each further line at twice as many */
        pr_warn("%lu claims with epochs that nobody believes, the last of epoch %lu", counters.noise, claim.epoch);
}

void claims_init(bool of_all)
{
    all = of_all;
    random_fill((u8 *)&owner, sizeof(owner));
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

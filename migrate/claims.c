/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "claims"
#include "migrate/claims.h"

#include "hv/cpu/asm.h"
#include "hv/cpu/clock.h"
#include "hv/lib/log.h"
#include "hv/vm.h"
#include "migrate/migration.h"
#include "migrate/record.h"
#include "net/netif.h"

static struct claims_counters counters;

const struct claims_counters *claims_counters(void)
{
    return &counters;
}

void claims_say(const struct vm *vm)
{
    struct wire_claim claim;

    if (vm->identity.epoch == 1 || !migration_owns(vm))
        return;
    claim_make(&claim, vm->identity.id, vm->identity.epoch);
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
    counters.heard++;
    if (migration_heard(claim.vm_id, claim.epoch))
        return;
    counters.noise++;
    if (!(counters.noise & (counters.noise - 1))) /* each further line at twice as many */
        pr_warn("%lu claims with epochs that nobody believes, the last of epoch %lu", counters.noise, claim.epoch);
}

void claims_init(void)
{
    netif_peers_hear(hear);
}

u64 claims_poll(void)
{
    static u64 next; /* host TSC */
    bool any = false;

    list_for_each (node, vm_list())
        any |= container_of(node, struct vm, node)->identity.epoch > 1;
    if (!any)
        return ~0ULL;
    if (rdtsc() >= next) {
        list_for_each (node, vm_list())
            claims_say(container_of(node, struct vm, node));
        next = rdtsc() + clock_ns_to_ticks(WIRE_CLAIM_MS * 1000000ULL);
    }
    return next;
}

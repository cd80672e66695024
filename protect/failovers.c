/* SPDX-License-Identifier: BSD-2-Clause */
#include "protect/failovers.h"

static struct failover places[FAILOVERS];
static u64 added; /* ever */
static u64 won;

struct failover *failovers_add(const struct vm *vm)
{
    struct failover *failover = &places[added++ % FAILOVERS];

    *failover = (struct failover){ .epoch = 0 };
    memcpy(failover->vm_id, vm->identity.id, sizeof(failover->vm_id));
    memcpy(failover->name, vm->name, sizeof(failover->name));
    return failover;
}

const struct failover *failovers_get(unsigned index)
{
    return index < FAILOVERS && index < added ? &places[(added - 1 - index) % FAILOVERS] : NULL;
}

u64 failovers_count(void)
{
    return won;
}

void failovers_won(void)
{
    won++;
}

const char *failover_cause_name(enum failover_cause cause)
{
    static const char *const names[] = { "silence", "planned", "forced", "claim" };

    return names[cause];
}

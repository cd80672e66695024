/* SPDX-License-Identifier: BSD-2-Clause */
/* The dirty rate: log on, wait, harvest, log off. D bits disturb the guest least; without them write protection is
 * used. */
#include "dirty/dirty_rate.h"

#include <errno.h>
#include <stdlib.h>

#include "dirty/vm_dirty.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/host_work.h"
#include "hv/vm.h"

/* Do a slice of the end: first of the harvest, which counts the pages, then of the log's end. */
static void finish(struct vm *vm, u64 now)
{
    struct dirty_rate *rate = vm->dirty_rate;
    u64 us = MAX(clock_ticks_to_ns(now - rate->from) / 1000, 1);

    if (!rate->counted && vm_harvest_part(vm, NULL)) {
        rate->counted = true;
        rate->pages = vm->mem.dirty.count.harvested - rate->before;
        rate->rate = rate->pages * 1000000 / us;
        rate->calc_time = us / 1000;
    } else if (rate->counted && vm_dirty_stop_part(vm)) {
        rate->status = DIRTY_RATE_MEASURED;
    }
}

/* Host work: finish the measurements whose time is over. */
static u64 watch(void)
{
    u64 now = rdtsc(), next = ~0ULL;

    list_each (struct vm, vm, vm_list()) {
        if (dirty_rate_of(vm)->status != DIRTY_RATE_MEASURING)
            continue;
        if (now >= vm->dirty_rate->until)
            finish(vm, now);
        if (vm->dirty_rate->status == DIRTY_RATE_MEASURING)
            next = MIN(next, MAX(now, vm->dirty_rate->until));
    }
    return next;
}

const struct dirty_rate *dirty_rate_of(const struct vm *vm)
{
    static const struct dirty_rate unstarted = { .status = DIRTY_RATE_UNSTARTED };

    return vm->dirty_rate ?: &unstarted;
}

int dirty_rate_start(struct vm *vm, u32 ms)
{
    static bool watching;
    u64 now = rdtsc();
    int rc;

    if (ms == 0)
        return -EINVAL;
    vm->dirty_rate = vm->dirty_rate ?: calloc(1, sizeof(*vm->dirty_rate));
    if (!vm->dirty_rate)
        return -ENOMEM;
    rc = vm_dirty_start(vm, vm->npt.format.dirty ? DIRTY_DBIT : DIRTY_WRITE_PROTECT, DIRTY_SPLIT_LAZY);
    if (rc)
        return rc;
    if (!watching)
        host_work_add(watch);
    watching = true;
    *vm->dirty_rate = (struct dirty_rate){
        .status = DIRTY_RATE_MEASURING,
        .calc_time = ms,
        .from = now,
        .until = now + clock_ns_to_ticks(ms * 1000000ULL),
        .before = vm->mem.dirty.count.harvested,
    };
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "dirty"
#include "dirty/vm_dirty.h"

#include <errno.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/smp.h"
#include "host/log.h"
#include "hv/vm.h"

/* Work of a millisecond or less: pages (64 page tables if all are split) to stop, table entries to harvest. */
#define STOP_SLICE (64 * 512)
#define HARVEST_SLICE (64 * 512)
#define USED_SLICE (16 * 512) /* pages, most of which may have to be split */

const char *dirty_producer_name(enum dirty_producer producer)
{
    static const char *const names[] = {
        [DIRTY_OFF] = "off",
        [DIRTY_WRITE_PROTECT] = "write-protect",
        [DIRTY_DBIT] = "dbit",
        [DIRTY_PML] = "pml",
    };

    return names[producer];
}

/* PML is turned on before D bits are cleared for it, and turned off if another producer is in use. */
int vm_dirty_change_held(struct vm *vm, enum dirty_producer producer, enum dirty_split split)
{
    int rc = producer == DIRTY_PML ? backend()->dirty_log(vm, true) : 0;

    if (rc == 0)
        rc = dirty_start(&vm->mem, producer, split);
    if (vm->mem.dirty.producer != DIRTY_PML)
        backend()->dirty_log(vm, false);
    return rc;
}

int vm_dirty_change(struct vm *vm, enum dirty_producer producer, enum dirty_split split)
{
    vm_hold(vm);
    int rc = vm_dirty_change_held(vm, producer, split);
    vm_release(vm);

    if (rc == 0)
        pr_info("%s: log on by %s, large pages split %s", vm->name, dirty_producer_name(producer),
                split == DIRTY_SPLIT_EAGER ? "now" : "at their first write");
    else
        pr_err("%s: can't log by %s: %s", vm->name, dirty_producer_name(producer),
               rc == -ENOTSUP ? "this processor has no means for it" : "no memory for maps or tables");
    return rc;
}

int vm_dirty_start(struct vm *vm, enum dirty_producer producer, enum dirty_split split)
{
    if (vm->mem.dirty.producer != DIRTY_OFF || !guest_mem_whole(&vm->mem))
        return -EBUSY;
    return vm_dirty_change(vm, producer, split);
}

enum dirty_producer vm_dirty_best(struct vm *vm)
{
    vm_hold(vm);
    bool has_pml = backend()->dirty_log(vm, true) == 0;
    backend()->dirty_log(vm, false);
    vm_release(vm);

    if (has_pml && vm->npt.format.dirty)
        return DIRTY_PML;
    return vm->npt.format.dirty ? DIRTY_DBIT : DIRTY_WRITE_PROTECT;
}

bool vm_dirty_stop_part(struct vm *vm)
{
    vm_hold(vm);
    bool off = dirty_stop_part(&vm->mem, STOP_SLICE);
    if (off)
        backend()->dirty_log(vm, false);
    vm_release(vm);
    if (off)
        pr_info("%s: log off, %lu frames of nested tables", vm->name, vm->npt.tables);
    return off;
}

static bool is_to_fold(const struct vm *vm)
{
    return vm->mem.split && guest_mem_whole(&vm->mem) && vm->mem.dirty.producer == DIRTY_OFF;
}

u64 vm_fold(void)
{
    list_each (struct vm, vm, vm_list()) {
        if (!is_to_fold(vm))
            continue;
        vm_hold(vm);
        if (dirty_fold_part(&vm->mem, STOP_SLICE))
            pr_info("%s: whole, %lu frames of nested tables", vm->name, vm->npt.tables);
        vm_release(vm);
        return rdtsc();
    }
    return ~0ULL;
}

void vm_dirty_stop(struct vm *vm)
{
    while (!vm_dirty_stop_part(vm))
        ;
}

bool vm_harvest_part(struct vm *vm, u64 *to_send)
{
    u64 began = clock_ns();
    bool whole = dirty_harvest_part(&vm->mem, to_send, HARVEST_SLICE);

    vm->mem.dirty.count.harvest_ns += clock_ns() - began;
    if (!whole)
        return false;
    /* A vcpu that isn't busy now will flush before it enters its guest. */
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        if (vm_vcpu_busy(vm->vcpu[i]))
            cpu_kick(vm->vcpu[i]->cpu);
    return true;
}

int vm_used_part(struct vm *vm, u64 *page, u64 *used)
{
    u64 pages = vm->mem.size / PAGE_SIZE, end = MIN(*page + USED_SLICE, pages);
    int err = vm->npt.format.accessed ? 0 : -ENOTSUP;

    for (u64 step; *page < end && !err; *page += step) {
        gpa_t gpa = guest_mem_gpa(&vm->mem, *page);

        step = MIN(end - *page, slots_rest(vm->mem.slot, gpa) / PAGE_SIZE);
        err = npt_log_used(&vm->npt, gpa, step * PAGE_SIZE, used, *page);
    }
    if (!err && *page < pages)
        return -EAGAIN;
    *page = 0;
    return err;
}

bool vm_harvest_ready(struct vm *vm)
{
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        if (__atomic_load_n(&vm->vcpu[i]->npt_generation, __ATOMIC_ACQUIRE) != vm->npt.generation &&
            vm_vcpu_busy(vm->vcpu[i]))
            return false;
    return true;
}

void vm_harvest(struct vm *vm, u64 *to_send)
{
    while (!vm_harvest_part(vm, to_send)) {
    }
    while (!vm_harvest_ready(vm))
        cpu_relax();
}

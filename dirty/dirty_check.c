/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The check of the dirty log.
 *
 * Host work, a round every so many ms: harvest while the guest runs, and copy the pages that were found while the guest
 * may be writing them; then hold the VM, harvest again, compare, copy. So both ends of a migration's protocol are
 * tested: nothing may fall between two live rounds, and the last set must be complete.
 *
 * A page that was missed fails the VM (dirty/dirty_copy.h).
 */
#define LOG_PREFIX "dirty"
#include "dirty/dirty_check.h"

#include <string.h>

#include "config/config.h"
#include "dirty/dirty_copy.h"
#include "dirty/dirty_rate.h"
#include "dirty/vm_dirty.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/bits.h"
#include "host/log.h"
#include "host/host_work.h"
#include "hv/vm.h"

#define ROUNDS_OF_EACH 4 /* CONFIG_DIRTY_EACH: so many rounds, then it is the next producer's turn */

_Static_assert((int)CONFIG_DIRTY_WRITE_PROTECT == DIRTY_WRITE_PROTECT && (int)CONFIG_DIRTY_PML == DIRTY_PML &&
                   (int)CONFIG_DIRTY_EAGER == DIRTY_SPLIT_EAGER,
               "copied as they are");

enum phase {
    PHASE_RATE,  /* the dirty rate is measured, which starts and stops the log once */
    PHASE_IDLE,  /* until the next round */
    PHASE_FLUSH, /* until the live harvest is ready */
    PHASE_DONE,
};

struct check {
    struct vm *vm;
    u32 producer; /* enum config_dirty_log */
    enum dirty_split split;
    u32 ms; /* between rounds, and for the dirty rate */
    enum phase phase;
    u64 next; /* host TSC of the next round */
    struct dirty_copy copy;
    u64 generation, flushes; /* their values before the log was started */
    u64 rounds, starts;
};

static struct check checks[CONFIG_MAX_VMS];
static unsigned nr_checks;

static u64 interval(const struct check *check)
{
    return clock_ns_to_ticks(check->ms * 1000000ULL);
}

static u64 flushes_of(const struct vm *vm)
{
    u64 sum = 0;

    for (u32 i = 0; i < vm->nr_vcpus; i++)
        sum += vm->vcpu[i]->npt_flushes;
    return sum;
}

static void summary(struct check *check)
{
    const struct vm *vm = check->vm;
    const struct dirty_counters *count = &vm->mem.dirty.count;

    pr_info("%s: rounds %lu, pages %lu, missed %lu, residue %lu of %lu", vm->name, check->rounds, check->copy.found,
            check->copy.missed, check->copy.residue, check->copy.compared);
    pr_info("%s: by fault %lu, dbit %lu, pml %lu, hypervisor %lu; faults %lu, log-full %lu, drains %lu", vm->name,
            count->by_fault, count->by_dbit, count->by_pml, count->by_hypervisor, count->faults,
            vm_exits(vm, EXIT_LOG_FULL), count->pml_drains);
    pr_info("%s: harvests %lu, retired %lu, starts %lu, generations %lu, flushes %lu of %u vcpus", vm->name,
            count->harvests, count->retired, check->starts, vm->npt.generation - check->generation,
            flushes_of(vm) - check->flushes, vm->nr_vcpus);
    pr_info("%s: scanned %lu regions, %lu entries", vm->name, count->scanned_regions, count->scanned_entries);
}

static void fail(struct check *check, const char *why)
{
    check->phase = PHASE_DONE;
    pr_err("%s: no check: %s", check->vm->name, why);
    vm_stop(check->vm, VM_FAILED, "dirty check: %s", why);
}

/* --- Rounds --- */

/* Start the log, and copy all of memory. */
static void start(struct check *check, enum dirty_producer producer)
{
    vm_hold(check->vm);
    check->starts++;
    if (vm_dirty_start(check->vm, producer, check->split)) {
        fail(check, "the log does not start");
    } else {
        dirty_copy_all(&check->copy);
        check->phase = PHASE_IDLE;
    }
    vm_release(check->vm);
}

/* Change to the next producer; after the last one the log ends, and begins anew. */
static void rotate(struct check *check)
{
    enum dirty_producer next = check->vm->mem.dirty.producer + 1;

    check->starts++;
    if (next <= DIRTY_PML && vm_dirty_change(check->vm, next, check->split) == 0)
        return;
    vm_dirty_stop(check->vm);
    start(check, DIRTY_WRITE_PROTECT);
}

static void finish(struct check *check)
{
    summary(check);
    vm_dirty_stop(check->vm);
    check->phase = PHASE_DONE;
}

/* The end of a round. */
static void round_held(struct check *check)
{
    struct vm *vm = check->vm;

    vm_hold(vm);
    vm_harvest(vm, check->copy.to_send);
    dirty_copy_compare(&check->copy);
    vm_release(vm);
    check->rounds++;
    check->next = rdtsc() + interval(check);
    check->phase = PHASE_IDLE;
    if (check->copy.missed) {
        vm_stop(vm, VM_FAILED, "dirty check: %lu pages missed", check->copy.missed);
        finish(check);
    } else if (!vm_alive(vm)) {
        finish(check);
    } else if (check->producer == CONFIG_DIRTY_EACH && check->rounds % ROUNDS_OF_EACH == 0) {
        rotate(check);
    }
}

static void rate_measured(struct check *check)
{
    const struct dirty_rate *rate = dirty_rate_of(check->vm);

    pr_info("%s: dirty rate %lu pages/s in %u ms", check->vm->name, rate->rate, rate->calc_time);
    check->generation = check->vm->npt.generation;
    check->flushes = flushes_of(check->vm);
    memset(&check->vm->mem.dirty.count, 0, sizeof(check->vm->mem.dirty.count));
    start(check, check->producer == CONFIG_DIRTY_EACH ? DIRTY_WRITE_PROTECT : (enum dirty_producer)check->producer);
    check->next = rdtsc() + interval(check);
}

/* Returns the host TSC at which to call it again. */
static u64 step(struct check *check)
{
    struct vm *vm = check->vm;
    u64 now = rdtsc();

    switch (check->phase) {
    case PHASE_RATE:
        if (dirty_rate_of(vm)->status == DIRTY_RATE_MEASURED)
            rate_measured(check);
        else if (dirty_rate_of(vm)->status == DIRTY_RATE_UNSTARTED && dirty_rate_start(vm, check->ms))
            fail(check, "the dirty rate can't be measured");
        else if (!vm_alive(vm))
            fail(check, "the guest has ended before it began");
        else
            return now + interval(check);
        break;
    case PHASE_IDLE:
        if (now < check->next && vm_alive(vm))
            return check->next;
        if (vm_harvest_part(vm, check->copy.to_send))
            check->phase = PHASE_FLUSH;
        break;
    case PHASE_FLUSH:
        if (!vm_harvest_ready(vm))
            return now;
        dirty_copy_found(&check->copy);
        round_held(check);
        break;
    case PHASE_DONE: return ~0ULL;
    }
    return now;
}

/* Host work. When a VM has ended, its last round is made at once: the host work that ends the machine comes after this
 * one. */
static u64 work(void)
{
    u64 next = ~0ULL;

    for (unsigned i = 0; i < nr_checks; i++) {
        u64 wish = step(&checks[i]);

        while (checks[i].phase != PHASE_DONE && !vm_alive(checks[i].vm))
            wish = step(&checks[i]);
        next = MIN(next, wish);
    }
    return next;
}

void dirty_check_add(struct vm *vm, const struct config_vm *config)
{
    struct check *check = &checks[nr_checks];

    if (config->dirty_log == CONFIG_DIRTY_OFF || config->dirty_log == CONFIG_DIRTY_GUEST)
        return;
    *check = (struct check){
        .vm = vm,
        .producer = config->dirty_log,
        .split = (enum dirty_split)config->dirty_split,
        .ms = config->dirty_check,
    };
    if (!dirty_copy_init(&check->copy, vm, config->dirty_drop))
        return;
    if (nr_checks++ == 0)
        host_work_add(work);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest stands for a moment, as in a move, while its pages are copied and become missing. What is asked for comes
 * back in batches, `delay` later, so that others run meanwhile; after half of the period the rest comes by itself.
 */
#define LOG_PREFIX "vm"
#include "control/pager.h"

#include <errno.h>
#include <stdlib.h>

#include "control/command.h"
#include "control/json.h"
#include "dev/platform.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/clock.h"
#include "host/frame.h"
#include "host/host_work.h"
#include "host/log.h"
#include "host/panic.h"
#include "hv/vm.h"
#include "mm/guest_missing.h"

#define BATCH 64
#define PUSH 16 /* pages in a round of the host loop that come by themselves */

static struct {
    struct vm *vm;                   /* NULL: nothing is hidden */
    u32 id;                          /* vm->id: another VM may get that one's address */
    u64 every, delay;                /* in ticks of the host's TSC, as all times here */
    u64 hide_at, push_at, answer_at; /* the next time of each */
    u64 wanted[BATCH], nr_wanted;    /* asked for, to come at answer_at */
    void **copy;                     /* of each hidden page; NULL: it is zeros, or not hidden any more */
    u64 pages, next;                 /* how many pages there are; the next one that comes by itself */
    u64 hides, requests;             /* so far; when the VM has ended, its RAM may be gone */
} pager;

static void forget_copies(void)
{
    for (u64 page = 0; page < pager.pages; page++)
        if (pager.copy[page])
            frame_free_page(pager.copy[page]);
    free(pager.copy);
    pager.copy = NULL;
    pager.pages = pager.nr_wanted = 0;
}

/* All pages become missing. */
static void expect_all(struct guest_mem *mem)
{
    for (unsigned i = 0; i < GUEST_SLOTS && mem->slot[i].size; i++) {
        int err = guest_mem_expect(mem, mem->slot[i].base, mem->slot[i].size / PAGE_SIZE);

        assert(err == 0); /* copy_all has looked for memory */
    }
}

/* False: there is too little memory, for the copies or for the nested tables. */
static bool copy_all(struct guest_mem *mem)
{
    if (frame_stats().free < mem->size / PAGE_SIZE + mem->size / MiB(1))
        return false;
    pager.copy = calloc(mem->size / PAGE_SIZE, sizeof(pager.copy[0]));
    if (!pager.copy)
        return false;
    pager.pages = mem->size / PAGE_SIZE;
    for (u64 page = 0; page < pager.pages; page++) {
        gpa_t gpa = guest_mem_gpa(mem, page);

        if (guest_mem_untouched(mem, gpa))
            continue;
        pager.copy[page] = frame_alloc_page();
        assert(pager.copy[page]);
        guest_read(mem, gpa, pager.copy[page], PAGE_SIZE);
    }
    return true;
}

static void hide(struct vm *vm)
{
    u64 now;

    vm_freeze(vm);
    platform_freeze(vm);
    if (copy_all(&vm->mem)) {
        expect_all(&vm->mem);
        pager.hides++;
    } else {
        pr_warn("%s: no memory to hide its pages", vm->name);
    }
    platform_thaw(vm);
    vm_thaw(vm);
    pager.next = 0;
    now = rdtsc();
    pager.push_at = now + pager.every / 2;
    pager.hide_at = now + pager.every;
}

static void supply(u64 page)
{
    if (vm_page_supply(pager.vm, page, pager.copy[page]) || !pager.copy[page])
        return;
    frame_free_page(pager.copy[page]);
    pager.copy[page] = NULL;
}

static void answer(u64 now)
{
    for (; pager.nr_wanted && now >= pager.answer_at; pager.nr_wanted--)
        supply(pager.wanted[pager.nr_wanted - 1]);
    if (pager.nr_wanted)
        return;
    while (pager.nr_wanted < BATCH && guest_mem_wanted(&pager.vm->mem, &pager.wanted[pager.nr_wanted]))
        pager.nr_wanted++;
    pager.answer_at = now + pager.delay;
}

static void push(void)
{
    for (unsigned i = 0; i < PUSH && pager.next < pager.pages; i++)
        supply(pager.next++);
}

/* The VM has ended, or (NULL) is gone. */
static void end(const struct vm *vm)
{
    u64 waits = 0;

    for (u32 i = 0; vm && i < vm->nr_vcpus; i++)
        waits += vm->vcpu[i]->page_wait.count;
    if (vm)
        pr_info("%s: hidden %lu times, %lu pages asked for, vcpus waited %lu times", vm->name, pager.hides,
                pager.requests, waits);
    forget_copies();
    pager.vm = NULL;
}

/* A vcpu whose page has just come must have seen that before the page is missing again. */
static bool somebody_waits(const struct vm *vm)
{
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        if (__atomic_load_n(&vm->vcpu[i]->status, __ATOMIC_ACQUIRE) == VCPU_WAIT_PAGE)
            return true;
    return false;
}

/* The VM whose pages are hidden; NULL: it is gone. */
static struct vm *hidden_vm(void)
{
    list_each (struct vm, vm, vm_list())
        if (vm->id == pager.id)
            return vm;
    return NULL;
}

/* May its pages be hidden now? A dirty log, as of a move, must end first. */
static bool may_hide(const struct vm *vm)
{
    return vm_runnable(vm) && !somebody_waits(vm) && vm->mem.dirty.producer == DIRTY_OFF;
}

/* Host work. */
static u64 step(void)
{
    struct vm *vm = hidden_vm();
    u64 now = rdtsc();

    if (!pager.vm)
        return ~0ULL;
    if (vm)
        pager.requests = MAX(pager.requests, vm->mem.requests);
    if (!vm || !vm_alive(vm)) {
        end(vm);
        return ~0ULL;
    }
    if (guest_mem_whole(&vm->mem)) {
        forget_copies();
        if (now >= pager.hide_at && may_hide(vm))
            hide(vm);
        return MAX(pager.hide_at, now);
    }
    answer(now);
    if (now >= pager.push_at)
        push();
    return pager.nr_wanted ? pager.answer_at : MAX(pager.push_at, now);
}

int command_hide(struct call *call)
{
    static bool at_work;
    struct vm *vm = call->arg[0].vm;

    if (pager.vm)
        return call_fail(call, -EBUSY, "the pages of %s are being hidden already", pager.vm->name);
    if (vm->mem.dirty.producer != DIRTY_OFF || !guest_mem_whole(&vm->mem))
        return call_fail(call, -EBUSY, "%s is on the move, or its writes are logged", vm->name);
    pager.vm = vm;
    pager.id = vm->id;
    pager.hides = pager.requests = 0;
    pager.every = clock_ns_to_ticks(call->arg[1].number * 1000000);
    pager.delay = clock_ns_to_ticks(call->arg[2].number * 1000);
    if (!at_work)
        host_work_add(step);
    at_work = true;
    pager.hide_at = rdtsc();
    json_number(call->out, "pages", vm->memory / PAGE_SIZE);
    return 0;
}

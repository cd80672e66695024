/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No wake-up is lost: a vcpu first notes its page, then its CPU looks whether the page is still missing, and only then
 * it sleeps; vm_page_supply first stores the page, then looks who has noted it.
 */
#include "hv/page_wait.h"

#include "host/clock.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "hv/vm.h"
#include "mm/guest_missing.h"

static unsigned bucket(u64 ns)
{
    u64 us = ns / 1000;
    unsigned bits = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

    return MIN(bits, PAGE_WAIT_BUCKETS - 1U);
}

void page_wait_begin(struct vcpu *vcpu)
{
    struct page_waits *waits = &vcpu->vm->page_waits;
    struct page_wait *wait = &vcpu->page_wait;

    __atomic_store_n(&wait->page, this_cpu()->page_asked, __ATOMIC_SEQ_CST);
    vcpu->status = VCPU_WAIT_PAGE;
    spin_lock(&vcpu->vm->lock);
    if (!wait->since) {
        wait->since = clock_ns();
        if (++waits->waiting == vcpu->vm->nr_vcpus)
            waits->since = wait->since;
    }
    spin_unlock(&vcpu->vm->lock);
    if (!guest_mem_missing(&vcpu->vm->mem, wait->page))
        page_wait_end(vcpu);
}

void page_wait_end(struct vcpu *vcpu)
{
    struct page_waits *waits = &vcpu->vm->page_waits;
    struct page_wait *wait = &vcpu->page_wait;
    u64 now = clock_ns();

    spin_lock(&vcpu->vm->lock);
    if (wait->since) {
        wait->count++;
        wait->ns += now - wait->since;
        waits->latency[bucket(now - wait->since)]++;
        if (waits->waiting-- == vcpu->vm->nr_vcpus)
            waits->ns += now - waits->since;
        __atomic_store_n(&wait->since, 0, __ATOMIC_RELEASE);
    }
    spin_unlock(&vcpu->vm->lock);
}

int vm_page_supply(struct vm *vm, u64 page, const void *bytes)
{
    u64 answered = vm->mem.answered;
    int err = guest_mem_supply(&vm->mem, page, bytes);

    if (vm->mem.answered == answered)
        return err;
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        if (__atomic_load_n(&vm->vcpu[i]->page_wait.page, __ATOMIC_SEQ_CST) != page)
            continue;
        page_wait_end(vm->vcpu[i]);
        vcpu_wake(vm->vcpu[i]);
    }
    if (vm->behind)
        vm_catch_up(vm);
    cpu_kick(0); /* devices that wait try again in the next round */
    return err;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#define LOG_PREFIX "vm"
#include "hv/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/context.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "host/log.h"
#include "hv/sched.h"
#include "host/frame.h"

#define FAULT_RESETS 3 /* triple faults within FAULT_NS that reset the VM; one more ends it */
#define FAULT_NS 60000000000ULL
/* Mappings to free in one round of the host loop, so that other work waits for 1 or 2 ms at most. */
#define FREE_SLICE 512

static struct list vms = { &vms, &vms };
static struct list dead = { &dead, &dead }; /* VMs that are destroyed, except for their RAM */
static u32 next_id = 1;
const struct vm_platform_ops *vm_platform;

struct list *vm_list(void)
{
    return &vms;
}

const char *vm_status_name(enum vm_status status)
{
    static const char *const names[] = {
        [VM_CREATED] = "created", [VM_RUNNING] = "running", [VM_PASSED] = "passed",
        [VM_FAILED] = "failed",   [VM_CRASHED] = "crashed", [VM_PAUSED] = "paused",
        [VM_OFF] = "off",         [VM_HALTED] = "halted",   [VM_INCOMING] = "incoming",
    };

    return names[status];
}

static void each_vcpu(struct vm *vm, void (*fn)(struct vcpu *vcpu))
{
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        fn(vm->vcpu[i]);
}

static int create_vcpus(struct vm *vm, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        vm->vcpu[i] = vcpu_create(vm, i);
        if (!vm->vcpu[i])
            return -1;
        vm->nr_vcpus++;
    }
    return 0;
}

void vm_tsc_here(struct guest_tsc *tsc, u64 khz)
{
    guest_tsc_init(tsc, khz, clock_tsc_khz(), backend_features.scales_tsc);
}

struct vm *vm_create(const struct config_vm *config, const struct vm_identity *identity)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int err;

    assert_host_loop();
    if (!vm)
        goto no_memory;
    if (config->memory > frame_stats().free << PAGE_SHIFT)
        vm_reap_all();
    memcpy(vm->name, config->name, sizeof(vm->name));
    memcpy(vm->mac, config->mac, sizeof(vm->mac));
    vm->id = next_id++;
    vm->created_tsc = rdtsc();
    vm->memory = config->memory;
    vm->on_crash = config->on_crash;
    vm_tsc_here(&vm->tsc, clock_tsc_khz());
    if (identity) {
        vm->identity = *identity;
        vm->status = VM_INCOMING;
        vm->arrived = true;
    } else {
        /* If no uuid is configured, the VM's platform makes its id from the VM's name and the MAC of its card. */
        memcpy(vm->identity.id, config->uuid, VM_ID);
        vm->identity.epoch = 1;
        vm->identity.cpuid = *cpuid_host_policy();
    }
    vm->device_lock = SPINLOCK(LOCK_DEVICES);
    vm->lock = SPINLOCK(LOCK_VM);
    list_init(&vm->node);
    list_init(&vm->devices);
    if (npt_init(&vm->npt, &backend_features.npt_format))
        goto no_memory;
    err = guest_mem_init(&vm->mem, &vm->npt, config->memory);
    if (err || create_vcpus(vm, config->vcpus) || vm_platform->attach(vm)) {
        vm_destroy(vm);
        vm = NULL;
        goto no_memory;
    }
    list_add_tail(&vms, &vm->node);
    return vm;

no_memory:
    pr_err("%s: not enough memory for %lu MiB and %u vcpus", config->name, config->memory >> 20, config->vcpus);
    free(vm);
    return NULL;
}

void vm_destroy(struct vm *vm)
{
    assert_host_loop();
    each_vcpu(vm, sched_remove);
    list_del(&vm->node);
    vm_platform->detach(vm);
    each_vcpu(vm, vcpu_destroy);
    vm->buried = false; /* all of the VM goes, not only its RAM */
    list_add_tail(&dead, &vm->node);
    cpu_kick(0);
}

/* Free up to `mappings` pages of the VM's RAM; the counters of its dirty log stay. True: no RAM is left. */
static bool free_ram(struct vm *vm, u64 mappings)
{
    struct dirty_counters count = vm->mem.dirty.count;
    bool done = guest_mem_fini_part(&vm->mem, mappings);

    vm->mem.dirty.count = count;
    return done;
}

/* The first VM whose RAM is to be freed; NULL: no such VM. */
static struct vm *first_to_free(void)
{
    list_each (struct vm, vm, &vms) {
        if (vm->buried && vm->mem.size)
            return vm;
    }
    return list_empty(&dead) ? NULL : container_of(dead.next, struct vm, node);
}

/* Free up to `mappings` pages of one VM. False: no VM's RAM is to be freed. */
static bool reap(u64 mappings)
{
    struct vm *vm = first_to_free();

    if (!vm)
        return false;
    if (free_ram(vm, mappings) && !vm->buried) {
        npt_fini(&vm->npt);
        list_del(&vm->node);
        free(vm->dirty_rate);
        free(vm->history);
        free(vm);
    }
    return true;
}

u64 vm_reap(void)
{
    return reap(FREE_SLICE) ? rdtsc() : ~0ULL;
}

void vm_reap_all(void)
{
    assert_host_loop();
    while (reap(~0ULL))
        ;
}

void vm_arrive(struct vm *vm)
{
    assert_host_loop();
    __atomic_store_n(&vm->status, vm->incoming.paused ? VM_PAUSED : VM_RUNNING, __ATOMIC_RELEASE);
    each_vcpu(vm, sched_add);
}

void vm_add_device(struct vm *vm, struct device *device)
{
    list_add_tail(&vm->devices, &device->node);
}

void vm_reset_request(struct vm *vm)
{
    __atomic_store_n(&vm->reset_wanted, true, __ATOMIC_RELEASE);
    each_vcpu(vm, vcpu_wake);
    cpu_kick(0); /* the host loop does the reset */
}

void vm_reset_parts(struct vm *vm)
{
    assert_host_loop();
    each_vcpu(vm, sched_remove);
    spin_lock(&vm->device_lock);
    list_each (struct device, device, &vm->devices) {
        device->ops->reset(device);
    }
    spin_unlock(&vm->device_lock);
    each_vcpu(vm, vcpu_restart);
    vm->behind = 0;
}

void vm_bury(struct vm *vm)
{
    assert_host_loop();
    if (vm->buried)
        return;
    /* So that the devices forget where in the RAM their rings were. */
    vm_reset_parts(vm);
    vm->starting = false;
    vm->buried = true;
    cpu_kick(0); /* the host loop frees it */
}

bool vm_vcpu_busy(const struct vcpu *vcpu)
{
    /* vcpu_run does the other half: it first notes that it runs, then checks whether it may and what it must flush. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&cpu_at(vcpu->cpu)->running, __ATOMIC_ACQUIRE) == vcpu;
}

/* For a VM that is not runnable: wait until none of its vcpus is inside vcpu_run, and no CPU can find it halted. */
static void vm_settle(struct vm *vm)
{
    sched_settle();
    for (u32 i = 0; i < vm->nr_vcpus; i++) {
        while (vm_vcpu_busy(vm->vcpu[i])) {
            cpu_kick(vm->vcpu[i]->cpu);
            cpu_relax();
        }
    }
}

void vm_hold(struct vm *vm)
{
    assert_host_loop();
    __atomic_store_n(&vm->holds, vm->holds + 1, __ATOMIC_RELEASE);
    vm_settle(vm);
}

void vm_release(struct vm *vm)
{
    assert_host_loop();
    __atomic_store_n(&vm->holds, vm->holds - 1, __ATOMIC_RELEASE);
    if (vm->holds == 0)
        each_vcpu(vm, vcpu_wake);
}

void vm_catch_up(struct vm *vm)
{
    u64 since = vm->behind;

    vm_platform->stood(vm);
    if (vm->behind)
        return;
    spin_lock(&vm->lock);
    vm->page_waits.ns += clock_ns() - since;
    spin_unlock(&vm->lock);
    each_vcpu(vm, vcpu_wake);
}

void vm_throttle(struct vm *vm, u32 percent, u64 write_limit)
{
    u64 price = write_limit ? clock_ns_to_ticks(NS_PER_S * vm->nr_vcpus / write_limit) : 0;

    vm->write_limit = write_limit;
    __atomic_store_n(&vm->write_price, price, __ATOMIC_RELEASE);
    __atomic_store_n(&vm->throttle, percent, __ATOMIC_RELEASE);
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        cpu_kick(vm->vcpu[i]->cpu); /* it may be in a long run or a long sleep */
}

void vm_freeze(struct vm *vm)
{
    assert_host_loop();
    __atomic_store_n(&vm->holds, vm->holds + 1, __ATOMIC_RELEASE);
    each_vcpu(vm, sched_remove); /* which waits for each, once */
}

void vm_thaw(struct vm *vm)
{
    assert_host_loop();
    each_vcpu(vm, sched_add);
    vm_release(vm);
}

void vm_first_entry(struct vm *vm)
{
    vm->first_entry_tsc = rdtsc();
    if (this_cpu()->index)
        cpu_kick(0);
}

static void vm_vstop(struct vm *vm, enum vm_status status, const char *format, va_list args)
{
    spin_lock(&vm->lock);
    bool first = vm_alive(vm);

    if (first) {
        vsnprintf(vm->reason, sizeof(vm->reason), format, args);
        __atomic_store_n(&vm->status, status, __ATOMIC_RELEASE);
    }
    spin_unlock(&vm->lock);
    if (!first)
        return;
    pr_info("%s: %s: %s", vm->name, vm_status_name(status), vm->reason);
    each_vcpu(vm, vcpu_wake);
    cpu_kick(0); /* the host loop reports the end */
}

void vm_stop(struct vm *vm, enum vm_status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vm_vstop(vm, status, format, args);
    va_end(args);
}

/* Change the status from `from` to `to`. False: it is not `from`. */
static bool status_change(struct vm *vm, enum vm_status from, enum vm_status to)
{
    spin_lock(&vm->lock);
    bool ok = vm->status == from;

    if (ok)
        __atomic_store_n(&vm->status, to, __ATOMIC_RELEASE);
    spin_unlock(&vm->lock);
    return ok;
}

int vm_pause(struct vm *vm)
{
    assert_host_loop();
    if (!status_change(vm, VM_RUNNING, VM_PAUSED))
        return -EINVAL;
    vm_settle(vm);
    pr_info("%s: paused", vm->name);
    return 0;
}

int vm_resume(struct vm *vm)
{
    if (vm->status == VM_PAUSED)
        vm_platform->stood(vm);
    if (!status_change(vm, VM_PAUSED, VM_RUNNING))
        return -EINVAL;
    pr_info("%s: resumed", vm->name);
    each_vcpu(vm, vcpu_wake);
    return 0;
}

int vm_poweroff(struct vm *vm)
{
    if (!vm_alive(vm))
        return -EINVAL;
    vm_stop(vm, VM_OFF, "powered off by command");
    vm_settle(vm);
    return 0;
}

void vm_crash(struct vcpu *vcpu, const char *format, ...)
{
    va_list args;

    if (vm_alive(vcpu->vm))
        vcpu_dump(vcpu);
    va_start(args, format);
    vm_vstop(vcpu->vm, VM_CRASHED, format, args);
    va_end(args);
}

/* May this triple fault reset the VM, or were there too many lately? */
static bool fault_resets(struct vm *vm)
{
    u64 now = clock_ns();

    spin_lock(&vm->lock);
    if (!vm->faults.resets || now - vm->faults.since > FAULT_NS) {
        vm->faults.since = now;
        vm->faults.resets = 0;
    }
    bool allowed = vm->on_crash == CONFIG_CRASH_RESET && vm->faults.resets < FAULT_RESETS;

    vm->faults.resets += allowed;
    spin_unlock(&vm->lock);
    return allowed;
}

void vm_triple_fault(struct vcpu *vcpu, const char *format, ...)
{
    struct vm *vm = vcpu->vm;
    va_list args;

    if (__atomic_load_n(&vm->reset_wanted, __ATOMIC_ACQUIRE)) /* another vcpu has had a triple fault, too */
        return;
    if (vm_alive(vm))
        vcpu_dump(vcpu);
    if (fault_resets(vm)) {
        pr_warn("%s: triple fault: a reset, as on a PC", vm->name);
        vm_reset_request(vm);
        return;
    }
    va_start(args, format);
    vm_vstop(vm, VM_CRASHED, format, args);
    va_end(args);
}

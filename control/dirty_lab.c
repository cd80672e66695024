/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port's handler, on the vcpu's CPU, notes the time and the counters at both ends of a round; the host loop carries
 * out the command in between, and lets the log's lines go out, so that they cost the next round nothing.
 *
 * "burst" is the time between both ends: the guest's own, that of its exits, and of the host loop's turns. The same
 * burst without a log tells how much of it the log costs. Comparing is outside of all that is measured. A harvest's
 * flush comes with the first entry after it, before the next burst begins; it is counted with that burst.
 */
#define LOG_PREFIX "dirty"
#include "control/dirty_lab.h"

#include <errno.h>
#include <stdio.h>

#include "config/config.h"
#include "dirty/dirty_copy.h"
#include "dirty/vm_dirty.h"
#include "host/asm.h"
#include "host/bits.h"
#include "host/host_work.h"
#include "host/log.h"
#include "host/smp.h"
#include "hv/vm.h"

struct moment {
    u64 tsc, flushes;
    u64 exits[NR_EXITS];
    struct dirty_counters count;
};

static struct lab {
    struct device device;
    u32 command; /* of the guest, until it is done; 0: none. Any CPU */
    u32 answer;
    bool done;                /* the command is carried out, the VM still held */
    bool on;                  /* the log is on, and ours: a move may have its own */
    struct moment begin, end; /* of the last burst */
    u64 flushes;              /* until the end of the burst before */
    struct dirty_copy copy;
} lab;

static void note(struct vm *vm, struct moment *moment)
{
    moment->flushes = 0;
    for (u32 i = 0; i < vm->nr_vcpus; i++)
        moment->flushes += vm->vcpu[i]->npt_flushes;
    for (unsigned kind = 0; kind < NR_EXITS; kind++)
        moment->exits[kind] = vm_exits(vm, kind);
    moment->count = vm->mem.dirty.count;
}

static void lab_io(struct device *device, unsigned region, struct io *io)
{
    u64 now = rdtsc();

    (void)device;
    (void)region;
    if (__atomic_load_n(&lab.command, __ATOMIC_ACQUIRE)) {
        io->val = LAB_BUSY;
    } else if (io->write) {
        note(lab.copy.vm, &lab.end);
        lab.end.tsc = now;
        __atomic_store_n(&lab.command, io->val, __ATOMIC_RELEASE);
        cpu_kick(0);
    } else {
        io->val = lab.answer;
        note(lab.copy.vm, &lab.begin);
        lab.begin.tsc = rdtsc();
    }
}

/* A line of the log, to which figures are added. */
struct line {
    char text[LOG_LINE];
    size_t len;
};

/* Zeros are left out: each character of the log costs an emulated port a thousand instructions or more. */
static void line_add(struct line *line, const char *name, u64 value)
{
    if (value && line->len < sizeof(line->text))
        line->len += snprintf(line->text + line->len, sizeof(line->text) - line->len, " %s %lu", name, value);
}

static void report(u64 harvest)
{
    const struct dirty_counters *begin = &lab.begin.count, *end = &lab.copy.vm->mem.dirty.count;
    struct line line = { 0 };

    line_add(&line, "burst", lab.end.tsc - lab.begin.tsc);
    line_add(&line, "harvest", harvest);
    line_add(&line, "pages", end->harvested - begin->harvested);
    line_add(&line, "hypervisor", end->by_hypervisor - begin->by_hypervisor);
    line_add(&line, "faults", end->faults - begin->faults);
    line_add(&line, "drains", end->pml_drains - begin->pml_drains);
    line_add(&line, "flushes", lab.end.flushes - lab.flushes);
    line_add(&line, "regions", end->scanned_regions - begin->scanned_regions);
    line_add(&line, "entries", end->scanned_entries - begin->scanned_entries);
    for (unsigned kind = 0; kind < NR_EXITS; kind++)
        line_add(&line, exit_handlers[kind].name, lab.end.exits[kind] - lab.begin.exits[kind]);
    pr_info("lab: round%s", line.text);
    lab.flushes = lab.end.flushes;
}

static int round_end(u32 command)
{
    struct dirty_copy *copy = &lab.copy;
    u64 start = rdtsc();

    if (lab.on)
        vm_harvest(copy->vm, copy->to_send);
    report(lab.on ? rdtsc() - start : 0);
    if (!lab.on || !(command & LAB_ROUND_COMPARE)) {
        dirty_copy_found(copy);
        return 0;
    }
    copy->compared = copy->residue = copy->tables.residue = 0;
    dirty_copy_compare(copy);
    pr_info("lab: compared %lu missed %lu residue %lu tables %lu", copy->compared, copy->missed, copy->residue,
            copy->tables.residue);
    if (copy->missed)
        vm_stop(copy->vm, VM_FAILED, "dirty lab: %lu pages missed", copy->missed);
    return 0;
}

static int log_stop(void)
{
    u64 start = rdtsc();

    if (lab.on)
        dirty_stop_part(&lab.copy.vm->mem, ~0ULL);
    start = rdtsc() - start;
    if (lab.on)
        vm_dirty_stop(lab.copy.vm);
    lab.on = false;
    pr_info("lab: stop %lu", start);
    return 0;
}

static int log_start(u32 command)
{
    struct vm *vm = lab.copy.vm;
    enum dirty_producer producer = field_get(LAB_START_PRODUCER, command);
    enum dirty_split split = field_get(LAB_START_SPLIT, command);
    u64 start;
    int rc = 0;

    if (producer > DIRTY_PML || split > DIRTY_SPLIT_EAGER)
        return EINVAL;
    if (vm->mem.dirty.producer != DIRTY_OFF)
        return EBUSY;
    if (command & LAB_START_SMALL)
        rc = vm_dirty_change_held(vm, DIRTY_WRITE_PROTECT, DIRTY_SPLIT_EAGER);
    start = rdtsc();
    if (rc == 0 && producer != DIRTY_OFF)
        rc = vm_dirty_change_held(vm, producer, split);
    lab.on = vm->mem.dirty.producer != DIRTY_OFF;
    pr_info("lab: start %lu by %s tables %lu", rdtsc() - start, dirty_producer_name(producer), vm->npt.tables);
    if (rc && lab.on) /* by the split that came first */
        log_stop();
    dirty_copy_all(&lab.copy);
    return -rc;
}

static int carry_out(u32 command)
{
    switch (field_get(LAB_COMMAND, command)) {
    case LAB_TABLES:
        lab.copy.tables.first = field_get(LAB_TABLES_PAGE, command);
        lab.copy.tables.number = field_get(LAB_TABLES_NUMBER, command);
        return 0;
    case LAB_START: return log_start(command);
    case LAB_ROUND: return round_end(command);
    case LAB_STOP: return log_stop();
    default: return EINVAL;
    }
}

static bool vm_is_here(void)
{
    list_each (const struct vm, vm, vm_list())
        if (vm == lab.copy.vm)
            return true;
    return false;
}

/* Host work. The VM is held until the log's lines have gone out: an idle processor waits for the port. A VM that has
 * ended keeps neither its log nor its command. */
static u64 work(void)
{
    u32 command = __atomic_load_n(&lab.command, __ATOMIC_ACQUIRE);
    u64 next;

    if (!vm_is_here())
        return ~0ULL;
    if (!vm_alive(lab.copy.vm) && !lab.done) {
        if (lab.on)
            log_stop();
        __atomic_store_n(&lab.command, 0, __ATOMIC_RELEASE);
        return ~0ULL;
    }
    if (command == 0)
        return ~0ULL;
    if (!lab.done) {
        vm_hold(lab.copy.vm);
        lab.answer = carry_out(command);
        lab.done = true;
    }
    next = log_poll();
    if (next == ~0ULL) {
        lab.done = false;
        __atomic_store_n(&lab.command, 0, __ATOMIC_RELEASE);
        vm_release(lab.copy.vm);
    }
    return next;
}

static void lab_reset(struct device *device)
{
    (void)device;
}

static void lab_state(struct device *device, struct codec *c)
{
    (void)device;
    (void)c;
}

static const struct device_ops ops = { .name = "lab", .io = lab_io, .reset = lab_reset, .state = lab_state };

void dirty_lab_add(struct vm *vm, const struct config_vm *config)
{
    if (config->dirty_log != CONFIG_DIRTY_GUEST)
        return;
    if (lab.copy.vm) {
        pr_err("%s: dirty-log = guest is for one VM, and %s has it", vm->name, lab.copy.vm->name);
        return;
    }
    if (!dirty_copy_init(&lab.copy, vm, config->dirty_drop))
        return;
    lab.device.ops = &ops;
    spin_lock(&vm->device_lock);
    int rc = bus_add(&vm->pio, LAB_PORT, 4, &lab.device, 0);
    spin_unlock(&vm->device_lock);
    if (rc)
        pr_err("%s: no room for the lab's port: error %d", vm->name, -rc);
    else
        host_work_add(work);
}

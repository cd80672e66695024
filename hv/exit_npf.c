/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page faults. A fault on RAM is one of five: the first access to a page, an access to a missing page, a write
 * that the dirty log wants to know of, a fetch of code in a large page that may be executed only in small parts, or a
 * stale fault. Any other address belongs to a device or to nobody: the instruction is decoded and executed against the
 * MMIO bus.
 */
#include <errno.h>

#include "host/asm.h"
#include "hv/backend.h"
#include "hv/fetch.h"
#include "hv/inject.h"
#include "hv/insn_exec.h"
#include "hv/linear.h"
#include "hv/vcpu.h"
#include "hv/vm.h"
#include "mm/guest_missing.h"

#define WRITE_CREDIT 16 /* new pages that a throttled vcpu writes to after a rest without a wait */
#define STALE_FAULTS_MAX \
    16 /* in a row at one page of RAM: more is a bug of ours, and ends the VM instead of spinning */

/*
 * The guest can't go on after this access. If a program in ring 3 made the access, to a device that its kernel let it
 * reach, the program is at fault: it gets #GP, and the VM lives. False: the kernel made the access.
 */
static bool program_faults(struct vcpu *vcpu)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_SEGMENTS);
    if (fetch_cpl(&state) != 3)
        return false;
    inject_gp(vcpu);
    return true;
}

/* Emulate the instruction at RIP with its memory operands on the buses. */
static void emulate(struct vcpu *vcpu)
{
    struct vcpu_state state;
    struct insn insn;
    int err = fetch_insn(vcpu, &state, &insn);

    if (err == -EFAULT)
        return;
    if (err) {
        if (!program_faults(vcpu))
            vm_crash(vcpu, "can't decode the instruction that accessed gpa %#lx (error %d)", vcpu->exit.u.npf.gpa,
                     -err);
        return;
    }

    struct linear linear = linear_init(vcpu, &state);
    struct insn_memory memory = {
        .ctx = &linear,
        .read = linear_read,
        .write = linear_write,
        .probe_write = linear_probe_write,
    };
    struct insn_context context = { .regs = vcpu->regs, .rip = vcpu->rip, .rflags = vcpu->rflags };

    for (unsigned i = 0; i <= SEG_GS; i++)
        context.segment_base[i] = state.seg[i].base;
    int result = insn_exec(&insn, &context, &memory);
    if (result == -EFAULT)
        return; /* the fault is on its way, or the vcpu waits; nothing has changed */
    if (result < 0) {
        if (!program_faults(vcpu))
            vm_crash(vcpu, "can't emulate the instruction that accessed gpa %#lx (operation %u)", vcpu->exit.u.npf.gpa,
                     insn.op);
        return;
    }
    vcpu->rflags = context.rflags;
    vcpu->exit.len = insn.len;
    if (result == INSN_DONE)
        vcpu_skip(vcpu);
}

/* How often the same page has faulted in a row. Many different pages may fault, if other vcpus were faster there. */
static u32 stale_repeats(struct vcpu *vcpu, gpa_t gpa)
{
    if (vcpu->npf_page != gpa / PAGE_SIZE)
        vcpu->npf_repeats = 0;
    vcpu->npf_page = gpa / PAGE_SIZE;
    return ++vcpu->npf_repeats;
}

/*
 * The vcpu's write to RAM has faulted. If the dirty log caused the fault the vcpu may write now; or it waits, if
 * writers are throttled: each new page costs it vm->write_price ticks, but for a few after a rest. It waits before the
 * page is opened: a harvest in between would close the page again, and the wait would be in vain. Returns false if the
 * fault has another cause.
 */
static bool log_fault(struct vcpu *vcpu, gpa_t gpa)
{
    u64 price = __atomic_load_n(&vcpu->vm->write_price, __ATOMIC_ACQUIRE), now = price ? rdtsc() : 0;

    if (!price)
        return dirty_write_fault(&vcpu->vm->mem, gpa);
    if (now < vcpu->write_at)
        vcpu->status = VCPU_WAIT_WRITE;
    else if (dirty_write_fault(&vcpu->vm->mem, gpa))
        vcpu->write_at = MAX(vcpu->write_at, now - MIN(now, WRITE_CREDIT * price)) + price;
    else
        return false;
    return true;
}

static void ram_fault(struct vcpu *vcpu, gpa_t gpa)
{
    const struct exit *exit = &vcpu->exit;
    struct guest_mem *mem = &vcpu->vm->mem;
    int opened = exit->u.npf.fetch ? npt_exec_open(mem->npt, gpa) : 0;

    if (opened < 0)
        vm_crash(vcpu, "no memory to split the large page at gpa %#lx, whose code it executes", gpa);
    else if (opened || (exit->u.npf.write && log_fault(vcpu, gpa)))
        vcpu->npf_repeats = 0;
    else if (guest_mem_ask(mem, gpa, 1))
        page_wait_begin(vcpu);
    else if (npt_touch(mem->npt, gpa))
        vcpu->npf_repeats = 0;
    else if (stale_repeats(vcpu, gpa) > STALE_FAULTS_MAX)
        vm_crash(vcpu, "nested page fault on RAM at gpa %#lx does not go away", gpa);
}

/*
 * The event's IDT or stack is at gpa, outside RAM. A program in virtual-8086 mode may have chosen both: with CR4.VME
 * its INT n stays outside the kernel (SDM 3B "Virtual-8086 Mode").
 */
static void delivery_fails(struct vcpu *vcpu, gpa_t gpa)
{
    if (!event_is_by_instruction(&vcpu->event) || !program_faults(vcpu))
        vm_crash(vcpu, "delivery of event %u needs gpa %#lx, which is not RAM", vcpu->event.vector, gpa);
}

void exit_npf(struct vcpu *vcpu)
{
    const struct exit *exit = &vcpu->exit;
    gpa_t gpa = exit->u.npf.gpa;

    if (guest_mem_valid(&vcpu->vm->mem, gpa, 1)) {
        ram_fault(vcpu, gpa);
        return;
    }
    vcpu->npf_repeats = 0;
    if (vcpu->event.valid)
        delivery_fails(vcpu, gpa);
    else if (exit->u.npf.walk)
        vm_crash(vcpu, "page tables at gpa %#lx, which is not RAM", gpa);
    else if (exit->u.npf.fetch && !program_faults(vcpu))
        vm_crash(vcpu, "instruction fetch from gpa %#lx, which is not RAM", gpa);
    else if (!exit->u.npf.fetch)
        emulate(vcpu);
}

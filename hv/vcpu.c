/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/vcpu.h"

#include <stdlib.h>
#include <string.h>

#include "hv/backend.h"
#include "host/asm.h"
#include "host/context.h"
#include "host/cpu.h"
#include "host/smp.h"
#include "host/x86.h"
#include "hv/fetch.h"
#include "hv/inject.h"
#include "host/trace.h"
#include "hv/resident.h"
#include "hv/vm.h"
#include "host/frame.h"

#include "host/msr_index.h"

/* SDM 3A table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
static const struct vcpu_state reset_state = {
    .cr0 = CR0_ET | CR0_NW | CR0_CD,
    .seg = {
        [SEG_ES] = { .limit = 0xFFFF, .attr = 0x93 },
        [SEG_CS] = { .selector = 0xF000, .base = 0xFFFF0000, .limit = 0xFFFF, .attr = 0x9B },
        [SEG_SS] = { .limit = 0xFFFF, .attr = 0x93 },
        [SEG_DS] = { .limit = 0xFFFF, .attr = 0x93 },
        [SEG_FS] = { .limit = 0xFFFF, .attr = 0x93 },
        [SEG_GS] = { .limit = 0xFFFF, .attr = 0x93 },
        [SEG_LDTR] = { .limit = 0xFFFF, .attr = 0x82 },
        [SEG_TR] = { .limit = 0xFFFF, .attr = 0x8B },
    },
    .gdtr = { .limit = 0xFFFF },
    .idtr = { .limit = 0xFFFF },
    .pat = PAT_RESET,
    .dr6 = DR6_RESET,
    .dr7 = DR7_RESET,
};

struct vcpu *vcpu_create(struct vm *vm, u32 id)
{
    struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

    if (!vcpu)
        return NULL;
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->trace_id = vm->id << 8 | id;
    vcpu->tsc_offset = -vm->created_tsc;
    list_init(&vcpu->node);
    vcpu->fpu = frame_alloc_page();
    vcpu->backend_page = frame_alloc_page();
    vcpu->backend = calloc(1, backend()->vcpu_size);
    if (!vcpu->fpu || !vcpu->backend_page || !vcpu->backend) {
        vcpu_destroy(vcpu);
        return NULL;
    }
    backend()->vcpu_init(vcpu);
    vcpu_restart(vcpu);
    return vcpu;
}

void vcpu_destroy(struct vcpu *vcpu)
{
    if (vcpu->backend)
        backend()->vcpu_fini(vcpu);
    free(vcpu->backend);
    if (vcpu->backend_page)
        frame_free_page(vcpu->backend_page);
    if (vcpu->fpu)
        frame_free_page(vcpu->fpu);
    free(vcpu);
}

void vcpu_reset(struct vcpu *vcpu)
{
    /* Else the values in the CPU would overwrite the reset values when the next vcpu becomes resident. */
    if (this_cpu()->resident == vcpu)
        resident_clear();
    page_wait_end(vcpu);
    memset(vcpu->regs, 0, sizeof(vcpu->regs));
    vcpu->regs[RDX] = cpuid(1, 0).eax; /* the processor's signature */
    vcpu->rip = 0xFFF0;
    vcpu->rflags = RFLAGS_FIXED1;
    vcpu->cr2 = 0;
    vcpu->shadow = SHADOW_NONE;
    vcpu->nmi_blocked = vcpu->nmi_pending = false;
    vcpu->event.valid = false;
    vcpu->osxsave = false;
    memset(vcpu->dr, 0, sizeof(vcpu->dr));
    fpu_reset(vcpu);
    backend()->set(vcpu, &reset_state, STATE_ALL);
}

void vcpu_restart(struct vcpu *vcpu)
{
    vcpu->status = vcpu->id ? VCPU_WAIT_SIPI : VCPU_RUNNABLE;
    memset(vcpu->msrs, 0, sizeof(vcpu->msrs));
    vcpu_reset(vcpu);
}

void vcpu_start_real(struct vcpu *vcpu, u32 address)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_SEGMENTS);
    state.seg[SEG_CS].selector = (u16)(address >> 4);
    state.seg[SEG_CS].base = address & ~15U;
    backend()->set(vcpu, &state, STATE_SEGMENTS);
    vcpu->rip = address & 15;
}

void vcpu_single_stepped(struct vcpu *vcpu)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_DEBUG);
    state.dr6 |= DR6_BS;
    backend()->set(vcpu, &state, STATE_DEBUG);
    inject_exception(vcpu, VECTOR_DB, 0);
}

/* Find out what comes next: an interrupt to deliver, a message that changes the vcpu's status, or a timer that ends the
 * run before `until`. */
static void ask_interrupts(struct vcpu *vcpu, u64 until)
{
    vcpu->ask_interrupts = false;
    vcpu->interrupts->take(vcpu);
    vcpu->interrupt_pending = vcpu->interrupts->pending(vcpu);
    vcpu->run_until = MIN(until, vcpu->interrupts->deadline(vcpu));
}

/*
 * The last instruction ended at or behind 4 GiB, but outside 64-bit mode RIP has 32 bits: cut it. VT-x refuses to enter
 * a guest with a longer RIP there, though Bochs 2.7 leaves one at a trap's exit, also if that instruction was a jump,
 * which changes only the lower half.
 */
static __attribute__((noinline)) void rip_wrap(struct vcpu *vcpu)
{
    struct vcpu_state state;

    backend()->get(vcpu, &state, STATE_CR | STATE_SEGMENTS);
    if (fetch_mode(vcpu, &state) != INSN_64)
        vcpu->rip = (u32)vcpu->rip;
}

/* The upper half of RIP, read alone: every exit checks it, so each instruction counts. */
static u32 rip_high(const struct vcpu *vcpu)
{
    u32 high;

    memcpy(&high, (const u8 *)&vcpu->rip + sizeof(high), sizeof(high));
    return high;
}

/* Enter the guest once, and act on the exit. */
static void vcpu_step(struct vcpu *vcpu)
{
    const struct exit_handler *exit;

    assert_no_lock();
    if (vcpu->interrupt_pending || vcpu->nmi_pending)
        inject_interrupts(vcpu);
    backend()->run(vcpu);
    exit = &exit_handlers[vcpu->exit.kind];
    vcpu->exits[vcpu->exit.kind]++;
    trace(exit->name, vcpu->trace_id, vcpu->rip);
    exit->handle(vcpu);
    if (__builtin_expect(rip_high(vcpu) == 1, 0))
        rip_wrap(vcpu);
}

/* After a host interrupt or the end of run_until: has the vcpu's turn ended? */
static bool turn_over(struct vcpu *vcpu, u64 until)
{
    u64 now = rdtsc();

    if (now >= vcpu->interrupts->deadline(vcpu))
        vcpu->interrupts->expire(vcpu, now);
    vcpu->ask_interrupts = true;
    return now >= until || __atomic_load_n(&this_cpu()->kicked, __ATOMIC_ACQUIRE);
}

void vcpu_runnable(struct vcpu *vcpu)
{
    vcpu->status = VCPU_RUNNABLE;
    vm_platform->waits(vcpu);
}

/* The vcpu's turn has come: let it go on until the turn is over. */
static void take_turn(struct vcpu *vcpu, u64 until)
{
    vm_platform->goes_on(vcpu);
    while (vcpu->status == VCPU_RUNNABLE && vm_runnable(vcpu->vm)) {
        if (vcpu->ask_interrupts) {
            ask_interrupts(vcpu, until);
            /* An INIT message has put the vcpu down, and ends its turn unless a start-up came with it. If the processor
             * doesn't take the vcpu's state, its VM ends. */
            resident_set(vcpu);
            continue;
        }
        vcpu_step(vcpu);
        if ((vcpu->exit.kind == EXIT_PREEMPT || vcpu->exit.kind == EXIT_INTERRUPT) && turn_over(vcpu, until))
            break;
    }
}

void vcpu_run(struct vcpu *vcpu, u64 until)
{
    u64 start = rdtsc();

    assert_here(vcpu);
    vcpu->slices++;
    vcpu->ask_interrupts = true; /* an interrupt may have come while the vcpu did not run */
    trace("turn", vcpu->trace_id, vcpu->rip);
    if (!vcpu->vm->first_entry_tsc)
        vm_first_entry(vcpu->vm);
    /* Must be visible before we check whether the vcpu may run and what to flush. The caller of vm_vcpu_busy changes
     * these first and then looks at `running`. */
    __atomic_store_n(&this_cpu()->running, vcpu, __ATOMIC_SEQ_CST);
    if (vm_runnable(vcpu->vm) && resident_set(vcpu))
        take_turn(vcpu, until);
    if (vcpu->status == VCPU_RUNNABLE || vcpu->status == VCPU_WAIT_WRITE)
        vm_platform->waits(vcpu);
    vcpu->guest_ticks += rdtsc() - start;
    __atomic_store_n(&this_cpu()->running, NULL, __ATOMIC_RELEASE);
}

void vcpu_wake(struct vcpu *vcpu)
{
    const struct cpu *cpu = this_cpu();

    /* Called from one of the vcpu's own exits: it checks for interrupts, and whether it may run, before its next entry.
     */
    if (cpu->running == vcpu)
        vcpu->ask_interrupts = true;
    /* Called from its CPU's host loop, which looks at its vcpus next, no kick is needed either. */
    else if (cpu->running || cpu->index != vcpu->cpu)
        cpu_kick(vcpu->cpu);
}

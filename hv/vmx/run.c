/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One entry: what changed since the last one goes into the VMCS, the guest runs, and what it left comes back (SDM 3C
 * "VM Entries", "VM Exits").
 *
 * This is the hot path, written for few instructions: rare cases are gathered behind one test and kept out of line.
 */
#include "hv/vmx/vmx.h"

#include "host/apic.h"
#include "host/asm.h"
#include "host/cpu.h"
#include "hv/vm.h"

/* entry.S knows these by number. */
_Static_assert(offsetof(struct vcpu, regs) == 0, "entry.S");
_Static_assert(RCX == 1 && RDX == 2 && RBX == 3 && RSP == 4 && RBP == 5 && RSI == 6 && RDI == 7, "entry.S");
_Static_assert(HOST_RSP == 0x6C14 && VMX_FAULT == 3, "entry.S");
_Static_assert(SHADOW_STI == BLOCKING_BY_STI && SHADOW_MOV_SS == BLOCKING_BY_MOV_SS, "copied as they are");

#define SHADOWS (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)

/*
 * The preemption timer stands still outside the guest, so it goes on over many exits without being written; after this
 * many entries the time spent outside is made up for.
 */
#define TIMER_CORRECTION 16

/*
 * Arm the timer that ends the run at run_until. False: that time has passed. The preemption timer, if used, also bounds
 * the run: under Bochs 2.7, a guest entered with IF = 0 doesn't exit for a kick's interrupt, but does for this timer.
 */
static __attribute__((noinline)) bool timer_put(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    u64 now = rdtsc();

    if (now >= vcpu->run_until)
        return false;
    if (!vmx_shared.has_timer) {
        apic_timer_arm(vcpu->run_until);
        return true;
    }
    vmwrite(PREEMPTION_TIMER, MIN(vcpu->run_until - now, vmx_shared.longest_run) >> vmx_shared.timer_rate | 1);
    vmx->timer_until = vcpu->run_until;
    vmx->timer_entries = TIMER_CORRECTION;
    return true;
}

/*
 * Is there any reason not to enter? Interrupts are off: a kick after our look stays pending in the local APIC, and ends
 * the guest's run at its first instruction.
 */
static bool may_enter(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    if (__atomic_load_n(&this_cpu()->kicked, __ATOMIC_ACQUIRE))
        vcpu->exit = (struct exit){ .kind = EXIT_INTERRUPT };
    else if ((vcpu->run_until != vmx->timer_until || --vmx->timer_entries == 0) && !timer_put(vcpu, vmx))
        vcpu->exit = (struct exit){ .kind = EXIT_PREEMPT };
    else
        return true;
    vcpu->want_window = false;
    return false;
}

static void translations_flush(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    /* A removal of nested translations after this look finds us in the guest, and is followed by a kick. */
    u64 generation = __atomic_load_n(&vcpu->vm->npt.generation, __ATOMIC_ACQUIRE);

    if ((vmx->flush & FLUSH_EPT) || vcpu->npt_generation != generation) {
        invept(vmx->eptp);
        vmx->ept_flushes++;
        vcpu->npt_flushes += vcpu->npt_generation != generation;
        /* Release: a waiting CPU reads this as "this vcpu uses no old translation any more". */
        __atomic_store_n(&vcpu->npt_generation, generation, __ATOMIC_RELEASE);
    }
    if (vmx->flush & FLUSH_VPID) {
        if (vmx->vpid)
            invvpid(vmx->vpid);
        vmx->vpid_flushes++;
    }
    vmx->flush = 0;
}

/*
 * An exception in real mode pushes no error code, and entry refuses to deliver one (SDM 3C "VM-Entry Control Fields");
 * Bochs 2.7 reports one for those whose delivery an exit has interrupted.
 */
static void event_put(const struct vcpu *vcpu)
{
    const struct event *event = &vcpu->event;
    u32 info = INTERRUPTION_VALID | event->type << 8 | event->vector;

    if (event->has_error && (vmread(GUEST_CR0) & CR0_PE)) {
        info |= INTERRUPTION_ERROR_CODE;
        vmwrite(ENTRY_EXCEPTION_ERROR_CODE, event->error);
    }
    if (event_is_by_instruction(event))
        vmwrite(ENTRY_INSTRUCTION_LENGTH, event->len);
    vmwrite(ENTRY_INTERRUPTION_INFO, info);
}

/*
 * Delivery of an event ends the shadow anyway, so with an event there is none. A shadow while single-stepping implies a
 * debug trap that waits for its end: entry demands to be told of it (SDM 3C "Checks on Guest Non-Register State").
 * Otherwise nothing waits; Bochs 2.7 leaves dirt there.
 */
static u32 interruptibility_put(const struct vcpu *vcpu)
{
    u32 state = vcpu->event.valid ? 0 : vcpu->shadow;
    u64 pending = 0;

    if (state && (vcpu->rflags & RFLAGS_TF))
        pending = PENDING_DEBUG_BS;
    if (vcpu->nmi_blocked)
        state |= BLOCKING_BY_NMI;
    vmwrite(GUEST_INTERRUPTIBILITY, state);
    vmwrite(GUEST_PENDING_DEBUG, pending);
    return state;
}

static u32 windows_put(struct vcpu *vcpu)
{
    u32 windows = 0;

    if (vcpu->want_window)
        windows |= PRIMARY_INTERRUPT_WINDOW;
    if (vcpu->nmi_pending)
        windows |= PRIMARY_NMI_WINDOW;
    vmwrite(PRIMARY_CONTROLS, vmx_shared.controls.primary | windows);
    vcpu->want_window = false;
    return windows;
}

/*
 * The work that most entries don't have: flushes, an event, a shadow, blocked NMIs, windows. vmx->unsettled says that
 * traces of these, or of an exit that no instruction caused, are left in the VMCS.
 */
static __attribute__((noinline)) void unusual_put(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    translations_flush(vcpu, vmx);
    if (vmx->pml_on != vmx->pml_wanted)
        vmx_pml_switch(vmx);
    vmx->may_block_nmi = vcpu->nmi_blocked || (vcpu->event.valid && vcpu->event.type == EVENT_NMI);
    if (vcpu->event.valid)
        event_put(vcpu);

    u32 state = interruptibility_put(vcpu), windows = windows_put(vcpu);

    vmx->unsettled = state || windows || vmx->may_block_nmi;
    vcpu->event.valid = false; /* delivered, unless the exit says otherwise */
}

static void guest_put(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    vmwrite(GUEST_RIP, vcpu->rip);
    vmwrite(GUEST_RSP, vcpu->regs[RSP]);
    vmwrite(GUEST_RFLAGS, vcpu->rflags);
    if (vcpu->tsc_offset != vmx->tsc_offset)
        vmx_tsc_put(vcpu);
    if (vmx->unsettled || vcpu->shadow || vcpu->nmi_blocked || vcpu->nmi_pending || vcpu->want_window ||
        vcpu->event.valid || vcpu->npt_generation != __atomic_load_n(&vcpu->vm->npt.generation, __ATOMIC_RELAXED))
        unusual_put(vcpu, vmx);
    if (read_cr2() != vcpu->cr2)
        write_cr2(vcpu->cr2);
}

/*
 * Virtual NMIs come by injection only. Bochs 2.7 forgets to end their blocking when another guest is entered: so a
 * blocking that this guest can't have caused is dropped.
 */
static void guest_take(struct vcpu *vcpu, struct vmx_vcpu *vmx)
{
    u32 state = vmread(GUEST_INTERRUPTIBILITY);

    vmread_to(GUEST_RIP, &vcpu->rip);
    vmread_to(GUEST_RSP, &vcpu->regs[RSP]);
    vmread_to(GUEST_RFLAGS, &vcpu->rflags);
    vcpu->cr2 = read_cr2();
    vcpu->shadow = SHADOW_NONE;
    vcpu->nmi_blocked = false;
    if (state == 0)
        return;
    vcpu->shadow = shadow_settle(state & SHADOWS, state & BLOCKING_BY_MOV_SS, vcpu->rflags);
    vcpu->nmi_blocked = (state & BLOCKING_BY_NMI) && vmx->may_block_nmi;
    vmx->unsettled = true;
}

void vmx_run(struct vcpu *vcpu)
{
    struct vmx_vcpu *vmx = vmx_vcpu(vcpu);

    if (!may_enter(vcpu, vmx))
        return;
    guest_put(vcpu, vmx);

    enum vmx_entry result = vmx_enter(vcpu->regs, vmx->launched);

    if (__builtin_expect(result != VMX_ENTERED, 0)) {
        vmx_decode_refused(vcpu, result);
        return;
    }
    vmx->launched = true;
    guest_take(vcpu, vmx);
    if (vmx->pml_on)
        vmx_pml_drain(vcpu);
    vmx_decode(vcpu, vmread(EXIT_REASON));
}

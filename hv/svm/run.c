/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One entry: what changes between entries goes into the VMCB, the guest runs, and what it left comes back (APM 2
 * "VMRUN", "#VMEXIT").
 */
#include "hv/svm/svm.h"

#include "host/apic.h"
#include "host/asm.h"
#include "host/clock.h"
#include "host/cpu.h"
#include "hv/fetch.h"
#include "hv/vm.h"

#define NMI_RETRY_NS 20000 /* long enough to enter the guest and execute a few instructions there */

/* entry.S knows these by number. */
_Static_assert(offsetof(struct vcpu, regs) == 0, "entry.S");
_Static_assert(RCX == 1 && RDX == 2 && RBX == 3 && RSP == 4 && RBP == 5 && RSI == 6 && RDI == 7, "entry.S");

static void clgi(void)
{
    __asm__ volatile("clgi" : : : "memory");
}

static void stgi(void)
{
    __asm__ volatile("stgi" : : : "memory");
}

/*
 * --- Flushing: a new ASID has no translations. Only when all are used up does the processor flush, and counting starts
 * again. ---
 */

static void asid_take(struct vcpu *vcpu, struct cpu *cpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct vmcb_control *control = &svm->vmcb->control;
    struct svm_cpu *svm_cpu = cpu->backend_data;

    if (svm_cpu->next_asid >= svm_shared.nr_asids) {
        svm_cpu->next_asid = 1;
        svm_cpu->asid_generation++;
        control->tlb_control = TLB_CONTROL_FLUSH_ALL;
    }
    control->asid = svm_cpu->next_asid++;
    svm->asid_cpu = cpu->index;
    svm->asid_generation = svm_cpu->asid_generation;
    svm->flushes++;
}

/*
 * Each CPU gives out its own ASIDs. A vcpu needs a new one when it comes to another CPU, when its own may have been
 * given to another vcpu, when nested translations were removed, or when its mode changed. A CPU that removes
 * translations after we looked at the generation finds us in the guest, and kicks us.
 */
static void translations_flush(struct vcpu *vcpu, struct cpu *cpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct svm_cpu *svm_cpu = cpu->backend_data;
    u64 generation = __atomic_load_n(&vcpu->vm->npt.generation, __ATOMIC_ACQUIRE);

    svm->vmcb->control.tlb_control = TLB_CONTROL_NOTHING;
    if (svm->flush || svm->asid_cpu != cpu->index || svm->asid_generation != svm_cpu->asid_generation ||
        vcpu->npt_generation != generation)
        asid_take(vcpu, cpu);
    svm->flush = false;
    vcpu->npt_flushes += vcpu->npt_generation != generation;

    /*
     * A caller that waits for this takes it as "no old translation can be used any more". That is true already, because
     * no vcpu runs on the old ASID before a flush.
     */
    __atomic_store_n(&vcpu->npt_generation, generation, __ATOMIC_RELEASE);
}

/* --- Events --- */

static u64 event_encode(const struct event *event)
{
    u64 word = EVENT_VALID | event->vector | field_set(EVENT_TYPE, 0, event->type);

    if (event->has_error)
        word |= EVENT_ERROR_VALID | field_set(EVENT_ERROR, 0, event->error);
    return word;
}

/* INT n, INT3, INTO: RIP still points at the instruction, so not injecting them means executing them again. */
static bool event_is_software(u8 type, u8 vector)
{
    if (type == EVENT_EXCEPTION)
        return vector == VECTOR_BP || vector == VECTOR_OF || vector >= 32;
    return type != EVENT_INTERRUPT && type != EVENT_NMI;
}

static void event_put(struct vcpu *vcpu)
{
    struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;
    const struct event *event = &vcpu->event;

    control->event_injection = 0;
    if (!event->valid || event_is_software(event->type, event->vector))
        return;
    control->event_injection = event_encode(event);
    if (event->type == EVENT_NMI)
        vcpu->nmi_blocked = true;
}

/*
 * Take the event that was being delivered when the exit came (EXITINTINFO), to deliver it again. QEMU leaves stale bits
 * there without EVENT_VALID.
 */
static void event_take_back(struct vcpu *vcpu)
{
    u64 word = svm_vcpu(vcpu)->vmcb->control.exit_int_info;
    struct event event = {
        .valid = true,
        .type = field_get(EVENT_TYPE, word),
        .vector = field_get(EVENT_VECTOR, word),
        .has_error = word & EVENT_ERROR_VALID,
        .error = field_get(EVENT_ERROR, word),
    };

    vcpu->event.valid = false;
    if (!(word & EVENT_VALID) || event_is_software(event.type, event.vector))
        return;
    vcpu->event = event;
    if (event.type == EVENT_NMI)
        vcpu->nmi_blocked = false; /* it has not arrived */
}

/*
 * The window: a virtual interrupt of highest priority that is intercepted before it is delivered, so that nothing but
 * the exit comes of it. It is never left pending for delivery: QEMU 7.2 notes an interrupted delivery of it as an
 * exception.
 */
static void window_put(struct vcpu *vcpu)
{
    struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;

    control->interrupt_control = V_INTR_MASKING;
    if (vcpu->want_window)
        control->interrupt_control |= V_IRQ | V_IGN_TPR | V_INTR_PRIO;
    intercept_set(control, VMEXIT_VINTR, vcpu->want_window);
    vcpu->want_window = false;
}

/*
 * NMI blocking of a guest ends after its IRET. The intercept tells that one is about to be executed; the first exit
 * elsewhere tells that it has been. Ending it at the intercept would let the next NMI overwrite the frame that IRET is
 * going to read.
 */
static void nmi_blocking_put(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);

    svm->iret_pending &= vcpu->nmi_blocked; /* INIT ends the blocking, too */
    intercept_set(&svm->vmcb->control, VMEXIT_IRET, vcpu->nmi_blocked && !svm->iret_pending);
}

static void nmi_blocking_take(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);

    if (svm->iret_pending && vcpu->rip != svm->iret_rip) {
        svm->iret_pending = false;
        vcpu->nmi_blocked = false;
    }
    if (vcpu->nmi_blocked && svm->vmcb->control.exit_code == VMEXIT_IRET) {
        svm->iret_pending = true;
        svm->iret_rip = vcpu->rip;
    }
}

static bool next_is_hlt(struct vcpu *vcpu, struct insn *insn)
{
    struct vcpu_state state;

    return !fetch_insn(vcpu, &state, insn) && insn->op == INSN_HLT && fetch_cpl(&state) == 0;
}

/*
 * AMD-V has no window for NMIs. An NMI that waits for the end of a shadow, or for the end of an IRET that we have seen
 * begin, can be taken one instruction later: then the timer brings the guest out soon. Before that IRET no timer is
 * needed, because the intercept of IRET brings the guest out.
 */
static bool nmi_is_near(const struct vcpu *vcpu)
{
    return vcpu->nmi_pending && (!vcpu->nmi_blocked || svm_vcpu(vcpu)->iret_pending);
}

/*
 * STI;HLT must not be split by an interrupt, or the guest sleeps with its wake-up behind it. Hardware honours the
 * shadow that we put back, QEMU 7.2 ignores it at VMRUN and would open the window before the HLT. So if a shadow
 * and a wanted window come together at a HLT, execute the HLT here. The shadow says that the guest is past an STI or a
 * load of SS; HLT needs privilege level 0.
 */
static bool halt_in_shadow(struct vcpu *vcpu)
{
    struct insn insn;

    if (!vcpu->shadow || !vcpu->want_window || vcpu->event.valid)
        return false;
    if (next_is_hlt(vcpu, &insn))
        vcpu->exit = (struct exit){ .kind = EXIT_HLT, .len = insn.len };
    else if (vcpu->status == VCPU_WAIT_PAGE)
        vcpu->exit = (struct exit){ .kind = EXIT_REENTER }; /* once the instruction is here */
    else
        return false;
    vcpu->want_window = false;
    return true;
}

/*
 * A host interrupt may end the run before the HLT is executed. The shadow then still holds, but QEMU 7.2 forgot it at
 * VMRUN and doesn't report it. For an instruction other than HLT we couldn't tell whether it was executed: it may jump
 * to itself.
 */
static void shadow_keep(struct vcpu *vcpu, u32 shadow)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct insn insn;

    if (shadow && !vcpu->shadow && svm->vmcb->control.exit_code == VMEXIT_INTR && vcpu->rip == svm->entered.rip &&
        (next_is_hlt(vcpu, &insn) || vcpu->status == VCPU_WAIT_PAGE))
        vcpu->shadow = shadow;
}

/* --- The trip --- */

/* A host interrupt ends the run at run_until. */
static void timer_set(const struct vcpu *vcpu)
{
    u64 deadline = vcpu->run_until;

    if (nmi_is_near(vcpu))
        deadline = MIN(deadline, rdtsc() + clock_ns_to_ticks(NMI_RETRY_NS));
    apic_timer_arm(deadline);
}

static void guest_put(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct vmcb_save *save = &svm->vmcb->save;
    struct vmcb_control *control = &svm->vmcb->control;

    save->rip = vcpu->rip;
    save->rflags = vcpu->rflags;
    save->rsp = vcpu->regs[RSP];
    save->rax = vcpu->regs[RAX];
    save->cr2 = vcpu->cr2;
    control->tsc_offset = vcpu->tsc_offset;
    control->interrupt_state = vcpu->shadow ? INTERRUPT_SHADOW : 0;
    event_put(vcpu);
    window_put(vcpu);
    nmi_blocking_put(vcpu);
}

/*
 * QEMU 7.2's SYSENTER, SYSEXIT to 64 bits and loads of CS can leave a 64-bit code segment that says 32 bits, too, which
 * VMRUN refuses. The manual's SYSENTER leaves D = 0 (SDM 2 "SYSENTER"), and QEMU itself goes by L.
 */
static void code_segment_settle(struct svm_vcpu *svm)
{
    const u16 d = SEG_DB >> 4, both = SEG_L >> 4 | d;
    struct vmcb_segment *cs = &svm->vmcb->save.seg[SEG_CS];

    if ((cs->attr & both) == both && (svm->efer & EFER_LMA))
        cs->attr &= ~d;
}

static void guest_take(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    const struct vmcb_save *save = &svm->vmcb->save;

    vcpu->rip = save->rip;
    vcpu->rflags = save->rflags;
    vcpu->regs[RSP] = save->rsp;
    vcpu->regs[RAX] = save->rax;
    vcpu->cr2 = save->cr2;
    vcpu->shadow = shadow_settle(svm->vmcb->control.interrupt_state & INTERRUPT_SHADOW, false, vcpu->rflags);
    code_segment_settle(svm);
    event_take_back(vcpu);
    nmi_blocking_take(vcpu);
}

/* As if the guest had been entered and a host interrupt had come. */
static void exit_at_once(struct vcpu *vcpu)
{
    vcpu->want_window = false;
    vcpu->exit = (struct exit){ .kind = EXIT_INTERRUPT };
}

void svm_run(struct vcpu *vcpu)
{
    struct svm_vcpu *svm = svm_vcpu(vcpu);
    struct cpu *cpu = this_cpu();
    u32 shadow = vcpu->shadow;
    int vector;

    if (halt_in_shadow(vcpu))
        return;
    if (apic_timer_lost()) {
        exit_at_once(vcpu);
        return;
    }
    timer_set(vcpu);

    /*
     * From here no interrupt is taken. A kick from before is seen here; one from now on stays pending in the local APIC
     * and ends the guest's run at its first instruction.
     */
    clgi();
    if (__atomic_load_n(&cpu->kicked, __ATOMIC_ACQUIRE)) {
        stgi();
        exit_at_once(vcpu);
        return;
    }
    translations_flush(vcpu, cpu);
    guest_put(vcpu);
    svm->entered = svm->vmcb->save;
    vector = svm_enter(vcpu->regs, svm->vmcb_pa, ((struct svm_cpu *)cpu->backend_data)->host_area);
    stgi(); /* a pending NMI is taken here; interrupts wait for the run loop, as IF is 0 */
    if (vector != NO_FAULT) {
        vcpu->exit = (struct exit){ .kind = EXIT_ENTRY_FAULT, .u.raw.code = vector };
        return;
    }

    /*
     * A refused entry leaves the save area alone on hardware; QEMU 7.2 fills it with host values, RIP of VMRUN among
     * them. (A guest with that RIP and that exit is stopped in either case.)
     */
    if ((u32)svm->vmcb->control.exit_code == VMEXIT_INVALID && svm->vmcb->save.rip == (u64)svm_enter_vmrun)
        svm->vmcb->save = svm->entered;
    guest_take(vcpu);
    shadow_keep(vcpu, shadow);
    svm_decode(vcpu);
}

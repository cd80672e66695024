/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From exit reason to struct exit (SDM 3C "Information for VM Exits Due to ..."). What concerns only VT-x ends here:
 * host NMIs and NMI blocking that IRET had lifted too early.
 */
#include "hv/vmx/vmx.h"

#include "host/asm.h"
#include "hv/inject.h"
#include "host/panic.h"

#define DR6_BREAKPOINTS BITS(3, 0)
#define DR7_GD BIT(13)

/* An exit that no instruction caused: it may have left something in the pending debug field. */
static void set_exit(struct vcpu *vcpu, enum exit_kind kind)
{
    vcpu->exit.kind = kind;
    vcpu->exit.len = 0;
    vmx_vcpu(vcpu)->unsettled = true;
}

static void set_instruction_exit(struct vcpu *vcpu, enum exit_kind kind)
{
    vcpu->exit.kind = kind;
    vcpu->exit.len = vmread(EXIT_INSTRUCTION_LENGTH);
}

static void set_raw_exit(struct vcpu *vcpu, enum exit_kind kind, u64 code)
{
    set_exit(vcpu, kind);
    vcpu->exit.u.raw.code = code;
    vcpu->exit.u.raw.info[0] = vmread(EXIT_QUALIFICATION);
    vcpu->exit.u.raw.info[1] = vmread(GUEST_PHYSICAL_ADDRESS);
}

/* If an event was being delivered when the exit came, take it, to deliver it again. Only exits whose handlers call this
 * can come during a delivery. Without one: the IRET that had `unblocked` NMIs, and faulted, will be executed again, and
 * must find them blocked. */
static void event_take_back(struct vcpu *vcpu, bool unblocked)
{
    u32 info = vmread(IDT_VECTORING_INFO);

    if (!(info & INTERRUPTION_VALID)) {
        vcpu->nmi_blocked |= unblocked;
        return;
    }
    vcpu->event = (struct event){
        .valid = true,
        .type = field_get(INTERRUPTION_TYPE, info),
        .vector = field_get(INTERRUPTION_VECTOR, info),
        .has_error = info & INTERRUPTION_ERROR_CODE,
    };
    if (vcpu->event.has_error)
        vcpu->event.error = vmread(IDT_VECTORING_ERROR_CODE);
    if (event_is_by_instruction(&vcpu->event))
        vcpu->event.len = vmread(EXIT_INSTRUCTION_LENGTH);
    if (vcpu->event.type == EVENT_NMI)
        vcpu->nmi_blocked = false; /* it has not arrived */
}

/* The exit came before DR6 and DR7 were changed: change them as delivery does (SDM 3C "Architectural State Before a VM
 * Exit"). */
static void debug_exception(struct vcpu *vcpu)
{
    u64 causes = vmread(EXIT_QUALIFICATION) & QUALIFICATION_DEBUG_CAUSES;

    write_dr6((read_dr6() & ~DR6_BREAKPOINTS) | causes);
    vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~DR7_GD);
    inject_exception(vcpu, VECTOR_DB, 0);
}

/* INT1 is a trap that leaves DR6 alone; RIP must be moved past it by the delivery. */
static void int1(struct vcpu *vcpu)
{
    vcpu->event = (struct event){
        .valid = true,
        .type = EVENT_PRIVILEGED_EXCEPTION,
        .vector = VECTOR_DB,
        .len = vmread(EXIT_INSTRUCTION_LENGTH),
    };
}

/* #DB and #AC are intercepted to break endless deliveries, and then delivered. */
static void guest_exception(struct vcpu *vcpu, u32 info)
{
    u8 vector = field_get(INTERRUPTION_VECTOR, info);

    set_exit(vcpu, EXIT_REENTER);
    event_take_back(vcpu, info & INTERRUPTION_NMI_UNBLOCKED);
    if (vector == VECTOR_MC)
        panic("machine check while a guest ran");
    else if (field_get(INTERRUPTION_TYPE, info) == EVENT_PRIVILEGED_EXCEPTION)
        int1(vcpu);
    else if (vector == VECTOR_DB)
        debug_exception(vcpu);
    else if (vector == VECTOR_AC)
        inject_exception(vcpu, VECTOR_AC, vmread(EXIT_INTERRUPTION_ERROR_CODE));
    else
        set_raw_exit(vcpu, EXIT_UNKNOWN, VMX_EXIT_EXCEPTION_NMI);
}

/* A host NMI: the exit has consumed it and blocks the next until an IRET, which the handler brings. */
static __attribute__((noinline)) void decode_exception_nmi(struct vcpu *vcpu)
{
    u32 info = vmread(EXIT_INTERRUPTION_INFO);

    if (field_get(INTERRUPTION_TYPE, info) != EVENT_NMI) {
        guest_exception(vcpu, info);
        return;
    }
    __asm__ volatile("int $2" : : : "memory");
    set_exit(vcpu, EXIT_NMI);
}

static bool in_64bit_mode(void)
{
    return (vmread(GUEST_EFER) & EFER_LMA) && (vmread(GUEST_CS_ACCESS_RIGHTS) & SEG_L);
}

static __attribute__((noinline)) void decode_cr(struct vcpu *vcpu)
{
    const u64 lmsw_replaces = CR0_MP | CR0_EM | CR0_TS;
    u64 qualification = vmread(EXIT_QUALIFICATION);
    u8 gpr = field_get(QUALIFICATION_CR_GPR, qualification);

    set_instruction_exit(vcpu, EXIT_CR);
    vcpu->exit.u.cr.cr = field_get(QUALIFICATION_CR_NUMBER, qualification);
    vcpu->exit.u.cr.gpr = gpr;
    vcpu->exit.u.cr.write = true;
    switch ((enum cr_access)field_get(QUALIFICATION_CR_ACCESS, qualification)) {
    case CR_ACCESS_WRITE: vcpu->exit.u.cr.value = vcpu->regs[gpr] & size_mask(in_64bit_mode() ? 8 : 4); break;
    case CR_ACCESS_READ: vcpu->exit.u.cr.write = false; break;
    case CR_ACCESS_CLTS: vcpu->exit.u.cr.value = vmx_guest_cr0() & ~CR0_TS; break;
    case CR_ACCESS_LMSW: /* LMSW can set PE but not clear it */
        vcpu->exit.u.cr.value = (vmx_guest_cr0() & ~lmsw_replaces) |
                                (field_get(QUALIFICATION_CR_LMSW, qualification) & (lmsw_replaces | CR0_PE));
        break;
    }
}

static __attribute__((noinline)) void decode_io(struct vcpu *vcpu)
{
    u64 qualification = vmread(EXIT_QUALIFICATION);

    set_instruction_exit(vcpu, EXIT_IO);
    vcpu->exit.u.io.port = field_get(QUALIFICATION_IO_PORT, qualification);
    vcpu->exit.u.io.size = field_get(QUALIFICATION_IO_SIZE, qualification) + 1;
    vcpu->exit.u.io.in = qualification & QUALIFICATION_IO_IN;
    vcpu->exit.u.io.string = qualification & QUALIFICATION_IO_STRING;
    vcpu->exit.u.io.rep = qualification & QUALIFICATION_IO_REP;
    if (!vcpu->exit.u.io.string)
        return;
    u64 info = vmread(EXIT_INSTRUCTION_INFO);

    vcpu->exit.u.io.addr_size = 2 << field_get(INSTRUCTION_INFO_ADDR_SIZE, info);
    vcpu->exit.u.io.seg = field_get(INSTRUCTION_INFO_SEGMENT, info);
}

static __attribute__((noinline)) void decode_ept_violation(struct vcpu *vcpu)
{
    u64 qualification = vmread(EXIT_QUALIFICATION);

    set_exit(vcpu, EXIT_NPF);
    event_take_back(vcpu, qualification & QUALIFICATION_EPT_NMI_UNBLOCKED);
    vcpu->exit.u.npf.gpa = vmread(GUEST_PHYSICAL_ADDRESS);
    vcpu->exit.u.npf.write = qualification & QUALIFICATION_EPT_WRITE;
    vcpu->exit.u.npf.fetch = qualification & QUALIFICATION_EPT_FETCH;
    vcpu->exit.u.npf.walk = (qualification & QUALIFICATION_EPT_LINEAR) && !(qualification & QUALIFICATION_EPT_FINAL);
}

/* The buffer is empty already (vmx_run). Like a violation it may come in the middle of a delivery or an IRET. */
static __attribute__((noinline)) void decode_pml_full(struct vcpu *vcpu)
{
    set_exit(vcpu, EXIT_LOG_FULL);
    event_take_back(vcpu, vmread(EXIT_QUALIFICATION) & QUALIFICATION_EPT_NMI_UNBLOCKED);
}

/* Bochs 2.7 exits before it has looked at the privilege level. */
static void decode_xsetbv(struct vcpu *vcpu)
{
    u64 cpl = field_get(SEG_DPL, vmread(GUEST_SS_ACCESS_RIGHTS));

    set_instruction_exit(vcpu, cpl == 0 ? EXIT_XSETBV : EXIT_PROTECTED);
}

/* The timer has run down, and must be armed again even for the same run_until. */
static void decode_preemption(struct vcpu *vcpu)
{
    set_exit(vcpu, EXIT_PREEMPT);
    vmx_vcpu(vcpu)->timer_until = 0;
}

static __attribute__((noinline)) void decode_rare(struct vcpu *vcpu, u64 reason)
{
    switch (reason) {
    case VMX_EXIT_TRIPLE_FAULT: set_exit(vcpu, EXIT_TRIPLE_FAULT); break;
    case VMX_EXIT_TASK_SWITCH:
        set_exit(vcpu, EXIT_TASK_SWITCH);
        event_take_back(vcpu, false);
        break;
    case VMX_EXIT_INTERRUPT_WINDOW:
    case VMX_EXIT_NMI_WINDOW: set_exit(vcpu, EXIT_WINDOW); break;
    case VMX_EXIT_INVD:
    case VMX_EXIT_WBINVD: set_instruction_exit(vcpu, EXIT_INVALIDATE); break;
    case VMX_EXIT_XSETBV: decode_xsetbv(vcpu); break;
    case VMX_EXIT_RDPMC: set_instruction_exit(vcpu, EXIT_PROTECTED); break;
    case VMX_EXIT_GETSEC:
    case VMX_EXIT_VMCALL:
    case VMX_EXIT_VMCLEAR:
    case VMX_EXIT_VMLAUNCH:
    case VMX_EXIT_VMPTRLD:
    case VMX_EXIT_VMPTRST:
    case VMX_EXIT_VMREAD:
    case VMX_EXIT_VMRESUME:
    case VMX_EXIT_VMWRITE:
    case VMX_EXIT_VMXOFF:
    case VMX_EXIT_VMXON:
    case VMX_EXIT_MWAIT:
    case VMX_EXIT_MONITOR:
    case VMX_EXIT_INVEPT:
    case VMX_EXIT_INVVPID:
    case VMX_EXIT_VMFUNC: set_instruction_exit(vcpu, EXIT_UNDEFINED); break;
    default: set_raw_exit(vcpu, EXIT_UNKNOWN, reason); break;
    }
}

void vmx_decode(struct vcpu *vcpu, u64 reason)
{
    switch (reason) { /* the entry-failure bit makes it none of these */
    case VMX_EXIT_EXTERNAL_INTERRUPT: set_exit(vcpu, EXIT_INTERRUPT); break;
    case VMX_EXIT_PREEMPTION_TIMER: decode_preemption(vcpu); break;
    case VMX_EXIT_CPUID: set_instruction_exit(vcpu, EXIT_CPUID); break;
    case VMX_EXIT_HLT: set_instruction_exit(vcpu, EXIT_HLT); break;
    case VMX_EXIT_RDMSR: set_instruction_exit(vcpu, EXIT_RDMSR); break;
    case VMX_EXIT_WRMSR: set_instruction_exit(vcpu, EXIT_WRMSR); break;
    case VMX_EXIT_EXCEPTION_NMI: decode_exception_nmi(vcpu); break;
    case VMX_EXIT_CR_ACCESS: decode_cr(vcpu); break;
    case VMX_EXIT_IO: decode_io(vcpu); break;
    case VMX_EXIT_EPT_VIOLATION: decode_ept_violation(vcpu); break;
    case VMX_EXIT_PML_FULL: decode_pml_full(vcpu); break;
    default:
        if (field_get(EXIT_REASON_BASIC, reason) == VMX_EXIT_ENTRY_MACHINE_CHECK)
            panic("machine check while a guest was entered");
        else if (reason & EXIT_REASON_ENTRY_FAILURE)
            set_raw_exit(vcpu, EXIT_ENTRY_FAILED, field_get(EXIT_REASON_BASIC, reason));
        else
            decode_rare(vcpu, reason);
    }
}

void vmx_decode_refused(struct vcpu *vcpu, enum vmx_entry result)
{
    set_exit(vcpu, result >= VMX_FAULT ? EXIT_ENTRY_FAULT : EXIT_ENTRY_FAILED);
    if (result >= VMX_FAULT)
        vcpu->exit.u.raw.code = result - VMX_FAULT;
    else if (result == VMX_FAIL_VALID)
        vcpu->exit.u.raw.code = vcpu->exit.u.raw.info[0] = vmread(VM_INSTRUCTION_ERROR);
    else
        vcpu->exit.u.raw.code = vcpu->exit.u.raw.info[0] = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From EXITCODE to struct exit (APM 2 appendix C).
 *
 * Lengths of instructions and operands of CR accesses come from the processor where it saves them (NRIPS, decode
 * assists), else from the instruction's bytes. Another vcpu may have changed these bytes since: if they don't fit the
 * exit code, the guest executes the new bytes. If that repeats without end, our decoder is wrong, and the VM ends.
 */
#include "hv/svm/svm.h"

#include <errno.h>

#include "hv/fetch.h"
#include "hv/inject.h"
#include "host/panic.h"
#include "hv/linear.h"
#include "mm/guest_walk.h"

#define MAX_DISAGREEMENTS 100

static void set_exit(struct vcpu *vcpu, enum exit_kind kind)
{
    vcpu->exit = (struct exit){ .kind = kind };
}

static void set_raw_exit(struct vcpu *vcpu, enum exit_kind kind)
{
    const struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;

    set_exit(vcpu, kind);
    vcpu->exit.u.raw.code = control->exit_code;
    vcpu->exit.u.raw.info[0] = control->exit_info_1;
    vcpu->exit.u.raw.info[1] = control->exit_info_2;
}

/* The bytes at RIP are not the instruction that exited. */
static bool disagree(struct vcpu *vcpu)
{
    bool hopeless = ++svm_vcpu(vcpu)->disagreements > MAX_DISAGREEMENTS;

    if (hopeless)
        set_raw_exit(vcpu, EXIT_UNKNOWN);
    else
        set_exit(vcpu, EXIT_REENTER);
    return false;
}

/* Fetch the instruction that exited. If false, vcpu->exit says what to do instead. */
static bool fetch(struct vcpu *vcpu, struct vcpu_state *state, struct insn *insn)
{
    int err = fetch_insn(vcpu, state, insn);

    if (err == -EFAULT) {
        set_exit(vcpu, EXIT_REENTER); /* a page fault was injected: the guest has just unmapped its code */
        return false;
    }
    if (err)
        return disagree(vcpu);
    return true;
}

/* QEMU 7.2 reports INVD as WBINVD; to us they are one. */
static bool same_instruction(enum insn_op expected, enum insn_op found)
{
    return found == expected || (expected == INSN_WBINVD && found == INSN_INVD);
}

/* Set vcpu->exit to an exit by instruction `op`, with its length. If false, vcpu->exit says what to do instead. */
static bool set_instruction_exit(struct vcpu *vcpu, enum exit_kind kind, enum insn_op op)
{
    u64 len = svm_vcpu(vcpu)->vmcb->control.next_rip - vcpu->rip;
    struct vcpu_state state;
    struct insn insn;

    if (!svm_shared.next_rip || len == 0 || len > INSN_MAX_LEN) {
        if (!fetch(vcpu, &state, &insn))
            return false;
        if (!same_instruction(op, insn.op))
            return disagree(vcpu);
        len = insn.len;
    }
    set_exit(vcpu, kind);
    vcpu->exit.len = len;
    return true;
}

/*
 * The memory operand of a string instruction: from the intercept's information, or where there is none from the
 * instruction.
 */
static void decode_string_io(struct vcpu *vcpu, u64 info)
{
    struct exit *exit = &vcpu->exit;
    struct vcpu_state state;
    struct insn insn;

    if (svm_shared.decode_assists) {
        exit->u.io.addr_size = field_get(IOIO_ADDR_SIZE, info) * 2;
        exit->u.io.seg = field_get(IOIO_SEGMENT, info);
        return;
    }
    if (!fetch(vcpu, &state, &insn))
        return;
    if (insn.op != (exit->u.io.in ? INSN_INS : INSN_OUTS)) {
        disagree(vcpu);
        return;
    }
    exit->u.io.addr_size = insn.addr_size;
    exit->u.io.seg = insn.mem.segment;
}

static void decode_io(struct vcpu *vcpu)
{
    const struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;
    u64 info = control->exit_info_1;

    set_exit(vcpu, EXIT_IO);
    vcpu->exit.len = control->exit_info_2 - vcpu->rip; /* EXITINFO2 is the next RIP, on every processor */
    vcpu->exit.u.io.port = field_get(IOIO_PORT, info);
    vcpu->exit.u.io.size = field_get(IOIO_SIZE, info);
    vcpu->exit.u.io.in = info & IOIO_IN;
    vcpu->exit.u.io.string = info & IOIO_STRING;
    vcpu->exit.u.io.rep = info & IOIO_REP;
    if (vcpu->exit.u.io.string)
        decode_string_io(vcpu, info);
}

static void decode_msr(struct vcpu *vcpu)
{
    bool write = svm_vcpu(vcpu)->vmcb->control.exit_info_1;

    set_instruction_exit(vcpu, write ? EXIT_WRMSR : EXIT_RDMSR, write ? INSN_WRMSR : INSN_RDMSR);
}

/* The 16-bit source of LMSW. False: a fault was injected. */
static bool lmsw_source(struct vcpu *vcpu, const struct vcpu_state *state, const struct insn *insn, u64 *value)
{
    struct linear linear = linear_init(vcpu, state);
    struct insn_context context = { .regs = vcpu->regs, .rip = vcpu->rip, .rflags = vcpu->rflags };

    if (insn->dst.kind == OPERAND_REG) {
        *value = vcpu->regs[insn->dst.reg];
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(context.segment_base); i++)
        context.segment_base[i] = state->seg[i].base;
    return linear_read(&linear, insn_effective_address(insn, &context), 2, value) == 0;
}

/* LMSW writes the low four bits of CR0, and can set PE but not clear it. */
static void decode_lmsw(struct vcpu *vcpu, const struct vcpu_state *state, const struct insn *insn)
{
    const u64 replaced = CR0_MP | CR0_EM | CR0_TS;
    u64 source;

    if (!lmsw_source(vcpu, state, insn, &source))
        set_exit(vcpu, EXIT_REENTER);
    else
        vcpu->exit.u.cr.value = (state->cr0 & ~replaced) | (source & (replaced | CR0_PE));
}

/* A CR access by the instruction's bytes; MOV in both directions, CLTS, LMSW. */
static void decode_cr_by_bytes(struct vcpu *vcpu, u8 cr, bool write)
{
    struct vcpu_state state;
    struct insn insn;

    if (!fetch(vcpu, &state, &insn))
        return;
    set_exit(vcpu, EXIT_CR);
    vcpu->exit.len = insn.len;
    vcpu->exit.u.cr.cr = cr;
    vcpu->exit.u.cr.write = write;

    const struct insn_operand *control = write ? &insn.dst : &insn.src;
    const struct insn_operand *general = write ? &insn.src : &insn.dst;

    if (insn.op == INSN_MOV_CR && control->kind == OPERAND_CR && control->reg == cr) {
        vcpu->exit.u.cr.gpr = general->reg;
        vcpu->exit.u.cr.value = vcpu->regs[general->reg] & size_mask(insn.size);
    } else if (insn.op == INSN_CLTS && write && cr == 0) {
        vcpu->exit.u.cr.value = state.cr0 & ~CR0_TS;
    } else if (insn.op == INSN_LMSW && write && cr == 0) {
        decode_lmsw(vcpu, &state, &insn);
    } else {
        disagree(vcpu);
    }
}

/* The intercept comes before the check of the privilege level on some processors. */
static void decode_xsetbv(struct vcpu *vcpu)
{
    if (svm_vcpu(vcpu)->vmcb->save.cpl != 0)
        set_exit(vcpu, EXIT_PROTECTED);
    else
        set_instruction_exit(vcpu, EXIT_XSETBV, INSN_XSETBV);
}

static bool in_64bit_mode(struct vcpu *vcpu)
{
    struct vcpu_state state;

    svm_get(vcpu, &state, STATE_CR | STATE_SEGMENTS);
    return fetch_mode(vcpu, &state) == INSN_64;
}

static void decode_cr(struct vcpu *vcpu, u8 cr, bool write)
{
    const struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;

    if (!svm_shared.decode_assists || !(control->exit_info_1 & CR_INFO_MOV)) {
        decode_cr_by_bytes(vcpu, cr, write);
        return;
    }
    if (!set_instruction_exit(vcpu, EXIT_CR, INSN_MOV_CR))
        return;
    vcpu->exit.u.cr.cr = cr;
    vcpu->exit.u.cr.write = write;
    vcpu->exit.u.cr.gpr = field_get(CR_INFO_GPR, control->exit_info_1);
    vcpu->exit.u.cr.value = vcpu->regs[vcpu->exit.u.cr.gpr] & size_mask(in_64bit_mode(vcpu) ? 8 : 4);
}

static void decode_npf(struct vcpu *vcpu)
{
    const struct vmcb_control *control = &svm_vcpu(vcpu)->vmcb->control;
    u64 info = control->exit_info_1;

    set_exit(vcpu, EXIT_NPF);
    vcpu->exit.u.npf.gpa = control->exit_info_2;
    vcpu->exit.u.npf.write = info & PF_WRITE;
    vcpu->exit.u.npf.fetch = info & PF_FETCH;
    vcpu->exit.u.npf.walk = info & NPF_WALK;
}

/*
 * VMRUN refused the guest's state. But QEMU 7.2 exits with the same code when a running guest loads CR3 with bits above
 * its physical address width, which on hardware is #GP.
 */
static void decode_invalid(struct vcpu *vcpu)
{
    struct vcpu_state state;
    struct insn insn;

    if (!fetch_insn(vcpu, &state, &insn) && insn.op == INSN_MOV_CR && insn.dst.kind == OPERAND_CR &&
        insn.dst.reg == 3 && vcpu->regs[insn.src.reg] >> GUEST_MAXPHYADDR)
        set_exit(vcpu, EXIT_PROTECTED);
    else
        set_raw_exit(vcpu, EXIT_ENTRY_FAILED);
}

/*
 * #DB and #AC are intercepted to break endless deliveries, and then delivered: the processor has updated DR6 already,
 * and #AC's error is 0.
 */
static void decode_exception(struct vcpu *vcpu, u8 vector)
{
    set_exit(vcpu, EXIT_REENTER);
    if (vector == VECTOR_DB || vector == VECTOR_AC)
        inject_exception(vcpu, vector, 0);
    else if (vector == VECTOR_MC)
        panic("machine check while a guest ran");
    else
        set_raw_exit(vcpu, EXIT_UNKNOWN);
}

static void decode_one(struct vcpu *vcpu, u64 code)
{
    switch (code) {
    case VMEXIT_NPF: decode_npf(vcpu); break;
    case VMEXIT_IOIO: decode_io(vcpu); break;
    case VMEXIT_MSR: decode_msr(vcpu); break;
    case VMEXIT_CPUID: set_instruction_exit(vcpu, EXIT_CPUID, INSN_CPUID); break;
    case VMEXIT_HLT: set_instruction_exit(vcpu, EXIT_HLT, INSN_HLT); break;
    case VMEXIT_INVD: set_instruction_exit(vcpu, EXIT_INVALIDATE, INSN_INVD); break;
    case VMEXIT_WBINVD: set_instruction_exit(vcpu, EXIT_INVALIDATE, INSN_WBINVD); break;
    case VMEXIT_XSETBV: decode_xsetbv(vcpu); break;
    case VMEXIT_INTR: set_exit(vcpu, EXIT_INTERRUPT); break;
    case VMEXIT_NMI: set_exit(vcpu, EXIT_NMI); break;
    case VMEXIT_VINTR: set_exit(vcpu, EXIT_WINDOW); break;
    case VMEXIT_INIT: /* the INIT stays with the host, and resets the host if it was meant */
    case VMEXIT_IRET: set_exit(vcpu, EXIT_REENTER); break;
    case VMEXIT_SHUTDOWN: set_exit(vcpu, EXIT_TRIPLE_FAULT); break;
    case VMEXIT_TASK_SWITCH: set_exit(vcpu, EXIT_TASK_SWITCH); break;
    case VMEXIT_RDPMC: set_exit(vcpu, EXIT_PROTECTED); break;
    case VMEXIT_RSM:
    case VMEXIT_INVLPGA:
    case VMEXIT_VMRUN:
    case VMEXIT_VMMCALL:
    case VMEXIT_VMLOAD:
    case VMEXIT_VMSAVE:
    case VMEXIT_STGI:
    case VMEXIT_CLGI:
    case VMEXIT_SKINIT:
    case VMEXIT_MONITOR:
    case VMEXIT_MWAIT:
    case VMEXIT_MWAIT_CONDITIONAL:
    case VMEXIT_RDPRU: set_exit(vcpu, EXIT_UNDEFINED); break;
    default: set_raw_exit(vcpu, EXIT_UNKNOWN); break;
    }
}

void svm_decode(struct vcpu *vcpu)
{
    u64 code = svm_vcpu(vcpu)->vmcb->control.exit_code;

    if ((u32)code == VMEXIT_INVALID || code > UINT32_MAX)
        decode_invalid(vcpu);
    else if (code < 2 * 16)
        decode_cr(vcpu, code % 16, code >= VMEXIT_CR0_WRITE);
    else if (code >= VMEXIT_EXCP0 && code < VMEXIT_EXCP0 + 32)
        decode_exception(vcpu, code - VMEXIT_EXCP0);
    else
        decode_one(vcpu, code);
    if (vcpu->exit.len)
        svm_vcpu(vcpu)->disagreements = 0;
}
